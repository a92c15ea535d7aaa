"""What is food and what is poison: a classifier of smells, and what it is taught by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tree_world.models.drives.classifier import (
    DRIVES,
    TEMPERATURES,
    Confusions,
    DriveClassifier,
    count_confusions,
    count_verdicts,
)
from tree_world.models.drives.examples import DriveExamples, DriveSplit, drive_examples
from tree_world.models.drives.training import (
    PENALTY,
    fit_drives,
    train_drive_classifier,
)

if TYPE_CHECKING:
    from tree_world.models.drives.estimator import DriveEstimator

__all__ = [
    "DRIVES",
    "PENALTY",
    "TEMPERATURES",
    "Confusions",
    "DriveClassifier",
    "DriveEstimator",
    "DriveExamples",
    "DriveSplit",
    "count_confusions",
    "count_verdicts",
    "drive_examples",
    "fit_drives",
    "train_drive_classifier",
]


def __getattr__(name: str) -> Any:
    if name == "DriveEstimator":  # needs scikit-learn, and nothing else here does
        from tree_world.models.drives.estimator import DriveEstimator

        return DriveEstimator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
