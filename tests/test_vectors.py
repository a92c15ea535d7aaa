"""An SVG file of a figure is as large as its PNG, on white, and needs nothing beside it."""

import base64
import io
import re
from xml.etree import ElementTree

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image

from tests import made_up_spaces, made_up_tracks
from tree_world import plotting
from tree_world.plotting.vectors import MOST_MARKS, RASTER_DPI, WHITE, as_svg, drawn_as_vectors

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


@pytest.fixture(autouse=True, scope="module")
def book_style():
    with mpl.rc_context():
        plotting.use_book_style(dpi=80)
        yield
    plt.close("all")


def a_map():
    figure, axes = plotting.map_panels(1)
    values = np.sin(np.arange(400.0))
    plotting.plot_value_field(
        values, plotting.MapGrid(500.0, 20), axes[0], title="A map", label="error"
    )
    return figure


def marks(number, **how):
    figure, (ax,) = plotting.graph_panels(1)
    ax.scatter(np.arange(number), np.arange(number), **how)
    ax.set(xlabel=r"$\sigma_{12}$", ylabel="smell − error")
    return figure


FIGURES = {
    "a map": a_map,
    "a formula": lambda: marks(5),
    "tracks": made_up_tracks.FIGURES[0],
    "rows": made_up_spaces.FIGURES[3],
}


def png(figure, rounds=1):
    for _ in range(rounds):  # layout settles in a few
        written = io.BytesIO()
        figure.savefig(written, format="png", bbox_inches="tight")
    return np.asarray(Image.open(written), float)


@pytest.fixture(params=FIGURES, scope="module")
def made(request):
    """A figure, its PNG and its SVG."""
    figure = FIGURES[request.param]()
    return figure, png(figure, 3), as_svg(figure)


def test_a_file_is_as_large_as_the_png_and_the_figure_stays_as_it_was(made):
    figure, before, svg = made
    root = ElementTree.fromstring(svg)
    for side, dots in (("height", before.shape[0]), ("width", before.shape[1])):
        assert float(root.get(side).removesuffix("pt")) / 72 * 80 == pytest.approx(dots, abs=1.01)
    assert np.abs(png(figure) - before).max() <= 1


def test_a_figure_is_as_it_was_even_if_saving_fails():
    figure = marks(MOST_MARKS + 1)
    with drawn_as_vectors(figure):
        assert [artist for artist in figure.findobj() if artist.get_rasterized()]
    with pytest.raises(OSError, match="full"), drawn_as_vectors(figure):
        raise OSError("the disk is full")
    assert not [artist for artist in figure.findobj() if artist.get_rasterized()]
    assert to_hex(figure.get_facecolor()) == plotting.PAPER


def test_a_file_is_the_same_each_time_and_tells_of_no_date_and_no_program(made):
    figure, _, svg = made
    assert as_svg(figure) == as_svg(figure)
    said = re.sub(r"base64,[^)\"]+", "", svg)
    assert not re.search(r"metadata|matplotlib v|20\d\d-\d\d|dc:|/home|/tmp", said, re.IGNORECASE)
    ids = re.findall(r'\bid="([^"]+)"', said)
    assert len(ids) == len(set(ids))
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', said)
    assert used
    assert {one or other for one, other in used} <= set(ids)


@pytest.mark.parametrize("name", FIGURES)
def test_a_file_is_that_of_another_figure_made_in_the_same_way(name):
    once, again = FIGURES[name](), FIGURES[name]()
    for figure in (once, again):
        png(figure, 2)
    assert as_svg(once) == as_svg(again)


def test_it_is_on_white(made):
    _, _, svg = made
    assert plotting.PAPER not in svg
    assert WHITE in svg


def test_words_are_text_in_letters_that_the_file_brings(made):
    figure, _, svg = made
    root = ElementTree.fromstring(svg)
    style = root.find(f".//{SVG}style").text
    faces = re.findall(
        r"@font-face\{font-family:'([^']+)';font-weight:(\d+).*?base64,([^)]+)\)", style
    )
    letters = {}
    for family, _, data in faces:
        font = TTFont(io.BytesIO(base64.b64decode(data)))
        letters[family] = letters.get(family, set()) | {chr(code) for code in font.getBestCmap()}
    shown = [(e, "".join(e.itertext())) for e in root.iter(f"{SVG}text")]
    for element, words in shown:
        css = " ".join(one.get("style", "") for one in element.iter())
        known = set().union(*(known for name, known in letters.items() if name in css))
        assert set("".join(words.split())) <= known or not css
    drawn = {text.get_text() for text in figure.findobj(Text) if text.get_visible()}
    wanted = {words for words in drawn if words and "\n" not in words and "$" not in words}
    found = {words for _, words in shown}
    titles = {ax.get_title(loc="left") for ax in figure.axes} - {""}
    labels = {ax.get_xlabel() for ax in figure.axes if "$" not in ax.get_xlabel()} - {""}
    assert titles | labels <= wanted & found
    assert "sans-serif" in ElementTree.tostring(root, encoding="unicode")


def images(svg):
    for element in ElementTree.fromstring(svg).iter(f"{SVG}image"):
        picture = Image.open(io.BytesIO(base64.b64decode(element.get(LINK).partition(",")[2])))
        yield element, picture


def test_a_field_is_of_enough_dots():
    figure = a_map()
    png(figure)
    found = [(one, picture) for one, picture in images(as_svg(figure)) if picture.width > 200]
    assert found
    for element, picture in found:
        resolution = picture.width / float(element.get("width")) * 72
        assert resolution == pytest.approx(RASTER_DPI, rel=0.01)
    assert RASTER_DPI >= 200


@pytest.mark.parametrize(
    ("number", "sizes", "dots"),
    [(MOST_MARKS, 9.0, 0), (MOST_MARKS + 1, 9.0, 1), (MOST_MARKS // 2, None, 1)],
)
def test_many_marks_are_dots(number, sizes, dots):
    figure = marks(number, s=sizes or np.linspace(1, 90, number))
    png(figure)
    svg = as_svg(figure)
    assert len(list(images(svg))) == dots
    assert len(svg) < 300_000
