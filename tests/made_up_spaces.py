"""One figure of each kind in `plotting.walks` and `plotting.spaces`, of spaces nobody learned."""

import numpy as np

from tests.made_up_tracks import walk
from tree_world import plotting

METHODS = ["learned space, and a memory", "sequences by heart", "the smell before", "never found"]


def what_it_gets():
    generator = np.random.default_rng(0)
    smells = np.cumsum(generator.normal(size=(200, 6)), axis=0) / np.arange(1, 7)
    return plotting.plot_what_it_gets(generator.integers(5, size=200), smells, title="All")[
        0
    ].figure


def losses():
    kinds = {
        kind: [
            {
                dim: (0.35 if dim < true else 0.06 + 0.01 * true) + 0.01 * world
                for dim in range(1, 6)
            }
            for world in range(4)
        ]
        for true, kind in enumerate(("on a line", "in the plane", "in space"), 1)
    }
    true_dims = {kind: dim for dim, kind in enumerate(kinds, 1)}
    return plotting.plot_losses(kinds, true_dims=true_dims, title="How many").figure


def occam():
    scales = np.geomspace(0.05, 20, 40)
    fit, size = -np.log1p(scales**2), np.log1p(3 * scales) - 1
    terms = {"fit": fit, "log-determinant": size, "evidence": fit + size}
    best = scales[np.argmax(fit + size)]
    return plotting.plot_occam(scales, terms, best=best, title="How large").figure


def unexplained():
    figure, axes = plotting.graph_panels(2, height=2.8)
    for panel, (ax, title) in enumerate(zip(axes, ("Its world", "A new one"), strict=True)):
        rows = {
            method: [None] if row == 3 else 1 - np.geomspace(0.5, 2.0, 12) * 10.0 ** (row - 3)
            for row, method in enumerate(METHODS)
        }
        plotting.plot_unexplained(rows, ax, labels=panel == 0, title=title)
    plotting.legend_under_figure(figure, *axes[0].get_legend_handles_labels())
    return figure


def fits():
    evidences = np.linspace(0.4, 2.0, 30)
    return plotting.plot_fits(evidences, np.exp(-((3 * evidences) ** 2) / 6)).figure


def differences():
    vectors = np.array([[120.0, 10.0], [-20.0, 130.0]])
    generator = np.random.default_rng(0)
    points = generator.integers(-2, 3, size=(400, 2)) @ vectors + generator.normal(size=(400, 2))
    return plotting.plot_differences(points, vectors=vectors, title="Alike").figure


def ways():
    true = walk()
    novel = [true[start] + walk(20, start)[:, ::-1] for start in range(0, 200, 25)]
    smelled = np.linspace(-1, 1, len(novel))
    return plotting.plot_ways(
        true, novel, 0.9 * smelled, smelled, label="a number", title="Ways"
    ).figure


def unfolding():
    true = walk()
    off = 20 * np.random.default_rng(0).normal(size=true.shape)
    stages = {"planes": true + off, "fields": 1.1 * true}
    figure = plotting.plot_unfolding(stages, true)[0].figure
    for _ in range(10):  # with titles above maps and a legend below them, layout settles slowly
        figure.draw_without_rendering()
    return figure


FIGURES = (
    what_it_gets,
    losses,
    occam,
    unexplained,
    fits,
    differences,
    ways,
    unfolding,
)
