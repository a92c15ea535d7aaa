"""Fixtures that all tests share."""

import hypothesis
import pytest
import torch

from tree_world.simulation import TreeWorld, TreeWorldConfig

# A machine that is busy is no fault of the code.
hypothesis.settings.register_profile("without deadlines", deadline=None)
hypothesis.settings.load_profile("without deadlines")

# Two processes test side by side: with a thread each they wait for nobody.
torch.set_num_threads(1)

# Files that take half a minute. They come first, lest one process waits for the other at the end.
SLOW = {
    *("access", "browser", "build", "compiling", "consolidation", "interrupts", "live"),
    *("localisation", "memory", "nbval_tolerance", "reading", "storage", "ways_of_reading"),
}


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where tests/models/test_devices.py computes")


@pytest.fixture
def device(request):
    """The device that ``--device`` names."""
    return request.config.getoption("--device")


def pytest_collection_modifyitems(items):
    order = {f"test_{name}.py" for name in SLOW}
    items.sort(key=lambda item: item.path.name not in order and item.path.suffix == ".py")


@pytest.fixture(scope="session", autouse=True)
def vocabulary_folder(tmp_path_factory):
    """Keep the tests out of the user's own vocabulary files."""
    folder = tmp_path_factory.mktemp("vocabulary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREE_WORLD_CACHE", str(folder))
        yield folder


@pytest.fixture
def make_world():
    """Plant trees at chosen places: ``make_world([[x, y], ...], kinds=[...], **choices)``."""

    def make(locations, kinds=None, *, model=None, sensor=None, seed=0, **choices):
        config = TreeWorldConfig(dim=len(locations[0]), **choices)
        kinds = ["apple"] * len(locations) if kinds is None else kinds
        names = config.tree_ids[: len(locations)]
        return TreeWorld(config, locations, kinds, names, model=model, sensor=sensor, seed=seed)

    return make


@pytest.fixture
def random_world():
    """Draw a world: ``random_world(seed, **choices)``."""

    def draw(seed=0, *, model=None, **choices):
        return TreeWorld.random_from_config(TreeWorldConfig(**choices), seed=seed, model=model)

    return draw
