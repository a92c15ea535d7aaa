"""Where observations are kept: in slots, on disk, and while they are exchanged."""
