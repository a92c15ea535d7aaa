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

# Files that take a quarter of a minute, the longest first: so all processes end at about the same
# time. Their order costs or saves a minute, and nothing else depends on it.
SLOW = (
    *("browser", "access", "reading", "interrupts", "hand", "build", "notebooks", "consolidation"),
    *("ways_of_reading", "live", "localisation", "failures", "compiling", "agreement"),
    *("nbval_tolerance", "numbers", "embeddings", "theme", "moved", "forgetting", "claims"),
    *("pruning", "hot_swap", "drives", "storage", "memory"),
)


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where tests/models/test_devices.py computes")


@pytest.fixture
def device(request):
    """The device that ``--device`` names."""
    return request.config.getoption("--device")


def pytest_collection_modifyitems(items):
    order = {f"test_{name}.py": place for place, name in enumerate(SLOW)}
    # Notebooks come before all.
    items.sort(
        key=lambda item: order.get(item.path.name, len(order)) if item.path.suffix == ".py" else -1
    )


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
