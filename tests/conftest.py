"""Fixtures that all tests share."""

import gc
import os

import hypothesis
import pytest
import torch

from tree_world.simulation import TreeWorld, TreeWorldConfig

# A machine that is busy is no fault of the code.
hypothesis.settings.register_profile("without deadlines", deadline=None)
hypothesis.settings.load_profile("without deadlines")

# Two processes test side by side: with a thread each they wait for nobody.
torch.set_num_threads(1)

# Files that take ten seconds or more, the longest first: so all processes end at about the same
# time. Those that look at pages stand between those that compile, so that two processes seldom
# compile the same side by side. The order costs or saves a minute; nothing else depends on it.
SLOW = (
    *("each_page", "touching", "interrupts", "browser", "ways_of_reading", "access", "reading"),
    *("build", "hand"),
    *("shifts", "localisation", "notebooks", "forager", "live", "consolidation", "failures"),
    *("compiling", "particles", "study_where", "turns", "lattices", "noisy_shifts", "finder"),
    *("agreement", "embeddings", "nbval_tolerance", "numbers", "times", "theme", "drives", "moved"),
    *("hot_swap", "claims", "docstrings", "pruning", "memory", "worlds", "gymnasium", "storage"),
    *("dark_figures", "figures_in_lab", "study_living", "narrow_figures", "forgetting"),
    *("sequences", "figure_living", "figure_drives", "figure_whereabouts", "figure_pruning"),
)


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where tests/models/test_devices.py computes")
    parser.addoption(
        "--renew-pictures", action="store_true", help="store what tests/book/test_touching.py draws"
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for garbage not among the million objects of what is imported, which stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture
def book_style():
    """Figures as the book has them, in a small size; closed afterwards."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    from tree_world import plotting

    with mpl.rc_context():
        plotting.use_book_style(dpi=80)
        yield
    plt.close("all")


@pytest.fixture
def device(request):
    """The device that ``--device`` names."""
    return request.config.getoption("--device")


@pytest.fixture
def renewed(request):
    """Whether stored pictures are drawn anew."""
    return request.config.getoption("--renew-pictures")


def pytest_collection_modifyitems(items):
    order = {f"test_{name}.py": place for place, name in enumerate(SLOW)}
    # Notebooks come before all.
    items.sort(
        key=lambda item: order.get(item.path.name, len(order)) if item.path.suffix == ".py" else -1
    )


@pytest.fixture(scope="session", autouse=True)
def vocabulary_folder(tmp_path_factory):
    """Keep the tests out of the user's own vocabulary files; all processes share one folder."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "vocabulary"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREE_WORLD_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def unavailable():
    """Skip a test where something is missing, but never let it pass unnoticed in CI."""

    def stop(reason):
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    return stop


@pytest.fixture(scope="session")
def browser(unavailable):
    """A browser without a window; one for all tests of a process, which can run no second."""
    from playwright.sync_api import sync_playwright

    from tools import browser as system_browser

    if system_browser.find() is None:
        unavailable(system_browser.MISSING)
    with sync_playwright() as playwright:
        browser = system_browser.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
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
