"""Tree World: fruit trees that smell like words, and an agent that must remember them."""

__version__ = "0.1.0"
