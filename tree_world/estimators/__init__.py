"""The memory with the face of scikit-learn: see `SpatialMemoryRegressor`.

Needs the extra ``learn``.
"""

from tree_world.optional import from_extra

with from_extra("learn", "tree_world.estimators"):
    import sklearn  # noqa: F401

from tree_world.estimators.regressor import SpatialMemoryRegressor

__all__ = ["SpatialMemoryRegressor"]
