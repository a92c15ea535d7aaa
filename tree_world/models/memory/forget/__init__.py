"""Forgetting that keeps what is read: leave one out, prune, consolidate."""
