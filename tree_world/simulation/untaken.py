"""Ways that a body could have gone on a walk and never did, to places where it was at other times.

What is smelled at their ends asks for space, and for nothing else: no stretch of the walk was like
them, so that who learned sequences by heart does not know it, and who knows where actions lead
finds a memory there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    PointsLike,
    SeedLike,
    as_points,
    make_generator,
    positive_distance,
    whole_number,
)
from tree_world.simulation.hidden import Actions, ShiftBody

Array: TypeAlias = npt.NDArray[np.float64]

_DRAWS = 1000  # for each that is wanted, at most


@dataclass(frozen=True)
class Shortcuts:
    """Ways that were never gone.

    Attributes
    ----------
    starts : numpy.ndarray of int, of shape (n,)
        Before which step of the walk each begins: at ``places[start]``.
    actions : list of numpy.ndarray of int
        What would be done on each.
    ends : numpy.ndarray of float64, of shape (n, dim)
        Where each would end, in metres.
    """

    starts: npt.NDArray[np.intp]
    actions: list[Actions]
    ends: Array


def shortcuts(
    body: ShiftBody,
    places: PointsLike,
    *,
    seed: SeedLike,
    number: int = 200,
    shortest: int = 8,
    longest: int = 40,
    farther: float = 40.0,
    near: float = 8.0,
    apart: int = 100,
) -> Shortcuts:
    """Draw ways off a walk that end where it came by at another time.

    Each begins at a place of the walk and does `shortest` to `longest` actions, each drawn evenly.
    Taken are those that end farther than `farther` from where they began, and within `near` of a
    place where the body was more than `apart` steps before or after. Of those that are drawn most
    end elsewhere; the number of draws is bounded.

    Parameters
    ----------
    body : ShiftBody
        Its shifts lead; they do so exactly, even if its own motion is noisy.
    places : array_like of shape (n_steps + 1, dim)
        Of the walk, in metres.
    seed : int or torch.Generator
        Of all that is drawn.
    number : int, default=200
        How many are wanted.
    shortest, longest : int, default=8 and 40
        Of how many actions.
    farther, near : float, default=40.0 and 8.0
        In metres.
    apart : int, default=100
        In steps.

    Returns
    -------
    Shortcuts

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range, or places have another dimension than the body.
    RuntimeError
        If too few of the ways that were drawn will do: the walk hardly comes back to where it was.

    Examples
    --------
    >>> body = ShiftBody(seed=0)
    >>> _, places = body.walk(1500, seed=1)
    >>> drawn = shortcuts(body, places, seed=0, number=3)
    >>> len(drawn.starts), drawn.ends.shape
    (3, (3, 2))
    >>> end = body.move(drawn.actions[0], places[drawn.starts[0]])[-1]
    >>> bool(abs(end - drawn.ends[0]).max() < 1e-6)
    True
    """
    wanted = whole_number("number", number, least=1)
    least = whole_number("shortest", shortest, least=1)
    most = whole_number("longest", longest, least=least)
    beyond = positive_distance("farther", farther)
    within = positive_distance("near", near)
    between = whole_number("apart", apart, least=0)
    walked: Array = as_points(places, body.dim, "places", torch.float64).detach().numpy()
    random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=make_generator(seed))))
    starts: list[int] = []
    ways: list[Actions] = []
    ends: list[Array] = []
    for _ in range(_DRAWS * wanted):
        start = int(random.integers(1, len(walked)))
        way = random.integers(body.num_actions, size=random.integers(least, most + 1))
        off = body.shifts[way].sum(axis=0)
        if np.linalg.norm(off) <= beyond:
            continue
        visits = np.flatnonzero(np.linalg.norm(walked - walked[start] - off, axis=1) <= within)
        if (np.abs(visits - start) <= between).all():
            continue
        starts.append(start)
        ways.append(way)
        ends.append(walked[start] + off)
        if len(starts) == wanted:
            return Shortcuts(np.array(starts, dtype=np.intp), ways, np.array(ends))
    raise RuntimeError(
        f"of {_DRAWS * wanted} ways that were drawn only {len(starts)} end where the walk came by "
        f"at another time, and {wanted} are wanted. Give a longer walk, or a greater `near`."
    )
