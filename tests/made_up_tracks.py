"""One figure of each kind in `plotting.tracks` and `plotting.beliefs`, of walks nobody walked."""

import numpy as np

from tree_world import plotting

METHODS = ["tracker, with a compass", "tracker, without one", "particles", "smoother"]


def walk(number=200, seed=0):
    turns = 0.2 * np.random.default_rng(seed).normal(size=number)
    angles = np.cumsum(turns)
    steps = 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([np.zeros((1, 2)), steps.cumsum(axis=0)])


def paths(**options):
    true = walk()
    off = np.arange(201)[:, None] * [0.2, -0.1]
    closures = np.stack([true[:50:10] + off[:50:10], true[100:150:10]], axis=1)
    ways = {"truth": true, "dead reckoning": true + off, "tracker": true + 2.0, "smoothed": true}
    return plotting.plot_paths(ways, closures=closures, title="A walk", **options).figure


def drift():
    times = np.unique(np.geomspace(1, 3000, 40).astype(int))
    walks = np.abs(np.random.default_rng(0).normal(size=(12, 1)))
    powers = {"with a compass": 0.5, "a heading that walks": 1.5, "a bias": 2.0}
    errors = {
        label: scale * walks * (times**power)[None]
        for scale, (label, power) in zip((0.5, 0.05, 0.002), powers.items(), strict=True)
    }
    return plotting.plot_drift(times, errors, powers=powers).figure


def errors_in_time(log=False):
    times = np.arange(300)
    errors = 5 + 4 * np.sin(times / 20)
    claimed = 8 + 3 * np.cos(times / 30)
    nothing = (times > 80) & (times < 140)
    return plotting.plot_errors_in_time(errors, claimed, nothing=nothing, log=log).figure


def errors_on_a_log_axis():
    return errors_in_time(log=True)


def ellipses():
    _, axes = plotting.map_panels(2)
    for ax in axes:
        plotting.plot_guesses(np.zeros((1, 2)), [1.0], ax, truth=[10.0, 35.0], half_width=100.0)
        plotting.plot_ellipses(
            [[0.0, 0.0], [12.0, 20.0]],
            [[[800.0, 0.0], [0.0, 800.0]], [[60.0, 40.0], [40.0, 300.0]]],
            ax,
            labels=["before", "after"],
            linestyles=["--", "-"],
            truths=[[10.0, 35.0], [10.0, 35.0]],
        )
    handles, labels = axes[0].get_legend_handles_labels()
    plotting.legend_under_figure(axes[0].figure, handles, labels)
    return axes[0].figure


def claims():
    generator = np.random.default_rng(0)
    claimed = np.geomspace(0.001, 1.0, 2000)
    errors = claimed * np.abs(generator.normal(size=2000))
    figure, axes = plotting.graph_panels(2, height=3.6)
    plotting.plot_claims(claimed, errors, axes[0], label="claimed", title="Honest")
    spread = np.exp(0.3 * generator.normal(size=2000))
    plotting.plot_claims(spread, errors, axes[1], label="claimed", title="Tells nothing")
    plotting.legend_under_figure(figure, *axes[0].get_legend_handles_labels())
    return figure


def guesses():
    generator = np.random.default_rng(0)
    _, (ax,) = plotting.map_panels()
    plotting.plot_guesses(
        60.0 * generator.normal(size=(400, 2)),
        generator.uniform(size=400),
        ax,
        truth=[5.0, 10.0],
        mean=[0.0, 0.0],
        covariance=3600.0 * np.eye(2),
        title="After 40 steps",
    )
    plotting.legend_below(ax)
    return ax.figure


def coverage():
    shares = np.linspace(0.6, 1.0, 24)
    table = {label: shares - 0.1 * row for row, label in enumerate(METHODS)}
    return plotting.plot_coverage(table, title="Who claims rightly").figure


FIGURES = (
    paths,
    drift,
    errors_in_time,
    errors_on_a_log_axis,
    ellipses,
    claims,
    guesses,
    coverage,
)
