"""Speed and memory of the library. `make bench` runs it and stores what it finds."""
