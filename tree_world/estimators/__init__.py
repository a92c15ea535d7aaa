"""The memory with the face of scikit-learn: see `SpatialMemoryRegressor`."""

from tree_world.estimators.regressor import SpatialMemoryRegressor

__all__ = ["SpatialMemoryRegressor"]
