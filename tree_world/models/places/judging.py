"""How good places are that were found: told by `tree_world.evaluation`, and by these names here."""

from tree_world.evaluation import Alignment, coverage, procrustes, within

__all__ = ["Alignment", "coverage", "procrustes", "within"]
