r"""How long anybody can live among given trees, at most, whoever it is and whatever it knows.

**A ledger.** A tree of k fruits that regrows R steps after its last harvest gives at most k fruits
in any :math:`P = R + k - 1` steps. Proof: let it regrow in the steps :math:`s_1 < \dots < s_r` of
steps a, …, a + P − 1, with fruit eaten before :math:`s_1`, between, and from :math:`s_r` on. One
fruit is eaten a step, and none in the R steps before it regrows but for the first of them. So
before :math:`s_1` there are at most :math:`s_1 - R - a + 1` fruits, between :math:`s_i` and
:math:`s_{i+1}` at most :math:`s_{i+1} - s_i - R + 1`, afterwards at most :math:`a + P - s_r`; in
all :math:`P - r (R - 1) = k - (r - 1)(R - 1) \le k`. If it does not regrow, they are at most k,
too.

Each step costs at least c, what rest costs (or a move, if that is less). In the long run a tree
thus pays at most :math:`k v / P` a step, v being what a fruit is worth. In the default world 125
points in 1004 steps: eight trees do not keep an agent that never moves, and nine are needed.

**The ways.** Who eats from tree i in one step and from tree j later moves at least
:math:`w_{ij} = \lceil (d_{ij} - 2 \rho) / L \rceil` times in between, with the mouth's reach ρ and
the longest step L, for it stands within ρ of each. Each move costs e more than rest. Cut a life
into windows of P steps. In a window let S be the trees that are eaten from, x the first of them, y
the one whose first fruit is eaten last, and x′ the first tree of the next window with a meal. Then

.. math::

    G_{x x'} = \max_{S \ni x,\, y} \bigl( k v |S| - c P - e \, (H(S, x, y) + w_{y x'}) \bigr)

is no less than what the window adds to health, less the moves from its last tree to the next one,
which may lie beyond its end. H is the shortest order in which S can be visited from x to y, found
for all S by dynamic programming (Held and Karp); moves between first fruits of different trees
are at different times, so that none is counted twice.

- **For ever**: if every closed walk over trees has a negative sum of G, health falls without end
  and *nobody can live there for ever*. A closed walk of n trees holds a closed walk of at most n
  steps whose sum is no less than zero if its own is; so walks of up to n steps decide.
- **For a time**: let :math:`V_0(x)` be the health at the start less the moves to x, and
  :math:`V_m(x') = \min(M, \max_x V_{m-1}(x) + G_{x x'})` over those x with V > 0, or
  :math:`V_{m-1}(x') - c P` without a meal in the window. As health is never more than M, it bounds
  health after m windows less the moves from then to the next meal, for all who live to eat it. Who
  eats in window m for the last time lives at most
  :math:`(m - 1) P + \lceil \max_x (V_{m-1}(x) + E_x) / c \rceil` steps, with E like G, without the
  time and the way on. The greatest of these is the bound.

Poison is left out: it can only shorten a life. Of what is left, too, the bound is generous: fruit
is eaten in no time, and no way round anything is longer than straight on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tree_world.agents.planning import Rules
from tree_world.checks import real_number
from tree_world.compiling import compiled_exactly

__all__ = ["MOST_TREES", "Bound", "upper_bound"]

MOST_TREES = 16  # of which all subsets are looked at; with more, only the ledger is drawn up
_TOLERANCE = 1.0001  # by which the world lets a step be longer, as places are in single precision


@dataclass(frozen=True)
class Bound:
    """What nobody can beat.

    Attributes
    ----------
    longest_life : float
        Steps until death at most; infinite if nothing rules out that one lives for ever.
    best_round : float
        Health points that a round of `round_steps` adds at most, on average, in the long run. If it
        is negative, nobody can live there for ever.
    round_steps : int
        Steps in which a tree gives its fruit once, at most.
    """

    longest_life: float
    best_round: float
    round_steps: int

    @property
    def can_last(self) -> bool:
        """Whether it is not ruled out that one lives for ever."""
        return self.best_round >= 0

    def allows(self, steps: int) -> bool:
        """Say whether it is not ruled out that one is alive after so many steps."""
        return self.longest_life > steps


def upper_bound(
    places: Any,
    position: Any = (0.0, 0.0),
    *,
    rules: Rules | None = None,
    health: float | None = None,
) -> Bound:
    """Bound how long anybody can live, from full trees on.

    Parameters
    ----------
    places : array_like of shape (n, dim)
        Where all trees of edible fruit stand, in metres.
    position : array_like of shape (dim,), default=(0, 0)
        Where life begins.
    rules : Rules, optional
        The world's workings; by default those of the default world.
    health : float, optional
        At the beginning; by default as much as can be.

    Returns
    -------
    Bound
        Proven in the module's docstring. With more than 16 trees it leaves out the ways.

    Raises
    ------
    ValueError
        If places are no points with as many coordinates as the position.

    Examples
    --------
    >>> eight = [[50.0 * number, 0.0] for number in range(8)]
    >>> bound = upper_bound(eight)
    >>> bound.can_last, bound.longest_life, bound.best_round
    (False, 40160.0, -25.0)
    >>> upper_bound([*eight, [400.0, 0.0]]).can_last
    True
    """
    rules = rules or Rules()
    trees, start = np.asarray(places, np.float64), np.asarray(position, np.float64)
    if trees.size == 0:
        trees = np.empty((0, len(start)))
    if trees.ndim != 2 or start.shape != trees.shape[1:]:
        raise ValueError(
            "places must be of shape (n, dim) and the position of shape (dim,), but "
            f"{trees.shape} and {start.shape} were given."
        )
    strength = rules.max_health if health is None else real_number("health", health)
    least = min(rules.rest_cost, rules.move_cost)
    more = max(rules.move_cost - rules.rest_cost, 0.0)
    window = rules.regrowth_steps + rules.max_fruit - 1
    worth = rules.fruit_health * rules.max_fruit
    if len(trees) == 0:
        lives = math.ceil(strength / least) if least > 0 else math.inf
        return Bound(float(lives), -least * window, window)

    def moves(lengths: np.ndarray) -> np.ndarray:
        steps = np.ceil(lengths / (rules.max_step_length * _TOLERANCE) - 1e-6)
        return np.maximum(steps, 0.0)

    reach = rules.eat_distance * _TOLERANCE
    apart = np.linalg.norm(trees[:, None] - trees[None], axis=-1)
    ways = moves(apart - 2 * reach)
    np.fill_diagonal(ways, 0.0)
    there = moves(np.linalg.norm(trees - start, axis=-1) - reach)
    if len(trees) > MOST_TREES:
        ways[:] = 0.0
        ends = np.full(len(trees), worth * len(trees))
        gains = np.repeat(ends[:, None], len(trees), axis=1)
    else:
        gains, ends = best_gains(ways, worth, more)
    gains -= least * window
    best = _best_mean(gains)
    if best >= 0 or least <= 0:
        return Bound(math.inf, best, window)
    lives = _longest(gains, ends, strength - more * there, rules.max_health, least, window)
    return Bound(lives, best, window)


def _best_mean(gains: np.ndarray) -> float:
    """Find the greatest mean of a closed walk; one of at most n steps has it."""
    walks, best = gains.copy(), -math.inf
    for steps in range(1, len(gains) + 1):
        best = max(best, float(walks.diagonal().max()) / steps)
        walks = (walks[:, :, None] + gains[None]).max(axis=1)
    return best


def _longest(
    gains: np.ndarray,
    ends: np.ndarray,
    values: np.ndarray,
    most: float,
    least: float,
    window: int,
) -> float:
    # Who never eats; then those who eat in the first window for the last time, and so on.
    longest = float(math.ceil(most / least))
    begun = 0
    while (values > 0).any():
        values = np.where(values > 0, values, -math.inf)
        last = math.ceil(float((values + ends).max()) / least)
        longest = max(longest, float(begun + last))
        without = values - least * window
        values = np.minimum(np.maximum((values[:, None] + gains).max(axis=0), without), most)
        begun += window
    return longest


@compiled_exactly
def best_gains(ways: np.ndarray, worth: float, move: float) -> tuple[np.ndarray, np.ndarray]:
    """Look at all sets of trees in all orders, and find what a window brings at most.

    Parameters
    ----------
    ways : numpy.ndarray of shape (n, n)
        Moves from tree to tree.
    worth, move : float
        Of a tree's harvest, and of a move.

    Returns
    -------
    gains : numpy.ndarray of shape (n, n)
        For the first tree, and for the first of the next window.
    ends : numpy.ndarray of shape (n,)
        For the first tree, if no other window follows.
    """
    number = len(ways)
    sets = 1 << number
    gains, ends = np.full((number, number), -np.inf), np.full(number, -np.inf)
    best = np.empty((sets, number))  # by set and last tree: the fewest moves
    for first in range(number):
        best[:] = np.inf
        best[1 << first, first] = 0.0
        for chosen in range(sets):
            if not chosen >> first & 1:
                continue
            size = 0
            for tree in range(number):
                size += chosen >> tree & 1
            for last in range(number):
                moves = best[chosen, last]
                if moves == np.inf:
                    continue
                gain = worth * size - move * moves
                ends[first] = max(ends[first], gain)
                for tree in range(number):
                    on = ways[last, tree]
                    gains[first, tree] = max(gains[first, tree], gain - move * on)
                    if not chosen >> tree & 1:
                        larger = chosen | 1 << tree
                        best[larger, tree] = min(best[larger, tree], moves + on)
    return gains, ends
