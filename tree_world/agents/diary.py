"""What a forager knew, step by step, for those who look at its life afterwards."""

from __future__ import annotations

from typing import NamedTuple

from tree_world.agents.forager import Forager


class Known(NamedTuple):
    """What is believed of a tree from a step on.

    Attributes
    ----------
    step : int
        From 1.
    tree : int
        Its id in the memory of sightings.
    place : tuple of two floats
        In metres.
    sd : float
        Its deviation, in metres.
    verdict : int or None
        `FOOD`, `POISON` or `NOTHING` of `tree_world.agents.worth`; None if it was forgotten.
    """

    step: int
    tree: int
    place: tuple[float, float]
    sd: float
    verdict: int | None


class Aim(NamedTuple):
    """What is sought from a step on: a tree that is known, a place to look at, or neither.

    Attributes
    ----------
    step : int
        From 1.
    tree : int or None
        Its id in the memory of sightings.
    place : tuple of two floats, or None
        In metres.
    """

    step: int
    tree: int | None
    place: tuple[float, float] | None


class Diary:
    """Note after each step what a forager believes and seeks, if that has changed.

    Attributes
    ----------
    known : list of Known
    aims : list of Aim

    Examples
    --------
    >>> from tree_world.agents import ByMouth, Forager
    >>> from tree_world.simulation import TreeWorld, TreeWorldConfig
    >>> forager, diary = Forager(ByMouth), Diary()
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0, model=forager)
    >>> for _ in range(20):
    ...     _ = world.step()
    ...     diary.note(forager)
    >>> len({note.tree for note in diary.known}) == len(forager.chart)
    True
    """

    def __init__(self) -> None:
        self.known: list[Known] = []
        self.aims: list[Aim] = []
        self._last: dict[int, Known] = {}

    def note(self, forager: Forager) -> None:
        """Take note of a step that was lived."""
        chart, step = forager.chart, forager.time
        for tree, (x, y), sd, verdict in zip(
            chart.ids,
            chart.places.tolist(),
            chart.sds.tolist(),
            chart.verdicts.tolist(),
            strict=True,
        ):
            self._note(Known(step, tree, (x, y), sd, verdict))
        for tree in set(self._last) - set(chart.ids):
            self._note(self._last.pop(tree)._replace(step=step, verdict=None))
        target = forager.exploring.target
        if target is not None:
            x, y = target.tolist()
            aim = Aim(step, None, (x, y))
        else:
            known = chart.number_of(forager.goal) is not None
            aim = Aim(step, forager.goal if known else None, None)
        if not self.aims or aim[1:] != self.aims[-1][1:]:
            self.aims.append(aim)

    def _note(self, now: Known) -> None:
        last = self._last.get(now.tree)
        if last is None or now[1:] != last[1:]:
            self.known.append(now)
        if now.verdict is not None:
            self._last[now.tree] = now
