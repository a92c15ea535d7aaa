"""What a figure says on dark paper must be what it says on light paper."""

from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb
from matplotlib.contour import ContourSet
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from tests import made_up_charts, made_up_spaces, made_up_tracks
from tree_world import plotting
from tree_world.models.places.localiser import Posterior
from tree_world.plotting import dark as dark_figures
from tree_world.plotting.dark import drawn_for_dark
from tree_world.plotting.palette import srgb_to_oklab
from tree_world.simulation import Recording, SimpleSensor

GRID = plotting.MapGrid(500.0, 40)


@contextmanager
def in_book_style():
    with mpl.rc_context():
        plotting.use_book_style(dpi=80)
        yield
    plt.close("all")


@pytest.fixture(autouse=True)
def book_style():
    with in_book_style():
        yield


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


def scents(world):
    axes = plotting.map_panels(1)[1]
    values = SimpleSensor().sense(world, GRID.points)[1]
    palette = plotting.ScentPalette.from_world(world)
    known = GRID.points[:, 0] < 200
    plotting.plot_scent_field(values, GRID, palette, axes[0], known=known)
    plotting.plot_world(world, axes[0], legend=False, label_kinds=True)
    named = {tree.name: tree.embedding for tree in world.trees[:3]}
    plotting.scent_legend(palette, named, axes[0].figure)
    return axes[0].figure


def drives(world):
    chances = torch.rand(len(GRID.points), 3, generator=torch.Generator().manual_seed(0))
    chances = chances / chances.sum(dim=1, keepdim=True)
    support = torch.linspace(0, 1, len(chances))
    return plotting.plot_drive_field(chances, GRID, support=support).figure


def life(world):
    steps = np.arange(50.0)
    recording = Recording(
        positions=np.stack([4 * steps, 100 * np.sin(steps / 9)], axis=1),
        headings=np.tile([1.0, 0.0], (50, 1)),
        healths=1000 - 20 * steps,
        meal_steps=np.array([2]),
        meal_trees=np.array([0]),
        meal_healths=np.array([25.0]),
    )
    return plotting.plot_trajectory(recording, world).figure


def posterior(world):
    places = plotting.MapGrid(100.0, 10).points
    chances = torch.exp(-places.square().sum(dim=1) / 2e3)
    chances = chances / chances.sum()
    region = chances > chances.median()
    peak = torch.tensor([10.0, 10.0])
    found = Posterior(chances, torch.zeros(2), peak, region, 2e4, 1.3, True, places, 20.0)
    ax = plotting.map_panels(1)[1][0]
    plotting.plot_posterior(found, ax, truth=[0.0, 0.0], half_width=200.0)
    plotting.plot_density(chances, plotting.MapGrid(100.0, 10), ax)
    return ax.figure


def curves(world):
    del world
    figure, (ax,) = plotting.graph_panels(1)
    x = np.linspace(0, 1, 20)
    for number, color in enumerate(plotting.SERIES):
        ax.plot(x, number + x, color=color, label=f"curve {number}")
    ax.fill_between(x, x, 2 * x, color=plotting.LEAF, alpha=0.2)
    ax.scatter(x, 3 * x, facecolor="none", edgecolor=plotting.INK, label="hollow")
    ax.plot(x, x, "o", color=plotting.POISONOUS, markerfacecolor=plotting.PAPER)
    ax.legend()
    ax.set(xlabel="x (m)", ylabel="y", title="A title")
    return figure


EVERYTHING = (scents, drives, life, posterior, curves)


def eight_trees(make_world):
    places = 200 * torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    return make_world(
        places, ["apple", "mango", "nightshade", "fig", "pear", "plum", "date", "cherry"]
    )


@dataclass
class Drawn:
    """A figure, as dots: before, in the dark, afterwards, and after saving has failed."""

    before: np.ndarray
    dark: np.ndarray
    letters: set[str]
    afterwards: np.ndarray
    after_failure: np.ndarray


@pytest.fixture(
    scope="module",
    params=(*EVERYTHING, *made_up_charts.FIGURES, *made_up_tracks.FIGURES, *made_up_spaces.FIGURES),
    ids=lambda draw: draw.__name__.replace("_", " "),
)
def drawn(request, make_world):
    """To draw takes long: once for all tests."""
    with in_book_style():
        needs_world = request.param in EVERYTHING
        figure = request.param(eight_trees(make_world)) if needs_world else request.param()
        before = settled(figure)
        with drawn_for_dark(figure):
            letters = {to_hex(text.get_color()) for text in figure.findobj(Text) if text.get_text()}
            dark = pixels(figure)
        afterwards = pixels(figure)
        with pytest.raises(OSError, match="full"), drawn_for_dark(figure):
            raise OSError("the disk is full")
        return Drawn(before, dark, letters, afterwards, pixels(figure))


def settled(figure):
    """Draw until nothing moves any more: layout settles in a few rounds."""
    last = pixels(figure)
    for _ in range(20):
        now = pixels(figure)
        if np.array_equal(now, last):
            return now
        last = now
    raise AssertionError("the layout of the figure does not settle")


def test_a_figure_is_afterwards_as_it_was(drawn):
    assert drawn.dark.shape == drawn.before.shape
    assert not np.array_equal(drawn.dark, drawn.before)
    assert np.abs(drawn.afterwards.astype(int) - drawn.before).max() <= 1  # rounding


def test_a_figure_is_as_it_was_even_if_saving_fails(drawn):
    assert np.abs(drawn.after_failure.astype(int) - drawn.before).max() <= 1  # rounding


def test_no_light_paper_is_left(drawn):
    dark = drawn.dark[..., :3].astype(float) / 255
    np.testing.assert_allclose(dark[0, 0], to_rgb(dark_figures.PAPER), atol=1 / 255)
    paper = np.abs(dark - to_rgb(plotting.PAPER)).max(axis=-1) < 0.02
    fill = np.abs(dark - to_rgb(plotting.UNKNOWN_FILL)).max(axis=-1) < 0.02
    # Smoothed letters may pass through such a colour, but no more than that.
    assert paper.mean() < 1e-3
    assert fill.mean() < 1e-3


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(color, paper):
    bright, dim = sorted((luminance(color), luminance(paper)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_letters_can_be_read(drawn):
    assert drawn.letters
    assert all(contrast(color, dark_figures.PAPER) >= 4.5 for color in drawn.letters)


def test_curves_and_marks_stand_out():
    for color in (*plotting.SERIES, plotting.EDIBLE, plotting.POISONOUS, plotting.LINE):
        shown = dark_figures.COLORS.get(color, color)
        assert contrast(shown, dark_figures.PAPER) >= 3
    shown = {dark_figures.COLORS.get(color, color) for color in plotting.SERIES}
    assert len(shown) == len(plotting.SERIES)


def test_hue_and_strength_of_a_scent_stay(make_world):
    world = eight_trees(make_world)
    figure = scents(world)
    image = figure.axes[0].images[0]
    light = np.asarray(image.get_array())
    with drawn_for_dark(figure):
        dark = np.asarray(image.get_array())
    values = SimpleSensor().sense(world, GRID.points)[1]
    strength = GRID.image(plotting.ScentPalette.from_world(world).strength(values))

    def full_colour(shown, strength, paper):
        nothing = srgb_to_oklab(np.array(to_rgb(paper)))
        lab = srgb_to_oklab(shown[:, :3])
        return nothing + (lab - nothing) / strength[:, None]

    # A blend that leaves the colours of a screen is cut off: few do, and not where both are weak.
    clear = strength > 0.1
    light_full, dark_full = (
        full_colour(shown[clear], strength[clear], paper)
        for shown, paper in ((light, plotting.PAPER), (dark, dark_figures.PAPER))
    )
    difference = np.abs(light_full - dark_full).max(axis=-1)
    assert clear.sum() > 100
    assert np.quantile(difference, 0.9) < 1e-6
    assert difference.max() < 0.05
    np.testing.assert_array_equal(light[..., 3], dark[..., 3])


def test_nothing_is_paper_in_the_dark_too(make_world):
    figure = scents(make_world([[300.0, 100.0]] * 1 + [[2000.0, 2000.0]] * 2))
    image = figure.axes[0].images[0]
    with drawn_for_dark(figure):
        corner = np.asarray(image.get_array())[0, 0, :3]
    np.testing.assert_allclose(corner, to_rgb(dark_figures.PAPER), atol=1e-6)


def test_the_legend_of_scents_fades_into_dark_paper(make_world):
    world = eight_trees(make_world)
    figure = scents(world)
    legend = figure.legends[0]
    palette = plotting.ScentPalette.from_world(world)
    scent = world.trees[0].embedding
    expected = palette.colors(torch.stack([scent, 0.5 * scent, 0.2 * scent]), dark_figures.PAPER)
    with drawn_for_dark(figure):
        shown = [patch.get_facecolor()[:3] for patch in legend.findobj(Rectangle)[:4]]
    np.testing.assert_allclose(shown[:3], expected, atol=1e-6)
    assert not np.allclose(shown[3], expected[2], atol=0.02)  # the next scent begins anew


def test_contours_are_as_light_as_ink(make_world):
    figure = posterior(eight_trees(make_world))
    contours = [made for made in figure.axes[0].collections if isinstance(made, ContourSet)]
    before = [to_hex(made.get_edgecolor()[0]) for made in contours]
    assert before == [plotting.CLAY, plotting.INK]
    with drawn_for_dark(figure):
        pixels(figure)
        shown = [to_hex(made.get_edgecolor()[0]) for made in contours]
    assert shown == [dark_figures.COLORS[color] for color in before]
    pixels(figure)
    assert [to_hex(made.get_edgecolor()[0]) for made in contours] == before


def test_nothing_moves(make_world):
    figure = scents(eight_trees(make_world))
    pixels(figure)  # after one round the layout has not settled yet
    before = figure.axes[0].get_position().bounds
    with drawn_for_dark(figure):
        pixels(figure)
        assert figure.axes[0].get_position().bounds == before
    pixels(figure)
    assert figure.axes[0].get_position().bounds != before


def test_what_is_transparent_stays_so():
    figure = curves(None)
    hollow = figure.axes[0].collections[-1]
    (marked,) = figure.axes[0].plot([0, 1], [0, 1], "o", markerfacecolor="none")
    with drawn_for_dark(figure):
        assert len(hollow.get_facecolor()) == 0
        assert marked.get_markerfacecolor() == "none"


def test_a_figure_without_the_style_of_the_book_is_turned_as_well():
    with mpl.rc_context(mpl.rcParamsDefault):
        figure, ax = plt.subplots()
        ax.plot([0, 1], [0, 1], color="black")
        with drawn_for_dark(figure):
            dark = pixels(figure)[..., :3] / 255
    np.testing.assert_allclose(dark[0, 0], to_rgb(dark_figures.PAPER), atol=1 / 255)
    assert (np.abs(dark - to_rgb(dark_figures.INK)).max(axis=-1) < 0.02).any()
