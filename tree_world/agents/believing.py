r"""A forager that has to find out where it is.

Its own steps err, and nothing tells it where it is but what it perceives. A tree that is seen again
tells a distance, and a direction as exactly as the cone of sight is narrow. A smell tells how far
all known trees are, whose scents it holds (`Scents`). Both go into a belief over its own place and
the places of trees, jointly (`Landmarks`). The forager is put where it believes to be, and the
trees of its chart where they are believed to stand.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.agents.forager import Forager
from tree_world.agents.scents import Scents
from tree_world.checks import SeedLike, make_generator
from tree_world.models.places import Belief, Odometry
from tree_world.models.places.landmarks import Landmarks
from tree_world.simulation import Action, Body, Percept

__all__ = ["SUREST", "Believing"]

Array: TypeAlias = npt.NDArray[np.float64]

SIGHT_SD = 0.1
"""Deviation of a distance that is seen, in metres: what a bend of the belief may make of it."""

SAME_TREE = 0.1
"""Length by which a tree may differ from itself, without the words for amounts of fruit."""

SUREST = 3.0
"""Smells whose distance is less sure than this are not taken into account, in metres."""

MOVED = 0.2
"""Trees of the chart are put elsewhere where that is more than so many metres."""

RESIZED = 0.2
"""Or if their deviation has changed by such a share."""


class Believing:
    r"""Let a forager live where it believes to be.

    Of a step :math:`\Delta` it notes what its odometry makes of it. With `corrects` it finds its
    place by what it sees and smells, and puts the trees that it knows where they are believed to
    stand. Without, it goes by its steps alone, with the same errors.

    Parameters
    ----------
    forager : Forager
    odometry : Odometry
        What it believes of its steps. It needs a compass.
    seed : int
        Of the errors; the same ones are drawn whether they are corrected or not.
    corrects : bool, default=True
    by_smell : bool, default=True
        Whether smells correct, too; else what is seen does alone.
    half_cone : float, default=arccos(0.9)
        Half the angle of its cone of sight, in radians.

    Attributes
    ----------
    landmarks : Landmarks or None
        What it believes, from the first step on.
    beliefs : list of Belief
        Of its own place in each step of the life, before it acts.
    truths : list of numpy.ndarray of shape (2,)
        Where it was, for those who judge it.

    Raises
    ------
    TypeError, ValueError
        If the odometry is none, or has no compass.

    Examples
    --------
    >>> from tree_world.agents import ByMouth
    >>> from tree_world.simulation import TreeWorld, TreeWorldConfig
    >>> model = Believing(Forager(ByMouth), Odometry(0.1), seed=0)
    >>> life = TreeWorld.random_from_config(TreeWorldConfig(), seed=0, model=model).run(300)
    >>> len(model.beliefs)
    300
    """

    def __init__(
        self,
        forager: Forager,
        odometry: Odometry,
        seed: SeedLike,
        corrects: bool = True,
        *,
        by_smell: bool = True,
        half_cone: float = math.acos(0.9),
    ) -> None:
        Landmarks(odometry)  # refuses one without a compass
        self.forager, self.odometry, self.seed = forager, odometry, seed
        self.corrects, self.by_smell, self.half_cone = bool(corrects), bool(by_smell), half_cone
        self._scents = Scents(
            forager.ground.words,
            edge_strength=forager.ground.edge_strength,
            faintest=forager.ground.faintest,
        )
        self.reset()

    def reset(self) -> None:
        """Begin a life where it is."""
        self.forager.reset()
        self._generator = make_generator(self.seed)
        self._was: Array | None = None
        self.landmarks: Landmarks | None = None
        self.beliefs: list[Belief] = []
        self.truths: list[Array] = []
        self._on_chart: dict[int, int] = {}  # landmarks by the ids of the chart
        self._told_here: set[int] = set()  # those whose distance from here was told

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """See `AgentModel.act`."""
        true = body.position.double().numpy()
        landmarks, moved = self._step(true)
        seen = None
        if self.corrects:
            if moved:
                self._told_here.clear()
            # All smells before the look, as the surest distances are to be taken first.
            if self.by_smell and moved and percept.smell is not None and len(landmarks):
                self._smell(landmarks, percept.smell.numpy())
            seen = self._look(landmarks, percept, body.heading.double().numpy())
            self._put_on_chart(landmarks)
        belief = landmarks.belief
        self.beliefs.append(belief)
        self.truths.append(true)
        place = torch.from_numpy(belief.mean.astype(np.float32))
        action = self.forager.act(
            percept, dataclasses.replace(body, position=place), meal, generator=generator
        )
        if seen is not None:
            self._recognise(seen)
        return action

    def _step(self, true: Array) -> tuple[Landmarks, bool]:
        """Believe something of the last step; tell whether there was one."""
        if self.landmarks is None or self._was is None:
            self.landmarks, self._was = self._nowhere_else(true), true
            return self.landmarks, True
        step = true - self._was
        self._was = true
        self.landmarks.step(self.odometry.drift(step[None], self._generator)[0])
        return self.landmarks, bool(step.any())

    def _nowhere_else(self, start: Array) -> Landmarks:
        # What a tree is like tells which one it is, wherever it seems to stand.
        return Landmarks(
            self.odometry,
            start=start,
            start_covariance=1e-4 * np.eye(2),
            gate=math.inf,
            likeness=SAME_TREE,
        )

    def _smell(self, landmarks: Landmarks, smell: Array) -> None:
        reach = self.forager.constants.sight_reach
        distances, sds = self._scents.ranges(smell, reach)
        told = [
            number
            for number, name in enumerate(landmarks.names)
            if sds[number] <= SUREST and name not in self._told_here
        ]
        names = [landmarks.names[number] for number in told]
        landmarks.measure(names, distances[told], sds[told])
        self._told_here.update(names)

    def _look(self, landmarks: Landmarks, percept: Percept, heading: Array) -> int | None:
        """Take note of the tree that is seen, and name it."""
        if percept.sight.distance is None or percept.sight.embedding is None:
            return None
        far = float(percept.sight.distance)
        sense = self._scents.bare(percept.sight.embedding.double().numpy())
        cone = self.half_cone
        name = landmarks.recognise(far * heading, sense, sd=max(far, SIGHT_SD))
        if name is None:
            name = landmarks.spot(max(far, SIGHT_SD), heading, cone, sense)
            self._scents.know(landmarks.senses)
        else:
            if name not in self._told_here:
                landmarks.measure([name], [far], SIGHT_SD)
            landmarks.within_cone(name, heading, cone)
        self._told_here.add(name)  # from the same place it would be the same again
        return name

    def _recognise(self, seen: int) -> None:
        """Find which tree of the chart it was that was seen."""
        chart = self.forager.chart
        for number, name in enumerate(chart.ids):
            if chart.story_of(number).seen_at == self.forager.time:
                self._on_chart[name] = seen
                twins = [
                    other
                    for other in chart.ids
                    if other != name and self._on_chart.get(other) == seen
                ]
                if twins:
                    # It was known already: it is only now that it is known to be the same.
                    chart.remove(number)
                return

    def _put_on_chart(self, landmarks: Landmarks) -> None:
        """Put the trees of the chart where they are believed to stand."""
        chart = self.forager.chart
        numbers = {name: number for number, name in enumerate(landmarks.names)}
        known = [
            (row, numbers[self._on_chart[name]])
            for row, name in enumerate(chart.ids)
            if name in self._on_chart
        ]
        if not known:
            return
        rows, which = np.array(known).T
        places = landmarks.places[which]
        spread = landmarks.offset_covariances[which]
        sds = np.sqrt(np.linalg.eigvalsh(spread)[:, 1].clip(1e-4))
        away = np.hypot(*(places - chart.places[rows]).T)
        resized = np.abs(np.log(sds / chart.sds[rows])) > RESIZED
        new = (away > MOVED) | resized
        if new.any():
            chart.replace([chart.ids[row] for row in rows[new]], places[new], sds[new])
