"""A life as it goes on: frames of a film."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tree_world.checks import whole_number
from tree_world.files import write_atomically
from tree_world.plotting.maps import plot_world
from tree_world.plotting.style import CLAY, INK, SOFT_INK
from tree_world.simulation import Recording, TreeWorld

_INCHES = (5.2, 5.8)
_A_SECOND = 12  # frames


def save_film(recording: Recording, world: TreeWorld, path: Path, *, num_frames: int = 96) -> None:
    """Draw a life as an animated picture in GIF.

    Each frame shows the trees, the way so far, and where the agent is; above stand the time and its
    health. The last frame is held for two seconds.

    Parameters
    ----------
    recording : Recording
        Of two dimensions.
    world : TreeWorld
        In which it was lived.
    path : pathlib.Path
        What was there before is replaced when the film is complete.
    num_frames : int, default=96
        How many different frames at most, from the first step to the last.

    Raises
    ------
    ValueError
        If the world has not two dimensions, or there is to be no frame.
    OSError
        If the file cannot be written.
    """
    num_frames = whole_number("num_frames", num_frames, least=1)
    steps = np.unique(np.linspace(0, recording.num_steps, num_frames).round().astype(int))
    places = recording.positions
    figure = Figure(figsize=_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    half_width = max(500.0, 1.05 * float(np.abs(places).max()))
    ax = plot_world(world, figure.add_subplot(), half_width=half_width)
    (way,) = ax.plot([], [], color=SOFT_INK, linewidth=1.4, zorder=5)
    (agent,) = ax.plot(
        [], [], "o", color=INK, markersize=8, markeredgecolor="white", markeredgewidth=1.2, zorder=6
    )
    title = ax.set_title("")

    def draw(step: int) -> list[Any]:
        way.set_data(*places[: step + 1].T)
        agent.set_data(*places[step : step + 1].T)
        alive = recording.healths[step] > 0
        agent.set_color(INK if alive else CLAY)
        title.set_text(f"step {step:,}, health {recording.healths[step]:,.0f}")
        return [way, agent, title]

    shown = [*steps.tolist(), *steps.tolist()[-1:] * (2 * _A_SECOND)]
    figure.draw_without_rendering()  # so that places are found once, and not for each frame
    figure.set_layout_engine("none")
    film = FuncAnimation(figure, draw, frames=shown, init_func=list)
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "film.gif"
        film.save(str(drawn), writer=PillowWriter(fps=_A_SECOND))
        write_atomically(path, drawn.read_bytes())
