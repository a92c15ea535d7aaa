"""What several chapters and benchmarks share: a study with many seeds, and stored results."""

from tree_world.studies.seeds import over_seeds
from tree_world.studies.stored import stored_results

__all__ = ["over_seeds", "stored_results"]
