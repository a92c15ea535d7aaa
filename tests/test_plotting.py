"""What the figures show must be where, and as strong, as the data say."""

import io
import itertools
import warnings

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.contour import QuadContourSet
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from PIL import Image

from tree_world import plotting
from tree_world.evaluation import mean_with_interval, reliability, survival_curve
from tree_world.models.places.localiser import Posterior
from tree_world.plotting.palette import oklab_to_srgb, srgb_to_oklab
from tree_world.simulation import DirectionalSensor, ExploringModel, Recording, SimpleSensor


@pytest.fixture(autouse=True)
def clean_matplotlib():
    """Give every test its own settings, and close what it drew."""
    with mpl.rc_context():
        yield
    plt.close("all")


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


def pixel_at(ax, place):
    """Colour that is drawn at a place given in the units of the axes, from 0 to 1."""
    drawn = pixels(ax.figure)
    column, row_from_below = np.round(ax.transData.transform(place)).astype(int)
    return drawn[drawn.shape[0] - 1 - row_from_below, column, :3] / 255


def png(figure):
    with io.BytesIO() as file:
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()


# --- orientation: x to the right, y up -----------------------------------------------------------


@given(
    cells=st.integers(1, 12),
    half_width=st.floats(1.0, 1e4),
)
def test_grid_points_are_the_centres_of_their_pixels(cells, half_width):
    grid = plotting.MapGrid(half_width, cells)
    west, east, south, north = grid.extent
    image = grid.image(grid.points.to(torch.float64))
    for row in range(cells):
        for column in range(cells):
            # The definition of imshow with origin="lower" and this extent.
            x = west + (east - west) * (column + 0.5) / cells
            y = south + (north - south) * (row + 0.5) / cells
            assert image[row, column] == pytest.approx([x, y], rel=1e-5, abs=1e-5 * half_width)


def test_a_lone_tree_and_its_scent_are_drawn_at_the_same_place(make_world):
    world = make_world([[300.0, 100.0]])
    grid = plotting.MapGrid(500.0, 50)
    _, scents, _ = SimpleSensor().sense(world, grid.points)
    palette = plotting.ScentPalette(torch.eye(3, world.config.sensory_embedding_dim))
    ax = plotting.plot_scent_field(scents, grid, palette)

    image = ax.images[0]
    assert image.origin == "lower"
    colors = image.get_array()
    far_from_paper = np.abs(colors[..., :3] - mpl.colors.to_rgb(plotting.PAPER)).sum(axis=-1)
    row, column = np.unravel_index(far_from_paper.argmax(), far_from_paper.shape)
    west, east, south, north = image.get_extent()
    assert west + (column + 0.5) * (east - west) / 50 == pytest.approx(300.0, abs=10.0)
    assert south + (row + 0.5) * (north - south) / 50 == pytest.approx(100.0, abs=10.0)

    plotting.plot_world(world, ax, legend=False)
    places = np.concatenate([group.get_offsets() for group in ax.collections])
    np.testing.assert_allclose(places, [[300.0, 100.0]])
    # And on the screen: the marker is right of the middle and a little above it.
    pixels(ax.figure)
    right, up = ax.transData.transform((300.0, 100.0)) - ax.transData.transform((0.0, 0.0))
    assert right > 0
    assert up > 0
    assert right / up == pytest.approx(3.0)  # equal aspect


def test_the_marker_is_painted_where_the_tree_stands(make_world):
    world = make_world([[300.0, 100.0]])
    plotting.use_book_style()
    ax = plotting.plot_world(world, legend=False)
    assert pixel_at(ax, (300.0, 100.0)) == pytest.approx(
        mpl.colors.to_rgb(plotting.EDIBLE), abs=0.01
    )
    assert pixel_at(ax, (100.0, 300.0)) == pytest.approx(
        mpl.colors.to_rgb(plotting.PAPER), abs=0.01
    )


def test_food_and_poison_differ_in_shape_and_colour(make_world):
    world = make_world([[0.0, 0.0], [100.0, 0.0]], ["apple", "manchineel"])
    ax = plotting.plot_world(world)
    food, poison = ax.collections
    np.testing.assert_allclose(food.get_offsets(), [[0.0, 0.0]])
    np.testing.assert_allclose(poison.get_offsets(), [[100.0, 0.0]])
    assert not np.allclose(food.get_facecolor(), poison.get_facecolor())
    assert len(food.get_paths()[0].vertices) != len(poison.get_paths()[0].vertices)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["edible", "poisonous"]


def test_axes_are_in_metres_and_not_stretched(make_world):
    ax = plotting.plot_world(make_world([[0.0, 0.0]]), half_width=250.0, title="A title")
    assert ax.get_xlim() == (-250.0, 250.0)
    assert ax.get_ylim() == (-250.0, 250.0)
    assert ax.get_aspect() == 1.0
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (m)", "y (m)")
    assert ax.get_title(loc="left") + ax.get_title() == "A title"


def test_every_tree_in_the_map_is_labelled_beside_itself(make_world):
    world = make_world(
        [[0.0, 0.0], [30.0, 0.0], [490.0, 0.0], [700.0, 0.0]], ["apple", "plum", "fig", "pear"]
    )
    ax = plotting.plot_world(world, label_kinds=True)
    labels = {text.get_text(): text for text in ax.texts}
    assert set(labels) == {"apple", "plum", "fig"}  # the pear stands outside
    assert labels["apple"].get_ha() == "right"  # away from the plum
    assert labels["plum"].get_ha() == "left"
    assert labels["fig"].get_ha() == "right"  # into the map


# --- what colours mean ---------------------------------------------------------------------------


@given(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3))
def test_oklab_round_trip(color):
    there = srgb_to_oklab(np.array([color]))
    np.testing.assert_allclose(oklab_to_srgb(there), [color], atol=1e-6)


def test_oklab_has_the_published_values():
    # Ottosson's own example pairs, as XYZ-free checks: white has lightness 1 and no colour.
    white = srgb_to_oklab(np.array([1.0, 1.0, 1.0]))
    np.testing.assert_allclose(white, [1.0, 0.0, 0.0], atol=1e-6)
    red = srgb_to_oklab(np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(red, [0.62796, 0.22486, 0.12585], atol=1e-4)


@pytest.fixture(scope="module")
def scents():
    return torch.randn(12, 16, generator=torch.Generator().manual_seed(0))


def distance_to_paper(colors):
    paper = srgb_to_oklab(np.array(mpl.colors.to_rgb(plotting.PAPER)))
    return np.linalg.norm(srgb_to_oklab(colors) - paper, axis=-1)


def test_nothing_is_paper(scents):
    palette = plotting.ScentPalette(scents)
    np.testing.assert_allclose(
        palette.colors(torch.zeros(1, 16)), [mpl.colors.to_rgb(plotting.PAPER)], atol=1e-6
    )


def test_more_scent_is_drawn_stronger(scents):
    palette = plotting.ScentPalette(scents)
    amounts = torch.linspace(0, 1.2, 25)[:, None]
    for scent in scents:
        strengths = palette.strength(amounts * scent)
        assert (np.diff(strengths) > 0).all()
        assert (np.diff(distance_to_paper(palette.colors(amounts * scent))) > 0).all()
    full = scents / scents.norm(dim=-1, keepdim=True) * palette.full_strength
    np.testing.assert_allclose(palette.strength(full), 1 - np.exp(-1.5), rtol=1e-5)


def test_a_mixture_has_a_colour_between_those_of_its_parts(scents):
    palette = plotting.ScentPalette(scents)
    unit = scents / scents.norm(dim=-1, keepdim=True)
    first, second = unit[0], unit[1]
    weights = torch.linspace(0, 1, 11)[:, None]
    mixtures = (1 - weights) * first + weights * second
    mixtures = mixtures / mixtures.norm(dim=-1, keepdim=True) * palette.full_strength
    colors = srgb_to_oklab(palette.colors(mixtures))[:, 1:]  # hue and chroma
    to_first = np.linalg.norm(colors - colors[0], axis=-1)
    to_second = np.linalg.norm(colors - colors[-1], axis=-1)
    assert (np.diff(to_first) > 0).all()
    assert (np.diff(to_second) < 0).all()


def test_hue_does_not_depend_on_the_amount(scents):
    palette = plotting.ScentPalette(scents)
    paper = srgb_to_oklab(np.array(mpl.colors.to_rgb(plotting.PAPER)))
    faint, strong = (
        srgb_to_oklab(palette.colors(factor * scents[:1])) - paper for factor in (0.2, 1.0)
    )
    cosine = (faint @ strong.T) / (np.linalg.norm(faint) * np.linalg.norm(strong))
    np.testing.assert_allclose(cosine, 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(4), r"\(4,\)"),
        (torch.ones(2, 8), "at least three"),
        (torch.zeros(3, 8), "not zero"),
        (torch.full((3, 8), torch.nan), "finite"),
    ],
)
def test_a_palette_refuses_what_it_cannot_tell_apart(given, message):
    with pytest.raises(ValueError, match=message):
        plotting.ScentPalette(given)


def test_unknown_is_hatched_and_nothing_is_paper(scents):
    grid = plotting.MapGrid(10.0, 2)
    known = torch.tensor([True, False, True, False])  # the east is unknown
    palette = plotting.ScentPalette(scents)
    ax = plotting.plot_scent_field(torch.zeros(4, 16), grid, palette, known=known)
    alpha = ax.images[0].get_array()[..., 3]
    np.testing.assert_array_equal(alpha, [[1.0, 0.0], [1.0, 0.0]])
    (hatching,) = ax.patches
    assert hatching.get_hatch()
    assert hatching.get_zorder() < ax.images[0].get_zorder()

    ax.figure.set_dpi(100)
    drawn = pixels(ax.figure)
    paper = np.round(np.array(mpl.colors.to_rgb(plotting.PAPER)) * 255)

    def share_of_paper(west, east):
        (left, low), (right, high) = ax.transData.transform([(west, -9), (east, 9)]).astype(int)
        height = drawn.shape[0]
        region = drawn[height - high : height - low, left:right, :3]
        return (np.abs(region - paper).max(axis=-1) <= 1).mean()

    assert share_of_paper(-9, -1) == 1.0
    assert share_of_paper(1, 9) == 0.0
    assert plotting.unknown_patch().get_hatch() == hatching.get_hatch()


def test_everything_is_known_unless_told_otherwise(scents):
    grid = plotting.MapGrid(10.0, 2)
    ax = plotting.plot_scent_field(torch.zeros(4, 16), grid, plotting.ScentPalette(scents))
    assert not ax.patches
    assert (ax.images[0].get_array()[..., 3] == 1).all()


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("half_width", "cells"),
    [(0.0, 5), (-1.0, 5), (np.nan, 5), (np.inf, 5), (5.0, 0), (5.0, 2.5), (5.0, True)],
)
def test_a_grid_needs_a_size(half_width, cells):
    with pytest.raises(ValueError, match=r"(half_width|cells_per_axis) of a map must be"):
        plotting.MapGrid(half_width, cells)


@pytest.mark.parametrize("values", [torch.zeros(3), torch.tensor(1.0), torch.zeros(5, 2)])
def test_a_grid_refuses_the_wrong_number_of_values(values):
    with pytest.raises(ValueError, match="needs 4 values"):
        plotting.MapGrid(10.0, 2).image(values)


def test_maps_are_for_the_plane(make_world):
    with pytest.raises(ValueError, match="2 dimensions, but this one has 3"):
        plotting.plot_world(make_world([[0.0, 0.0, 0.0]]))


def test_no_figure_without_panels():
    with pytest.raises(ValueError, match="whole number of at least 1"):
        plotting.map_panels(0)


def test_a_matrix_needs_one_embedding_a_word():
    with pytest.raises(ValueError, match="2 words and embeddings of shape"):
        plotting.plot_similarity(["a", "b"], torch.eye(3))


@pytest.mark.parametrize("heading", [[0.0, 0.0], [2.0, 0.0], [1.0, 0.0, 0.0]])
def test_sight_needs_a_unit_heading(heading):
    _, (ax,) = plotting.map_panels()
    with pytest.raises(ValueError, match="heading"):
        plotting.plot_sight(DirectionalSensor(), [0.0, 0.0], heading, ax)


# --- the other figures ---------------------------------------------------------------------------


def test_panels_are_given_in_order():
    figure, axes = plotting.map_panels(3)
    assert len(axes) == 3
    assert axes == figure.axes
    plotting.use_book_style()
    assert plotting.map_panels(2)[0].get_figwidth() == plotting.TEXT_WIDTH


def test_only_the_first_panel_has_a_label_for_y(make_world):
    world = make_world([[0.0, 0.0]])
    _, axes = plotting.map_panels(2)
    for ax in axes:
        plotting.plot_world(world, ax, legend=False)
    assert [ax.get_ylabel() for ax in axes] == ["y (m)", ""]


def test_the_cone_of_sight_is_the_cone_of_the_sensor(make_world):
    sensor = DirectionalSensor(max_sense_distance=80.0, heading_tolerance=0.9)
    world = make_world([[0.0, 0.0]])
    angle = 2.2
    heading = [np.cos(angle), np.sin(angle)]
    ax = plotting.plot_sight(sensor, [10.0, -20.0], heading, plotting.plot_world(world))
    (wedge,) = ax.patches
    assert wedge.center == pytest.approx((10.0, -20.0))
    assert wedge.r == 80.0
    pixels(ax.figure)
    middle = (wedge.theta1 + wedge.theta2) / 2
    assert middle == pytest.approx(np.degrees(angle), abs=1e-3)
    assert wedge.theta2 - wedge.theta1 == pytest.approx(2 * np.degrees(np.arccos(0.9)))
    # A tree is seen where the cone is drawn, and nowhere else.
    for radius, turn, seen in [
        (75, 0.41, True),
        (75, -0.41, True),
        (75, 0.5, False),
        (90, 0, False),
    ]:
        direction = angle + turn
        place = [10 + radius * np.cos(direction), -20 + radius * np.sin(direction)]
        found = sensor.sense(make_world([place]), [10.0, -20.0], heading)[2]
        assert (found is not None) == seen
        transformed = ax.transData.transform(place)
        assert wedge.contains_point(transformed) == seen


def test_a_trajectory_is_the_recording(random_world):
    world = random_world(14, model=ExploringModel())
    recording = world.run(200)
    ax = plotting.plot_trajectory(recording, world)
    walk = next(c for c in ax.collections if isinstance(c, mpl.collections.LineCollection))
    segments = np.array(walk.get_segments())
    np.testing.assert_array_equal(segments[:, 0], recording.positions[:-1])
    np.testing.assert_array_equal(segments[:, 1], recording.positions[1:])
    np.testing.assert_array_equal(walk.get_array(), recording.healths[1:])
    assert (walk.norm.vmin, walk.norm.vmax) == (0, world.config.max_health)
    marks = {line.get_label(): line.get_xydata()[-1] for line in ax.lines}
    np.testing.assert_array_equal(marks["start"], recording.positions[0])
    np.testing.assert_array_equal(marks["end"], recording.positions[-1])
    (bar,) = (other for other in ax.figure.axes if other is not ax)
    assert bar.get_ylabel() == "health (points)"


def recording_with_meals():
    healths = np.array([100.0, 98.0, 121.0, 119.0, 92.0])
    return Recording(
        positions=np.zeros((5, 2)),
        headings=np.tile([1.0, 0.0], (5, 1)),
        healths=healths,
        meal_steps=np.array([2, 4]),
        meal_trees=np.array([0, 1]),
        meal_healths=np.array([25.0, -25.0]),
    )


def test_meals_are_marked_on_the_ledger():
    recording = recording_with_meals()
    ax = plotting.plot_health(recording, title="Meals")
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), recording.healths)
    food, poison = ax.collections
    np.testing.assert_array_equal(food.get_offsets(), [[2, 121.0]])
    np.testing.assert_array_equal(poison.get_offsets(), [[4, 92.0]])


def test_similarities_are_cosines():
    vectors = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
    ax = plotting.plot_similarity(["east", "both", "north"], vectors, emphasis=["north"])
    shown = ax.images[0].get_array()
    half = 2**-0.5
    expected = [[np.nan, half, 0], [half, np.nan, half], [0, half, np.nan]]
    np.testing.assert_allclose(np.ma.filled(shown, np.nan), expected, atol=1e-6)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["east", "both", "north"]
    assert ax.get_yticklabels()[2].get_color() == plotting.POISONOUS
    assert ax.get_yticklabels()[0].get_color() != plotting.POISONOUS


def test_the_profile_is_the_strength_of_the_sensor():
    sensor = SimpleSensor(max_sense_distance=60.0, edge_strength=0.25)
    ax = plotting.plot_kernel_profile(sensor)
    distances, strengths = ax.lines[0].get_data()
    np.testing.assert_allclose(
        strengths, np.exp(-(distances**2) / (2 * sensor.diffusion_time)), rtol=1e-5
    )
    assert strengths[0] == 1.0
    notes = " ".join(text.get_text() for text in ax.texts)
    assert "M = 60 m, strength 0.25" in notes
    assert "strength 0.61" in notes


def test_survival_is_drawn_as_steps_to_the_end():
    curve = survival_curve([100, 200, 300], [True, True, False])
    ax = plotting.plot_survival({"some": curve}, until=400)
    (line,) = ax.lines
    times, shares = line.get_data()
    assert line.get_drawstyle() == "steps-post"
    assert times[-1] == 400
    assert shares[0] == 1.0
    assert shares[-1] == pytest.approx(1 / 3)
    assert ax.get_legend().get_texts()[0].get_text() == "some"


def test_values_are_drawn_upright_and_hatched_where_unknown():
    grid = plotting.MapGrid(10.0, 2)
    values = torch.tensor([0.0, 1.0, 2.0, 3.0])  # south-west, south-east, north-west, north-east
    known = torch.tensor([True, True, False, True])
    ax = plotting.plot_value_field(values, grid, label="error (m)", known=known, limits=(0.0, 4.0))
    shown = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
    np.testing.assert_array_equal(shown, [[0.0, 1.0], [np.nan, 3.0]])
    assert ax.images[0].origin == "lower"
    assert ax.images[0].get_clim() == (0.0, 4.0)
    (hatching,) = ax.patches
    assert hatching.get_hatch()
    (bar,) = (other for other in ax.figure.axes if other is not ax)
    assert bar.get_ylabel() == "error (m)"
    assert not plotting.plot_value_field(values, grid, label="error").patches


def test_observations_are_drawn_in_place_and_as_large_as_their_weights(make_world):
    places = torch.tensor([[10.0, -20.0], [30.0, 40.0]])
    ax = plotting.plot_world(make_world([[0.0, 0.0]]), legend=False)
    before = len(ax.collections)
    plotting.plot_observations(places, ax)
    (dots,) = ax.collections[before:]
    np.testing.assert_allclose(dots.get_offsets(), places)
    plotting.plot_observations(places, ax, weights=torch.tensor([0.1, 0.4]))
    discs = ax.collections[-1]
    np.testing.assert_allclose(discs.get_offsets(), places)
    np.testing.assert_allclose(discs.get_sizes(), [36.0, 144.0], rtol=1e-5)


def test_estimates_are_drawn_with_their_intervals():
    estimates = [mean_with_interval([1.0, 3.0, 2.0]), mean_with_interval([4.0, 5.0, 9.0])]
    curves = {"one": estimates, "two": estimates[::-1]}
    ax = plotting.plot_estimates([10, 20], curves, xlabel="x (m)", ylabel="y")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 2.0], [20, 6.0]])
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.min() == pytest.approx(min(e.low for e in estimates))
    assert edges.max() == pytest.approx(max(e.high for e in estimates))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    alone = plotting.plot_estimates([1, 2], {"a": estimates}, xlabel="x", ylabel="y", log=False)
    assert alone.get_legend() is None
    assert alone.get_xscale() == "linear"


def test_distributions_say_which_share_is_at_most_how_large():
    ax = plotting.plot_distributions({"errors": [3.0, 1.0, 2.0, 2.0]}, xlabel="error")
    np.testing.assert_allclose(
        ax.lines[0].get_xydata(), [[1.0, 0.25], [2.0, 0.5], [2.0, 0.75], [3.0, 1.0]]
    )


def test_drives_are_drawn_in_their_colours_and_support_as_opacity():
    grid = plotting.MapGrid(10.0, 2)
    chances = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3]])
    support = [1.0, 0.5, 0.0, 1.0]
    ax = plotting.plot_drive_field(chances, grid, support=support)
    image = np.asarray(ax.images[0].get_array())
    hues = {
        name: mpl.colors.to_rgb(getattr(plotting, name))
        for name in ("POISONOUS", "EDIBLE", "PAPER")
    }
    np.testing.assert_allclose(image[0, 0], [*hues["POISONOUS"], 1.0])  # south-west
    np.testing.assert_allclose(image[0, 1], [*hues["EDIBLE"], 0.5])
    np.testing.assert_allclose(image[1, 0], [*hues["PAPER"], 0.0])
    np.testing.assert_allclose(image[1, 1], [*hues["PAPER"], 1.0])  # a guess is not a verdict
    assert ax.images[0].origin == "lower"
    assert ax.patches[0].get_hatch()
    assert not plotting.plot_drive_field(chances, grid).patches
    with pytest.raises(ValueError, match="shape"):
        plotting.plot_drive_field(chances[:, :2], grid)


def test_reliability_is_drawn_beside_its_diagonal():
    bins = reliability([0.1, 0.1, 0.9], [0.0, 1.0, 1.0])
    ax = plotting.plot_reliability({"a": bins})
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[0.1, 0.5], [0.9, 1.0]])
    np.testing.assert_allclose(ax.collections[0].get_sizes(), [12 + 320 / 3, 12 + 160 / 3])


def test_samples_and_their_agent_are_where_they_are(make_world):
    places = torch.tensor([[10.0, -20.0], [30.0, 40.0]])
    ax = plotting.plot_world(make_world([[0.0, 0.0]]), legend=False)
    plotting.plot_samples(places, ax, agent=[5.0, -7.0])
    np.testing.assert_allclose(ax.collections[-1].get_offsets(), places)
    np.testing.assert_allclose(ax.lines[-1].get_xydata(), [[5.0, -7.0]])


def test_contours_hold_their_share_of_a_density(make_world):
    grid = plotting.MapGrid(100.0, 201)
    x, y = grid.points.T
    density = torch.exp(-0.5 * (((x - 30) / 10) ** 2 + ((y + 40) / 20) ** 2))
    ax = plotting.plot_world(make_world([[0.0, 0.0]]), half_width=100.0, legend=False)
    plotting.plot_density(density, grid, ax)
    (contours,) = (c for c in ax.collections if isinstance(c, mpl.contour.ContourSet))
    # A contour of a Gaussian that holds the share p lies √(−2 log(1 − p)) deviations out.
    widths = [np.ptp(path.vertices[:, 0]) / 2 / 10 for path in contours.get_paths()]
    expected = [np.sqrt(-2 * np.log(1 - share)) for share in (0.95, 0.8, 0.5)]
    np.testing.assert_allclose(widths, expected, rtol=0.02)
    outer = contours.get_paths()[0].vertices
    np.testing.assert_allclose((outer.min(0) + outer.max(0)) / 2, [30, -40], atol=0.5)
    with pytest.raises(ValueError, match="positive"):
        plotting.plot_density(torch.zeros(201**2), grid, ax)


def test_a_posterior_is_drawn_where_its_cells_are():
    places = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])  # one corner is unknown
    posterior = Posterior(
        torch.tensor([0.2, 0.6, 0.2]),
        torch.zeros(2),
        torch.tensor([10.0, 0.0]),
        torch.tensor([False, True, False]),
        100.0,
        1.3,
        True,
        places,
        10.0,
    )
    _, (ax,) = plotting.map_panels(1)
    plotting.plot_posterior(posterior, ax, truth=[8.0, 1.0], half_width=50.0)
    shown = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
    np.testing.assert_allclose(shown, [[1 / 3, 1.0], [1 / 3, np.nan]], rtol=1e-6)
    assert ax.images[0].get_extent() == [-5.0, 15.0, -5.0, 15.0]
    points = [line.get_xydata()[0].tolist() for line in ax.lines]
    assert points == [[10.0, 0.0], [8.0, 1.0]]
    assert ax.patches[0].get_hatch()


def test_a_posterior_with_a_column_that_is_unknown_is_drawn_where_its_cells_are():
    places = torch.tensor([[0.0, 0.0], [30.0, 0.0], [30.0, 10.0]])
    posterior = Posterior(
        torch.tensor([0.1, 0.2, 0.7]),
        torch.zeros(2),
        torch.tensor([30.0, 10.0]),
        torch.tensor([False, False, True]),
        100.0,
        1.0,
        True,
        places,
        10.0,
    )
    _, (ax,) = plotting.map_panels(1)
    plotting.plot_posterior(posterior, ax, half_width=50.0)
    assert ax.images[0].get_extent() == [-5.0, 35.0, -5.0, 15.0]
    shown = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
    row = np.full(4, np.nan)
    row[3] = 1.0
    np.testing.assert_allclose(shown[1], row)
    (outlines,) = (c for c in ax.collections if isinstance(c, QuadContourSet))
    (outline,) = outlines.get_paths()
    assert np.abs(outline.vertices.min(axis=0) - [25.0, 5.0]).max() < 0.6  # the edges of one cell
    assert np.abs(outline.vertices.max(axis=0) - [35.0, 15.0]).max() < 0.6
    np.testing.assert_allclose(outline.vertices[0], outline.vertices[-1])  # closed


def test_a_posterior_is_shown_around_a_place():
    places = torch.tensor([[300.0, -200.0], [310.0, -200.0], [300.0, -190.0]])
    posterior = Posterior(
        torch.tensor([0.2, 0.6, 0.2]),
        torch.zeros(2),
        torch.tensor([310.0, -200.0]),
        torch.tensor([False, True, False]),
        100.0,
        1.0,
        True,
        places,
        10.0,
    )
    _, (first, second) = plotting.map_panels(2, share=False)
    plotting.plot_posterior(posterior, first, half_width=50.0, centre=[300.0, -210.0])
    plotting.plot_posterior(posterior, second, half_width=80.0)
    assert first.get_xlim() == (250.0, 350.0)
    assert first.get_ylim() == (-260.0, -160.0)  # and the panel beside it does not change that
    assert second.get_ylim() == (-80.0, 80.0)
    hatched = first.patches[0]
    assert (hatched.get_xy(), hatched.get_width()) == ((250.0, -260.0), 100.0)


BUILT = {"roof": ["wall", "ground"], "wall": ["ground", "stairs"], "tree": ["ground"]}


def boxes(ax):
    found = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    return dict(zip([text.get_text() for text in ax.texts], found, strict=True))


def test_layers_stand_above_what_they_use():
    ax = plotting.plot_layers(BUILT, title="A house")
    assert "A house" in (ax.get_title(), ax.get_title(loc="left"))
    assert {name: box.get_y() for name, box in boxes(ax).items()} == pytest.approx(
        {"roof": 1.8, "wall": 1.02, "tree": 1.02, "ground": 0.24, "stairs": 0.24}
    )
    sides = [(box.get_x(), box.get_x() + box.get_width()) for box in boxes(ax).values()]
    assert all(0 < left < right < plotting.TEXT_WIDTH for left, right in sides)
    for one, other in (("wall", "tree"), ("ground", "stairs")):
        first, second = sorted(
            (boxes(ax)[name].get_x(), boxes(ax)[name].get_width()) for name in (one, other)
        )
        assert first[0] + first[1] + 0.2 < second[0]


def test_arrows_that_others_say_already_are_left_out():
    ax = plotting.plot_layers(BUILT)
    arrows = {patch.get_gid() for patch in ax.patches if isinstance(patch, FancyArrowPatch)}
    wanted = [("roof", "wall"), ("wall", "ground"), ("wall", "stairs"), ("tree", "ground")]
    assert arrows == {f"{one} uses {other}" for one, other in wanted}


def test_long_arrows_go_between_boxes():
    ax = plotting.plot_layers({"top": ["w" * 50, "far"], "w" * 50: ["foot"]})
    ax.figure.draw_without_rendering()
    (arrow,) = (patch for patch in ax.patches if patch.get_gid() == "top uses far")
    line = arrow.get_path().to_polygons(closed_only=False)[0]
    points = np.concatenate([np.linspace(*pair, 50) for pair in itertools.pairwise(line)])
    wide = boxes(ax)["w" * 50]
    low = np.array([wide.get_x(), wide.get_y()])
    high = low + np.array([wide.get_width(), wide.get_height()])
    assert ((points > low) & (points < high)).any()  # beside the box
    assert not ((points > low) & (points < high)).all(axis=1).any()


@pytest.mark.parametrize(
    ("uses", "told"),
    [
        ({"a": ["b"], "b": ["c"], "c": ["a"], "d": []}, "a, b, c lead in a circle"),
        ({}, "nothing to draw"),
    ],
)
def test_what_has_no_rows_is_not_drawn(uses, told):
    with pytest.raises(ValueError, match=told):
        plotting.plot_layers(uses)


def test_a_frontier_joins_its_settings():
    estimates = [mean_with_interval([1.0, 3.0]), mean_with_interval([4.0, 6.0])]
    ax = plotting.plot_frontier(
        {"T": (estimates, estimates[::-1], ["0.1", "1"])},
        {"other": (estimates[0], estimates[1])},
        xlabel="way (m)",
        ylabel="food (m)",
    )
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[2.0, 5.0], [5.0, 2.0]])
    assert [text.get_text() for text in ax.texts] == ["0.1", "1"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["T", "other"]


def test_curves_may_have_positions_of_their_own():
    estimates = [mean_with_interval([1.0, 3.0, 2.0]), mean_with_interval([4.0, 5.0, 9.0])]
    ax = plotting.plot_estimates(
        {"one": [1, 2], "two": [5, 8]},
        {"one": estimates, "two": estimates},
        xlabel="x",
        ylabel="y",
    )
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [5, 8])
    np.testing.assert_allclose(ax.get_xticks(), [1, 2, 5, 8])
    assert ax.lines[0].get_marker() == "o"
    many = plotting.plot_estimates(range(30), {"a": 15 * estimates}, xlabel="x", ylabel="y")
    assert not many.lines[0].get_marker()


def test_what_is_left_what_has_gone_and_what_is_not_told_differ():
    places = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    kept = torch.tensor([False, True, False])
    _, (ax,) = plotting.map_panels(1)
    plotting.plot_forgotten(
        places, kept, ax, spoilt=torch.tensor([False, False, True]), half_width=50.0, title="T"
    )
    shown = {dots.get_label(): dots.get_offsets().tolist() for dots in ax.collections}
    assert shown == {
        "gone, and told by the rest": [[1.0, 2.0]],
        "left": [[3.0, 4.0]],
        "gone, and no longer told": [[5.0, 6.0]],
    }
    _, (ax,) = plotting.map_panels(1)
    plotting.plot_forgotten(places, kept, ax)
    assert [len(dots.get_offsets()) for dots in ax.collections] == [2, 1]


def test_reads_on_a_line_lead_to_what_has_gone():
    _, axes = plotting.graph_panels(2)
    ax = plotting.plot_reads_on_a_line(
        [0.0, 5.0, 9.0],
        {"before": [1.0, 1.0, 2.0], "after": [1.0, 1.0, 1.0]},
        [0.0, 9.0],
        [1.0, 2.0],
        [True, False],
        axes[1],
        at_places=[1.0, 1.0],
        title="T",
    )
    shown = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert shown["before"] == [[0.0, 1.0], [5.0, 1.0], [9.0, 2.0]]
    assert shown["left"] == [[0.0, 1.0]]
    assert shown["gone"] == [[9.0, 2.0]]
    assert [[9.0, 1.0], [9.0, 2.0]] in shown.values()
    assert axes[0].get_shared_y_axes().joined(*axes)


def test_a_legend_under_a_figure_covers_no_panel(scents):
    figure, axes = plotting.map_panels(3)
    before = figure.get_figheight()
    grid = plotting.MapGrid(100.0, 2)
    palette = plotting.ScentPalette(scents)
    for ax in axes:
        plotting.plot_scent_field(scents[:1].repeat(4, 1), grid, palette, ax, title="T")
    named = {"one": scents[0], "two": scents[1]}
    legend = plotting.scent_legend(palette, named, figure)
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two", "unknown"]
    assert figure.get_figheight() > before
    pixels(figure)
    box = legend.get_window_extent()
    assert box.y0 >= 0
    for ax in axes:
        panel = ax.get_tightbbox()
        assert panel.y0 >= box.y1 - 1
        assert panel.y1 <= figure.bbox.y1
        assert panel.width > figure.bbox.width / 4
    swatches = [patch for patch in legend.findobj(Rectangle) if not patch.get_hatch()]
    colors = np.array([patch.get_facecolor()[:3] for patch in swatches])
    assert len(colors) == 6
    full, half, fifth = distance_to_paper(colors[:3])
    assert full > half > fifth > 0


def test_a_swap_is_drawn_in_time():
    figure, axes = plotting.stacked_panels((1.0, 2.0))
    plotting.plot_size([0.0, 1.0, 2.0], [10, 11, 4], axes[0], title="Size")
    plotting.plot_latencies([0.0, 1.0, 2.0], [3.0, 5.0, 4.0], axes[1], limit=20, title="Steps")
    plotting.mark_times({"t": 0.5, "later": 1.5}, axes)
    np.testing.assert_allclose(axes[0].lines[0].get_xydata(), [[0, 10], [1, 11], [2, 4]])
    assert axes[0].lines[0].get_drawstyle() == "steps-post"
    stems = axes[1].collections[0].get_segments()
    assert [segment[1].tolist() for segment in stems] == [[0, 3], [1, 5], [2, 4]]
    assert [text.get_text() for text in axes[0].texts] == ["t", "later"]
    for ax in axes:
        marks = [line.get_xdata()[0] for line in ax.lines if line.get_color() == plotting.CLAY]
        assert marks == [0.5, 1.5]
    heights = [ax.get_position().height for ax in axes]
    pixels(figure)
    assert heights[0] < heights[1]


def test_growth_is_drawn_on_logarithmic_axes_and_what_is_missing_left_out():
    ax = plotting.plot_growth(
        {"ours": ([10, 100], [1.0, 2.0]), "theirs": ([10, 100], [1.0, np.nan])},
        ylabel="time (s)",
        emphasis="ours",
        title="Growth",
    )
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    ours, theirs = ax.lines
    np.testing.assert_allclose(ours.get_xydata(), [[10, 1], [100, 2]])
    assert np.isnan(theirs.get_ydata()[1])
    assert ours.get_linewidth() > theirs.get_linewidth()
    assert ours.get_marker() != theirs.get_marker()


def test_a_roof_has_its_ridge_where_both_limits_meet():
    ax = plotting.plot_roofline(
        {"thin": (0.5, 2e9), "thick": (100.0, 40e9)}, peak_flops=80e9, bandwidth=10e9, title="Roof"
    )
    roof = ax.lines[0].get_xydata()
    np.testing.assert_allclose(roof[1], [8.0, 80.0])
    np.testing.assert_allclose(roof[0], [0.125, 1.25])
    np.testing.assert_allclose(roof[2], [800.0, 80.0])
    points = [line.get_xydata()[0].tolist() for line in ax.lines[1:]]
    assert points == [[0.5, 2.0], [100.0, 40.0]]
    assert [text.get_text() for text in ax.texts] == ["80 Gflop/s", "10 GB/s"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["thin", "thick"]


def test_percentiles_are_drawn_in_time_with_their_limit():
    _, (ax,) = plotting.stacked_panels((2.0,))
    plotting.plot_percentiles(
        [1, 2], {"median": [1.0, 2.0], "worst": [5.0, 50.0]}, ax, ylabel="ms", limit=100, title="T"
    )
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[1, 5], [2, 50]])
    assert ax.lines[2].get_ydata()[0] == 100
    assert ax.get_yscale() == "log"
    assert ax.lines[0].get_alpha() > ax.lines[1].get_alpha()


# --- style ---------------------------------------------------------------------------------------


def draw_each_kind(make_world, random_world):
    """One figure of each kind, drawn anew."""
    world = random_world(3, model=ExploringModel())
    recording = world.run(60)
    grid = plotting.MapGrid(500.0, 20)
    scents = SimpleSensor().sense(world, grid.points)[1]
    palette = plotting.ScentPalette.from_world(world)
    names = [tree.tree_id for tree in world.trees[:5]]
    field = plotting.plot_scent_field(scents, grid, palette, known=scents.norm(dim=-1) > 0.1)
    return [
        plotting.plot_world(world, label_kinds=True).figure,
        plotting.plot_sight(
            DirectionalSensor(), [0.0, 0.0], [1.0, 0.0], plotting.plot_world(world)
        ).figure,
        field.figure,
        plotting.plot_trajectory(recording, world, title="A walk").figure,
        plotting.plot_health(recording).figure,
        plotting.plot_similarity(names, world.embeddings[:5]).figure,
        plotting.plot_kernel_profile(SimpleSensor(), title="A kernel").figure,
        plotting.plot_survival({"a": survival_curve([5, 9], [True, True])}, until=10).figure,
    ]


def test_figures_are_the_same_bit_by_bit(make_world, random_world):
    plotting.use_book_style()
    first, second = (
        [png(figure) for figure in draw_each_kind(make_world, random_world)] for _ in range(2)
    )
    assert first == second


def test_figures_draw_without_warnings_and_leave_the_settings_alone(make_world, random_world):
    plotting.use_book_style()
    settings = dict(mpl.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in draw_each_kind(make_world, random_world):
            pixels(figure)
    assert dict(mpl.rcParams) == settings


def test_the_style_brings_its_own_type(caplog):
    plotting.use_book_style()
    family = mpl.font_manager.findfont("Inter", fallback_to_default=False)
    assert family.endswith("Inter-Regular.ttf")
    bold = mpl.font_manager.FontProperties(family="Inter", weight=600)
    assert mpl.font_manager.findfont(bold, fallback_to_default=False).endswith("SemiBold.ttf")
    # Letters and signs that the captions and axes use.
    face = mpl.font_manager.get_font(family)
    assert all(face.get_char_index(ord(letter)) for letter in "Mm²−±°×éüß")
    assert not caplog.records


def test_resolution_can_be_chosen_from_outside(monkeypatch):
    monkeypatch.delenv("TREE_WORLD_FIGURE_DPI", raising=False)
    plotting.use_book_style()
    assert mpl.rcParams["savefig.dpi"] == plotting.DEFAULT_DPI
    monkeypatch.setenv("TREE_WORLD_FIGURE_DPI", "123")
    plotting.use_book_style()
    assert mpl.rcParams["figure.dpi"] == mpl.rcParams["savefig.dpi"] == 123
    plotting.use_book_style(dpi=50)
    assert mpl.rcParams["savefig.dpi"] == 50


def test_the_resolution_is_that_of_the_file(random_world):
    plotting.use_book_style(dpi=100)
    figure = plotting.plot_kernel_profile(SimpleSensor()).figure
    image = Image.open(io.BytesIO(png(figure)))
    assert image.size == (740, 310)


@pytest.mark.parametrize("dpi", [0, -3, float("nan"), float("inf"), "many"])
def test_a_resolution_must_be_a_number(dpi, monkeypatch):
    with pytest.raises(ValueError, match="dots per inch"):
        plotting.use_book_style(dpi)
    monkeypatch.setenv("TREE_WORLD_FIGURE_DPI", str(dpi))
    with pytest.raises(ValueError, match="dots per inch"):
        plotting.use_book_style()


# --- what callers have ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "as_given",
    [
        lambda tensor: tensor.clone().requires_grad_(),
        lambda tensor: tensor.bfloat16(),
        lambda tensor: tensor.double(),
        lambda tensor: tensor.numpy(),
        lambda tensor: tensor.tolist(),
    ],
    ids=["with gradients", "bfloat16", "float64", "array", "list"],
)
def test_tensors_of_every_kind_are_drawn(as_given, scents):
    grid = plotting.MapGrid(100.0, 4)
    generator = torch.Generator().manual_seed(0)
    field = as_given(torch.rand(16, scents.shape[1], generator=generator))
    values = as_given(torch.rand(16, generator=generator))
    chances = as_given(torch.rand(16, 3, generator=generator).softmax(-1))
    places = as_given(torch.rand(16, 2, generator=generator))
    figure, axes = plotting.map_panels(2)
    plotting.ScentPalette(as_given(scents)).colors(field)
    plotting.plot_scent_field(field, grid, plotting.ScentPalette(scents), axes[0], known=values)
    plotting.plot_value_field(values, grid, axes[0], label="value")
    plotting.plot_drive_field(chances, grid, axes[0], support=values)
    plotting.plot_observations(places, axes[1], weights=values)
    plotting.plot_samples(places, axes[1])
    plotting.plot_density(values, grid, axes[1])
    figure.canvas.draw()
    plt.close(figure)


def test_scents_that_are_all_alike_have_one_colour():
    palette = plotting.ScentPalette(torch.ones(5, 8))
    colors = palette.colors(torch.ones(3, 8))
    assert np.isfinite(colors).all()
    assert np.ptp(colors, axis=0).max() == 0
