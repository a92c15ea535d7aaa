"""One figure of each kind in `plotting.charts` and `plotting.fares`, of lives that nobody lived."""

import numpy as np

from tree_world import plotting

KINDS = [
    "all parts",
    "the nearest tree, never a plan",
    "told by the mouth alone",
    "regrowth is learned",
    "no smell",
    "wandering",
    "drawn from its memory",
    "no rest",
    "short memory",
    "no routes round poison",
    "whatever is left",
]
"""Names of agents, one of 30 letters among them."""


def known_ground(**options):
    grid = plotting.MapGrid(500.0, 40)
    way = np.array([[-300.0, 0.0], [0.0, 100.0], [200.0, -50.0], [350.0, 300.0]])
    known = np.linalg.norm(grid.points.numpy()[:, None] - way, axis=-1).min(axis=1) < 150
    return plotting.plot_known_ground(
        known,
        grid,
        way=way,
        places=way + 60.0,
        verdicts=[1, -1, 0, 1],
        position=way[-1],
        title="After 400 steps",
        **options,
    ).figure


def sightings():
    number = np.arange(1, 7)
    stands = np.stack([20.0 * number - 140, 5.0 * np.sin(number) - 60], axis=1)
    sds = 30.0 / np.sqrt(number)
    estimates = np.stack([40 + 0.6 * sds, -20 + 0.5 * sds * np.cos(number)], axis=1)
    return plotting.plot_sightings(stands, estimates, sds, [40.0, -20.0]).figure


def harvests():
    starts = np.array([20, 300, 700, 1400, 1900, 2600, 3300])
    steps = (starts[:, None] + np.arange(6)).ravel()
    trees = np.repeat([4, 0, 7, 4, 2, 0, 7], 6)
    return plotting.plot_harvests(
        steps, trees, np.where(trees == 7, -150.0, 25.0), 1000, 4000
    ).figure


def ledger():
    costs = np.where(np.arange(600) % 3 == 0, 1.0, 2.0)
    steps = np.arange(80, 600, 40)
    healths = [1000.0]
    for step, cost in enumerate(costs, start=1):
        healths.append(min(1000.0, healths[-1] + 100.0 * (step in steps)) - cost)
    return plotting.plot_ledger(healths, steps, np.full(len(steps), 100.0), costs).figure


def alive_by_count():
    counts, of = np.array([6, 8, 10, 12]), np.array([20, 30, 25, 8])
    return plotting.plot_alive_by_count(
        {
            "lives by its memory": (counts, np.array([3, 12, 20, 8]), of),
            "omniscient": (counts, np.array([12, 25, 25, 8]), of),
            "sight-guided": (counts, np.array([0, 0, 2, 1]), of),
        }
    ).figure


def parts():
    lives = np.linspace(0.0, 600.0, 20)
    return (
        plotting.plot_parts(
            {kind: 2 * row for row, kind in enumerate(KINDS)},
            20,
            {kind: lives + 30 * row for row, kind in enumerate(KINDS)},
            reference="drawn from its memory",
        )[0]
    ).figure


def learning():
    x = np.linspace(0, 2e6, 21)
    rise = 1 - np.exp(-x / 5e5)
    seeds = np.linspace(-100, 100, 5)[:, None]
    return plotting.plot_learning(
        {
            "PPO": (x, 500 + 1000 * rise + seeds),
            "PPO with a memory (LSTM)": (x, 500 + 1600 * rise + seeds),
        },
        {"sight-guided": 700.0, "lives by its memory": 4200.0, "omniscient": 5000.0},
        xlabel="steps of training",
    ).figure


FIGURES = (known_ground, sightings, harvests, ledger, alive_by_count, parts, learning)
