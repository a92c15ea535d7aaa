"""What tests of agents share."""

import pytest

from tree_world.models.drives import train_drive_classifier
from tree_world.simulation import TreeWorldConfig


@pytest.fixture(scope="session")
def classifier():
    """Tell food from poison, trained once for all."""
    return train_drive_classifier(TreeWorldConfig())[0]
