"""A picture of a world and of who lives there, as pixels.

Plain, for whoever watches a learner: figures of the book are drawn by `tree_world.plotting`, which
knows this part of the library and is not known here. Matplotlib is imported when it is needed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tree_world.optional import from_extra
from tree_world.simulation import stepping
from tree_world.simulation.trees import images_of
from tree_world.simulation.worlds import Worlds

PAPER, INK, FOOD, POISON = "#fbfaf6", "#1f2622", "#009E73", "#D55E00"
INCHES, DOTS_PER_INCH = 5.0, 100


def picture_of(worlds: Worlds, index: int, half_width: float) -> np.ndarray:
    """Draw one of some worlds: trees, the agent with its cone of sight, and its health.

    Trees are green discs where edible, orange crosses where poisonous, and pale where they bear
    no fruit. In a world with a period, all images of a tree are shown.

    Parameters
    ----------
    worlds : Worlds
        Of two dimensions.
    index : int
    half_width : float
        The picture shows as much, in metres, to each side of the middle, and more where the agent
        has gone further.

    Returns
    -------
    numpy.ndarray of shape (500, 500, 3), uint8
    """
    with from_extra("plot", "a picture of a world"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle, Wedge

    arrays = worlds.arrays
    x, y = arrays.position[index].tolist()
    choices = arrays.choices[index]
    half_width = max(half_width, 1.1 * abs(x), 1.1 * abs(y))
    figure = Figure(figsize=(INCHES, INCHES), dpi=DOTS_PER_INCH, facecolor=PAPER)
    canvas: Any = FigureCanvasAgg(figure)  # which is not typed
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_axis_off()
    ax.set_xlim(-half_width, half_width)
    ax.set_ylim(-half_width, half_width)
    images, places = images_of(
        arrays.locations[index], choices[stepping.PERIOD] or None, half_width
    )
    bears = worlds.fruit_counts[index].numpy()[images] > 0
    poisonous = worlds.is_poisonous[index].numpy()[images]
    for of_kind, marker, color in ((~poisonous, "o", FOOD), (poisonous, "X", POISON)):
        for which, alpha in ((of_kind & bears, 1.0), (of_kind & ~bears, 0.3)):
            xs, ys = places[which].T
            ax.scatter(xs, ys, s=50, color=color, marker=marker, alpha=alpha, linewidth=0, zorder=2)
    ahead = math.degrees(math.atan2(*arrays.heading[index, ::-1]))
    half_angle = math.degrees(math.acos(choices[stepping.TOLERANCE]))
    edges = ahead - half_angle, ahead + half_angle
    ax.add_patch(Wedge((x, y), choices[stepping.SIGHT_REACH], *edges, color=INK, alpha=0.12))
    ax.plot(x, y, "s", markersize=7, color=INK, zorder=3)
    share = arrays.health[index, 0] / choices[stepping.MAX_HEALTH]
    for width, alpha in ((1.0, 0.15), (share, 1.0)):
        ax.add_patch(
            Rectangle(
                (0, 0), width, 0.02, transform=ax.transAxes, color=INK, alpha=alpha, linewidth=0
            )
        )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
