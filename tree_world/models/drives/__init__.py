"""What is food and what is poison: a classifier of smells, and what it is taught by."""

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
    DriveEstimator,
    fit_drives,
    train_drive_classifier,
)

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
