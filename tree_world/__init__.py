"""Tree World: fruit trees that smell like words, and an agent that must remember them."""

from tree_world import moved

__version__ = "0.1.0"

moved.install()
