"""Where something is: beliefs over places."""

from tree_world.models.places.localiser import Localiser, Posterior

__all__ = ["Localiser", "Posterior"]
