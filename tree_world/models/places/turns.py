r"""Places for a body that is told neither where it goes nor how it turns: learned from smells.

Each of K actions shifts the body by an unknown amount in its own frame, and turns it by an unknown
angle, the same each time. It is told the numbers of its actions, and smells. Sought are the moves
under which these smells are most probable, if smells are a smooth random field: see
`tree_world.models.places.turn_windows` for this *evidence*.

Many moves are drawn at random, with shifts of about the size that smells tell by how they change.
The best of them are improved on short windows of the walk, of 30 or 50 steps, in which even poor
moves do not lead far astray, and then on windows of 100 steps, by which they are judged. More are
drawn until several of the best fits agree, which were found apart from each other. The best moves
are then improved on windows of twice the length, again and again, until the walk is one piece and
closes all its loops. Wrong moves are found out by that: pieces that explain themselves do not fit
together. Actions must do the same each time, or else no pieces do.

What smells cannot tell: where the walk began, which way it headed, and whether all is mirrored. Of
its scale they tell as much as the length of the kernel does.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.optimize
import torch

from tree_world.checks import (
    Number,
    PointsLike,
    SeedLike,
    as_numbers,
    as_points,
    as_senses,
    checked_actions,
    checked_number,
    make_generator,
    positive_number,
    whole_number,
)
from tree_world.models.memory.recall.kriging import NUGGET
from tree_world.models.places.directions import directions_of
from tree_world.models.places.turn_windows import Windows, places_of

__all__ = ["SHORT", "WINDOW", "StepTurnSpace"]

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.int64]

WINDOW = 100  # steps
LONGEST = 2000  # steps of a window in the end
MOST = 40  # windows of that length by which draws are judged
EVERY = 4  # steps between the smells by which draws are judged
WIDEST = 8  # most steps between smells, in long windows
BATCH = 300  # draws at a time
SHORT = ((30, 3), (50, 4))  # steps of windows in which draws are improved first, between smells
KEPT = 10  # of a batch, which are improved, by windows of each kind
FIRST = 15  # steps of L-BFGS at most, in short windows
AGREEING = 3  # best fits that must agree
SAME_TURN = 0.01  # radians
SAME_SHIFT = 0.05  # of the greatest shift
SAME_EVIDENCE = 0.01  # in nats for each number
TURNS = 0.4  # radians: standard deviation of the turns that are drawn
FACTORS = 0.4  # draws of shifts differ from what changes of smells tell by e^±0.4
LEAST_GAIN = 0.2  # nats for each number, over what time alone tells
LEAST_JOINING = 0.5  # nats for each number, over what the pieces of a walk have apart
LEAST_SHIFT = 1e-3  # of the kernel's length: what shifts by less does nothing
LEAST_TIMES = 10  # that an action is done
SCALES = np.array([0.05, 0.05, 0.3])  # of moves, so that each counts alike where they are improved
IMPROVEMENTS = 30  # steps of L-BFGS at most
IN_THE_END = 100  # of them, where the walk is one piece
OUT_OF_REACH = 1e6  # nats: worse than anything that can be told
FAR = 0.95  # a change of smells that is greater tells only that a shift is great

_ANGLE = Number("be a finite angle in radians", math.isfinite)
_SHARE = Number("be positive and less than 1", lambda x: 0 < x < 1, "Give 0.02, or so.")


class StepTurnSpace:
    r"""Find out what one's actions do, and from that where one is.

    Parameters
    ----------
    num_actions : int, default=3
        How many actions K there are.
    num_draws : int, default=1500
        How many moves to draw at most. They are drawn 300 at a time, until it is clear that the
        best is found.
    length : float, default=1.0
        Length of the kernel. Given in metres, places come in metres; left at one, in units of the
        length, which for scents is √2 times the standard deviation of a bump.
    nugget : float, default=0.02
        Standard deviation ν of what a smooth field does not explain, as a share of the amplitude.
        Give more for noisy smells.
    seed : int, default=0
        Of the draws.

    Attributes
    ----------
    moves_ : numpy.ndarray of float64, of shape (K, 3)
        Shift ahead, shift to the left, and turn to the left, in radians, of each action. Where the
        body's front is, nobody knows: ahead is where the action leads that shifts the most. Nor is
        left told from right: the greatest turn counts as one to the left.
    locations_ : numpy.ndarray of float64, of shape (n + 1, 2)
        Where it was before the first action and after each, from the origin on.
    headings_ : numpy.ndarray of float64, of shape (n + 1,)
        In radians, from zero on; not wrapped.
    evidences_ : numpy.ndarray of float64
        Evidence of the best draws in windows of 100 steps, after they were improved, from the best
        to the worst, in nats for each number that was smelled.
    found_ : bool
        Whether moves were found: several best fits agree, the walk in one piece is at least as
        probable as its windows apart, and actions tell more than time alone would.
    reason_ : str
        Why moves were not found; empty where they were. `moves_`, `locations_` and `headings_` are
        then the best guess, and not to be trusted; they are not a number where none was made.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> from tree_world.simulation.turning import StepTurnBody
    >>> config = TreeWorldConfig()
    >>> world = TreeWorld.random_from_config(config, seed=4)
    >>> body = StepTurnBody(seed=4)
    >>> actions, places, _ = body.walk(1000, seed=104)
    >>> smells = SimpleSensor.from_config(config).sense(world, places).embedding
    >>> learned = StepTurnSpace(seed=0).fit(actions, smells[1:])
    >>> learned.found_
    True
    >>> sign = np.sign(learned.moves_[1, 2])  # a mirror image is as good
    >>> print("turns", body.moves[:, 2].round(2) + 0.0)
    turns [ 0.    0.41 -0.35]
    >>> print("learned", (sign * learned.moves_[:, 2]).round(2) + 0.0)
    learned [ 0.    0.41 -0.35]
    """

    moves_: Array
    locations_: Array
    headings_: Array
    evidences_: Array
    found_: bool
    reason_: str

    def __init__(
        self,
        num_actions: int = 3,
        *,
        num_draws: int = 1500,
        length: float = 1.0,
        nugget: float = NUGGET,
        seed: SeedLike = 0,
    ) -> None:
        self.num_actions = whole_number("num_actions", num_actions, least=1)
        self.num_draws = whole_number("num_draws", num_draws, least=AGREEING)
        self.length = positive_number("length", length)
        self.nugget = checked_number("nugget", nugget, _SHARE)
        make_generator(seed)
        self.seed = seed

    def fit(self, actions: npt.ArrayLike, senses: PointsLike) -> StepTurnSpace:
        """Find out what actions do.

        Parameters
        ----------
        actions : array_like of int, of shape (n,)
            Their numbers, from zero; at least 300, in the order in which they were done.
        senses : array_like of shape (n, sensory_dim)
            What was smelled after each.

        Returns
        -------
        StepTurnSpace
            Itself.

        Raises
        ------
        ValueError
            If shapes do not fit, actions are too few, or one is not from 0 to `num_actions` − 1.
        """
        done, smelled = self._checked(actions, senses)
        self.found_, self.evidences_ = False, np.empty(0)
        self._place(np.full((self.num_actions, 3), math.nan), done)
        rare = np.flatnonzero(np.bincount(done, minlength=self.num_actions) < LEAST_TIMES)
        if not smelled.any():
            self.reason_ = "nothing was smelled: all senses are zero."
            return self
        if len(rare):
            self.reason_ = (
                f"actions {rare.tolist()} were done fewer than {LEAST_TIMES} times, which does not "
                "tell what they do."
            )
            return self
        few = smelled @ directions_of(smelled, self.nugget).T
        sizes = sizes_by_changes(done[1:], few, self.num_actions)
        if sizes.max() < LEAST_SHIFT:
            self.reason_ = "no action changes what is smelled."
            return self
        self._search(done, few, sizes)
        return self

    def transform(
        self, actions: npt.ArrayLike, start: PointsLike | None = None, heading: float = 0.0
    ) -> tuple[Array, Array]:
        """Tell where actions lead, in this world or another.

        Parameters
        ----------
        actions : array_like of int, of shape (n,)
            Their numbers, from zero.
        start : array_like of shape (2,), optional
            A learned place; by default the origin.
        heading : float, default=0.0
            There, in radians.

        Returns
        -------
        places : numpy.ndarray of float64, of shape (n + 1, 2)
            The start first.
        headings : numpy.ndarray of float64, of shape (n + 1,)
            In radians, not wrapped.

        Raises
        ------
        RuntimeError
            If `fit` was not called, or found no moves.
        ValueError
            If an action is none of the body's, `start` no place, or `heading` not finite.
        """
        if not getattr(self, "found_", False):
            reason = getattr(self, "reason_", "fit was not called yet.")
            raise RuntimeError(f"there is no space to tell places of: {reason}")
        done = checked_actions(actions, self.num_actions)
        begin = np.zeros(2)
        if start is not None:
            begin = as_points(start, 2, "start", torch.float64).detach().numpy()
        if begin.ndim != 1:
            raise ValueError(
                f"start must be one place, of shape (2,), but one of shape {begin.shape} was given."
            )
        ahead = checked_number("heading", heading, _ANGLE)
        places, headings = self._followed(done)
        turn = np.array([[math.cos(ahead), math.sin(ahead)], [-math.sin(ahead), math.cos(ahead)]])
        return begin + places @ turn, ahead + headings

    def _search(self, actions: Numbers, senses: Array, sizes: Array) -> None:
        generator = make_generator(self.seed)
        # Before the first action nothing was smelled: it tells nothing of the others.
        count = min(len(senses) // WINDOW, MOST)
        used = min(count * WINDOW, len(senses) - 1)
        part = actions[1 : used + 1], senses[: used + 1]
        windows = Windows(*part, count, EVERY, self.nugget)
        short = [Windows(*part, used // steps, every, self.nugget) for steps, every in SHORT]
        alone = best_by_time(windows, self.num_actions)
        fits: list[tuple[float, Array]] = []
        judged, left = -math.inf, self.num_draws
        while left > 0 and not self.found_:
            drawn = draw_moves(sizes, min(left, BATCH), generator)
            left -= len(drawn)
            for first in short:
                for which in np.argsort(-first.evidence(drawn))[:KEPT]:
                    _, moves = improve(drawn[which], first, FIRST)
                    fits.append(improve(moves, windows))
            fits.sort(key=lambda fit: -fit[0])
            alike = number_alike(fits)
            # To join a walk takes as long as hundreds of draws: not twice for the same moves.
            if left <= 0 or (alike >= AGREEING and fits[0][0] > judged + SAME_EVIDENCE):
                judged = fits[0][0]
                self._judge(fits, alike, actions, senses, alone)
        self.evidences_ = np.array([evidence for evidence, _ in fits])

    def _judge(
        self,
        fits: list[tuple[float, Array]],
        alike: int,
        actions: Numbers,
        senses: Array,
        alone: float,
    ) -> None:
        """Place the walk by the best fit, and say whether to trust it."""
        best, moves = fits[0]
        joined, apart, moves = join(moves, actions[1:], senses, self.nugget)
        self._place(moves, actions)
        if best < alone + LEAST_GAIN:
            self.reason_ = (
                f"actions tell little of what is smelled: {best:.2f} nats a number, of which time "
                f"alone tells {alone:.2f}."
            )
        elif joined < apart + LEAST_JOINING:
            self.reason_ = (
                f"the pieces of the walk do not fit together: they have {apart:.2f} nats a number "
                f"apart, and {joined:.2f} as one."
            )
        elif alike < AGREEING:
            self.reason_ = (
                f"of {len(fits)} fits only {alike} agree on the best moves. Give more draws than "
                f"{self.num_draws}, or a longer walk."
            )
        else:
            self.found_, self.reason_ = True, ""

    def _place(self, moves: Array, actions: Numbers) -> None:
        """Keep moves, and where they lead, in the unit of the length."""
        self.moves_ = oriented(moves) * [self.length, self.length, 1.0]
        self.locations_, self.headings_ = self._followed(actions)

    def _followed(self, actions: Numbers) -> tuple[Array, Array]:
        moves, done = torch.from_numpy(self.moves_), torch.from_numpy(actions)[None]
        places, headings = places_of(moves, done)
        return places[0].numpy(), headings[0].numpy()

    def _checked(self, actions: npt.ArrayLike, senses: PointsLike) -> tuple[Numbers, Array]:
        done = checked_actions(actions, self.num_actions)
        if len(done) < 3 * WINDOW:
            raise ValueError(
                f"actions must be at least {3 * WINDOW}, but there are {len(done)}. Walk on."
            )
        smelled = as_numbers(senses, "senses", torch.float64).detach()
        if smelled.ndim != 2 or len(smelled) != len(done) or smelled.shape[1] == 0:
            raise ValueError(
                f"senses must have shape ({len(done)}, sensory_dim), one after each action, but "
                f"have shape {tuple(smelled.shape)}."
            )
        as_senses(smelled, smelled.shape[1], "senses", torch.float64)
        return done.astype(np.int64), smelled.numpy()


def sizes_by_changes(actions: Numbers, senses: Array, num_actions: int) -> Array:
    r"""Tell from changes of smells how far each action shifts.

    Under the kernel, smells at a distance s differ by :math:`\operatorname{E} \lVert z - z'
    \rVert^2 = 2 D a^2 (1 - e^{-s^2/2})`, where D a² is the mean of ‖z‖².

    Parameters
    ----------
    actions : numpy.ndarray of int64, of shape (n,)
    senses : numpy.ndarray of float64, of shape (n + 1, D)
        Not all zero.
    num_actions : int
        Each is done.

    Returns
    -------
    numpy.ndarray of float64, of shape (num_actions,)
        In units of the kernel's length.
    """
    changes = (np.diff(senses, axis=0) ** 2).sum(axis=1)
    means = np.bincount(actions, changes, num_actions) / np.bincount(actions, None, num_actions)
    shares = means / (2 * (senses**2).sum(axis=1).mean())
    return np.asarray(np.sqrt(-2 * np.log1p(-np.minimum(shares, FAR))))


def draw_moves(sizes: Array, number: int, generator: torch.Generator) -> Array:
    """Draw moves whose shifts have about some sizes, in any direction, with any turns.

    Parameters
    ----------
    sizes : numpy.ndarray of float64, of shape (num_actions,)
    number : int
    generator : torch.Generator

    Returns
    -------
    numpy.ndarray of float64, of shape (number, num_actions, 3)
    """
    shape, kind = (number, len(sizes)), torch.float64
    factors = 2 * torch.rand((number, 1), generator=generator, dtype=kind) - 1
    angles = 2 * math.pi * torch.rand(shape, generator=generator, dtype=kind)
    turns = TURNS * torch.randn(shape, generator=generator, dtype=kind)
    shifts = torch.from_numpy(sizes) * torch.exp(FACTORS * factors)
    return torch.stack([shifts * angles.cos(), shifts * angles.sin(), turns], dim=-1).numpy()


def best_by_time(windows: Windows, num_actions: int) -> float:
    """Give the best evidence if all actions do the same, so that they tell no more than time.

    Parameters
    ----------
    windows : Windows
    num_actions : int

    Returns
    -------
    float
    """
    ahead, turns = np.meshgrid(np.geomspace(LEAST_SHIFT, 10.0, 20), np.linspace(0.0, 0.4, 5))
    each = np.stack([ahead, 0 * ahead, turns], axis=-1).reshape(-1, 1, 3)
    return float(windows.evidence(np.tile(each, (1, num_actions, 1))).max())


def improve(moves: Array, windows: Windows, most: int = IMPROVEMENTS) -> tuple[float, Array]:
    """Improve moves by L-BFGS.

    Parameters
    ----------
    moves : numpy.ndarray of float64, of shape (num_actions, 3)
    windows : Windows
    most : int, default=30
        Steps to take at most.

    Returns
    -------
    float
        Their evidence.
    numpy.ndarray of float64, of shape (num_actions, 3)
    """

    def loss(scaled: Array) -> tuple[float, Array]:
        evidence, slope = windows.with_slope(scaled.reshape(moves.shape) * SCALES)
        if not math.isfinite(evidence):  # too far a step: try a shorter one
            return OUT_OF_REACH, np.zeros_like(scaled)
        return -evidence, -(slope * SCALES).ravel()

    found = scipy.optimize.minimize(
        loss,
        (moves / SCALES).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": most},
    )
    return -float(found.fun), found.x.reshape(moves.shape) * SCALES


def join(
    moves: Array, actions: Numbers, senses: Array, nugget: float
) -> tuple[float, float, Array]:
    """Improve moves on longer and longer windows.

    Parameters
    ----------
    moves : numpy.ndarray of float64, of shape (num_actions, 3)
    actions : numpy.ndarray of int64, of shape (n,)
    senses : numpy.ndarray of float64, of shape (n + 1, D)
    nugget : float

    Returns
    -------
    float
        Evidence of the longest windows, with the moves that are best for them.
    float
        Evidence of windows of 100 steps, with the moves that are best for these; of the same
        smells, but for a few at their ends.
    numpy.ndarray of float64, of shape (num_actions, 3)
        The former moves.
    """
    count, last = len(senses) // WINDOW, -(-len(actions) // LONGEST)
    _, moves = improve(moves, Windows(actions, senses, count, EVERY // 2, nugget))
    apart = float(Windows(actions, senses, count, WIDEST, nugget).evidence(moves[None])[0])
    evidence = apart
    while count > last:
        count = max(count // 2, last)
        every = EVERY if len(actions) // count < 4 * WINDOW else WIDEST
        most = IMPROVEMENTS if count > last else IN_THE_END
        evidence, moves = improve(moves, Windows(actions, senses, count, every, nugget), most)
    return evidence, apart, moves


def oriented(moves: Array) -> Array:
    """Turn and mirror a body's frame as `StepTurnSpace.moves_` says.

    Parameters
    ----------
    moves : numpy.ndarray of float64, of shape (num_actions, 3)

    Returns
    -------
    numpy.ndarray of float64, of shape (num_actions, 3)

    Examples
    --------
    >>> oriented(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, -0.5]])) + 0.0
    array([[2. , 0. , 0. ],
           [0. , 0. , 0.5]])
    """
    shifts = moves[:, 0] + 1j * moves[:, 1]
    greatest = shifts[np.abs(shifts).argmax()]
    if abs(greatest) > 0:
        shifts = shifts * (abs(greatest) / greatest)
    mirror = -1.0 if moves[np.abs(moves[:, 2]).argmax(), 2] < 0 else 1.0
    return np.stack([shifts.real, mirror * shifts.imag, mirror * moves[:, 2]], axis=-1)


def number_alike(fits: list[tuple[float, Array]]) -> int:
    """Count fits that agree with the best, itself included.

    Parameters
    ----------
    fits : list of tuples of float and numpy.ndarray of shape (num_actions, 3)
        Evidences and moves, the best first.

    Returns
    -------
    int
    """
    best, moves = fits[0]
    near = [other for evidence, other in fits if evidence > best - SAME_EVIDENCE]
    return sum(agree(moves, other) for other in near)


def agree(moves: Array, others: Array) -> bool:
    """Tell whether two bodies move alike, but for a mirror image and the scale.

    Parameters
    ----------
    moves, others : numpy.ndarray of float64, of shape (num_actions, 3)

    Returns
    -------
    bool
    """
    one, two = oriented(moves), oriented(others)
    # Where two turns are equally great, either may have been taken for the one to the left.
    for mirrored in (two, two * [1.0, -1.0, -1.0]):
        turns = np.abs(one[:, 2] - mirrored[:, 2]).max()
        shifts = one[:, :2] / np.linalg.norm(one[:, :2], axis=1).max()
        shifts -= mirrored[:, :2] / np.linalg.norm(mirrored[:, :2], axis=1).max()
        if turns < SAME_TURN and np.linalg.norm(shifts, axis=1).max() < SAME_SHIFT:
            return True
    return False
