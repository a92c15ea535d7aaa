"""Reads of a memory: one formula, several ways to compute it."""
