"""The cover of the book: its name, what it is about, and the picture that it begins with."""

from __future__ import annotations

import io
import textwrap

from tools import settings

FONTS = settings.THEME.parent.parent / "tree_world" / "fonts"
WIDTH, HEIGHT = 1600, 2400
"""Dots, in the shape of a book."""
PAPER, INK, SOFT_INK, LEAF = "#fbfaf6", "#1f2622", "#5b665f", "#2a6b4c"
"""Those of the figures, `tree_world.plotting.style`, which takes seconds to import."""
_DPI = 200


def draw(title: str, promise: str, small: list[str], picture: bytes | None) -> bytes:
    """Draw a cover.

    Parameters
    ----------
    title, promise : str
        The name of the book, and a sentence about it.
    small : list of str
        What stands at the foot.
    picture : bytes, optional
        Of any kind that Pillow reads.

    Returns
    -------
    bytes
        A JPEG, the same for the same cover.
    """
    # They take a second, and a build that has a cover needs neither.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from PIL import Image

    regular, bold = (
        FontProperties(fname=str(FONTS / f"Inter-{one}.ttf")) for one in ("Regular", "SemiBold")
    )
    figure = Figure(figsize=(WIDTH / _DPI, HEIGHT / _DPI), dpi=_DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    left, right = 0.1, 0.9
    figure.text(left, 0.9, title, color=LEAF, size=52, va="top", fontproperties=bold)
    lines = "\n".join(textwrap.wrap(promise, 42))
    figure.text(
        left, 0.8, lines, color=INK, size=18, va="top", linespacing=1.5, fontproperties=regular
    )
    foot = " · ".join(filter(None, small))
    figure.text(left, 0.06, foot, color=SOFT_INK, size=13, fontproperties=regular)
    if picture is not None:
        with Image.open(io.BytesIO(picture)) as image:
            shown = image.convert("RGB")
        high = (right - left) * WIDTH * shown.height / shown.width / HEIGHT
        high = min(high, 0.58)
        axes = figure.add_axes((left, 0.13, right - left, high))
        axes.imshow(shown, interpolation="lanczos")
        axes.set_axis_off()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="jpg", dpi=_DPI, pil_kwargs={"quality": 90})
    return drawn.getvalue()
