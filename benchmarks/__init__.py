"""Speed and memory of the library. `make bench` runs it and writes ``results/``."""
