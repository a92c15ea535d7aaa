"""What several chapters and benchmarks share: the same study with many seeds."""

from tree_world.studies.seeds import over_seeds

__all__ = ["over_seeds"]
