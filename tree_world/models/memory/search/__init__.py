"""Draws and searches: places that satisfy a key."""
