"""Fewer observations that read like many: virtual ones, fitted to what the memory itself says."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import scipy.spatial
import threadpoolctl
import torch
import tqdm

from tree_world.checks import SeedLike, make_generator, whole_number
from tree_world.models.memory.forget.neighbours import PRUNING_LIMIT
from tree_world.models.memory.forget.pruning import prune
from tree_world.models.memory.projection import needed_axes
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.store.task import stop_if_asked
from tree_world.models.memory.types import Observations, ReadOptions
from tree_world.precision import without_autocast

__all__ = ["ConsolidationReport"]

RATES = {"places": 0.2, "sds": 0.02, "senses": 0.1}
"""How far the first steps go at most: in deviations, in e-folds, in the typical size of a sense."""

DENSE = 2**22
"""Pairs of places and virtual observations, up to which a step reads densely."""

_HELD_OUT = 4096  # places on which it is decided when to stop
_EVERY = 20  # steps between two looks at them
_PATIENCE = 10  # looks without any gain, after which it stops
_PLACES = 16  # places for each observation that are fitted to, of which one is its own
_COVERAGE = 2.0  # what a place out of reach counts, beside one that is read as nothing
_EDGE = 1.0  # how gradually a place counts as out of reach, as a share of 25 metres ...
_FINE = 1e-4  # places that are rounded by more than this share of a deviation are centred first


@dataclass(frozen=True)
class ConsolidationReport:
    """What consolidation did.

    Attributes
    ----------
    num_before, num_after : int
        Observations before and after.
    error_at_start, error : float
        Mean distance between what the memory said before and what the virtual observations say, at
        held-out places: as they started, which is the best of the observations, and as fitted.
    num_steps : int
        Steps until the fit that was kept.
    seconds : float
    rows : tuple of ConsolidationReport
        On each row, if this is on a batch.
    """

    num_before: int
    num_after: int
    error_at_start: float
    error: float
    num_steps: int
    seconds: float
    rows: tuple[ConsolidationReport, ...] = ()

    @classmethod
    def joined(cls, reports: list[ConsolidationReport]) -> ConsolidationReport:
        """Report on all rows of a batch: sums, mean errors, most steps."""
        if len(reports) == 1:
            return reports[0]
        return cls(
            sum(report.num_before for report in reports),
            sum(report.num_after for report in reports),
            sum(report.error_at_start for report in reports) / len(reports),
            sum(report.error for report in reports) / len(reports),
            max(report.num_steps for report in reports),
            sum(report.seconds for report in reports),
            tuple(reports),
        )

    def __str__(self) -> str:
        return (
            f"{self.num_before} observations became {self.num_after}; mean difference of reads at "
            f"held-out places {self.error:.3g} (as started: {self.error_at_start:.3g}); "
            f"{self.num_steps} steps, {self.seconds:.2g} s"
        )


@dataclass(frozen=True)
class Consolidated:
    """Virtual observations.

    Attributes
    ----------
    observations : Observations
        Plain tensors without gradients.
    origins : numpy.ndarray of int, of shape (n_virtual,)
        From which observation each was started.
    report : ConsolidationReport
    """

    observations: Observations
    origins: np.ndarray
    report: ConsolidationReport


@without_autocast
def consolidate(
    observations: Observations,
    target_size: int,
    match_threshold: float | None = 25.0,
    *,
    num_steps: int = 600,
    batch_size: int | None = None,
    seed: SeedLike = 0,
    progress: bool | None = False,
    memory_limit: int = PRUNING_LIMIT,
    stop: np.ndarray | None = None,
) -> Consolidated:
    r"""Fit few virtual observations to the reads of many.

    Places, deviations and senses of the virtual observations V minimise, over places x where
    something is remembered,

    .. math::

        \operatorname{E} \left[ \lVert f(x; V) - \hat z(x) \rVert^2
        + c \, \lVert \hat z(x) \rVert^2 \, s\bigl(d(x, V)\bigr) \right]

    by stochastic gradients (Adam). The target :math:`\hat z(x)` is what was sensed, at the place of
    an observation, and the locally linear read of all observations, elsewhere in reach. The second
    term keeps places within reach: with d the distance to the nearest of V, s rises from zero to
    one at the threshold, beyond which a read would be nothing.

    The fit is in single precision, in coordinates that are centred where places are far from the
    origin; its errors are those of places as they are stored, rounded to the precision of the
    observations.

    It starts with those observations that pruning would leave. Places that are held out tell which
    fit is the best, and when to stop.

    Parameters
    ----------
    observations : Observations
        With finite deviations.
    target_size : int
        Number of virtual observations.
    match_threshold : float, optional
        Of the reads, in metres; 25 by default. None for none.
    num_steps : int, default=600
        At most.
    batch_size : int, optional
        Places in each step; by default 512, or the target size if that is greater.
    seed : int or torch.Generator, default=0
        Of the places that are drawn.
    progress : bool or None, default=False
        Whether to show a bar; None shows it on a terminal only.
    memory_limit : int, default=1 GiB
        For the lists of neighbours, in bytes.
    stop : numpy.ndarray of bool, of shape (1,), optional
        Set it from another thread to cancel.

    Returns
    -------
    Consolidated

    Raises
    ------
    ValueError
        If a number is out of its range.
    tree_world.models.memory.store.task.Cancelled
        If it was told to stop.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", 2015; E. Snelson and
    Z. Ghahramani, "Sparse Gaussian processes using pseudo-inputs", 2006.

    Examples
    --------
    >>> import torch
    >>> from tree_world.models.memory.types import Observations
    >>> places = torch.rand(60, 2, generator=torch.Generator().manual_seed(0)) * 50
    >>> slope = Observations(places, torch.full((60, 2), 10.0), places / 50)
    >>> few = consolidate(slope, 12, num_steps=100)
    >>> len(few.observations), few.report.error < few.report.error_at_start
    (12, True)
    """
    target_size, num_steps, batch_size = check_consolidation(target_size, num_steps, batch_size)
    match_threshold = ReadOptions(match_threshold).match_threshold  # which checks it
    started = time.perf_counter()
    stop = np.zeros(1, dtype=np.bool_) if stop is None else stop
    chosen = prune(
        observations,
        math.inf,
        match_threshold,
        target_size=target_size,
        memory_limit=memory_limit,
        stop=stop,
    )
    origins = np.flatnonzero(chosen.kept)
    # Steps are so small that a second thread would do more harm than good.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        threadpoolctl.threadpool_limits(1, user_api="openmp"),
    ):
        frame = Frame.of(observations)
        source, axes = frame.inside(observations)
        size = max(512, len(origins)) if batch_size is None else batch_size
        fit = Fit(source, origins, match_threshold, make_generator(seed), num_steps, size, frame)
        fitted, error_at_start, error, steps = fit.run(stop, progress)
        virtual = frame.outside(fitted, axes, observations)
    seconds = time.perf_counter() - started
    report = ConsolidationReport(
        len(observations), len(origins), error_at_start, error, steps, seconds
    )
    return Consolidated(virtual, origins, report)


def check_consolidation(
    target_size: int, num_steps: int, batch_size: int | None
) -> tuple[int, int, int | None]:
    """Take the numbers as those of Python; raise ValueError if one is out of its range."""
    return (
        whole_number("target_size", target_size, 1),
        whole_number("num_steps", num_steps, 1),
        None if batch_size is None else whole_number("batch_size", batch_size, 1),
    )


@dataclass(frozen=True)
class Frame:
    """Coordinates in which single precision tells places apart: centred, where that is needed.

    Attributes
    ----------
    centre : torch.Tensor of shape (dim,), of double precision
        Nothing if places are so near to the origin that nothing is gained.
    dtype : torch.dtype
        In which places are stored outside.
    """

    centre: torch.Tensor
    dtype: torch.dtype

    @classmethod
    def of(cls, observations: Observations) -> Frame:
        """Choose the frame for observations."""
        places = observations.locations.detach().double()
        low, high = places.amin(dim=0), places.amax(dim=0)
        step = torch.finfo(torch.float32).eps * torch.maximum(low.abs(), high.abs()).max()
        far = step > _FINE * observations.location_sds.detach().min()
        centre = (low + high) / 2
        return cls(centre if far else torch.zeros_like(centre), observations.locations.dtype)

    def inside(self, observations: Observations) -> tuple[Observations, torch.Tensor]:
        """Centre places, and express senses in as many axes as they need, which it returns, too."""
        # What was made for inference only cannot take part in gradients, but its copies can.
        locations, sds, senses = (
            array.detach().clone()
            for array in (observations.locations, observations.location_sds, observations.senses)
        )
        axes = needed_axes(senses).to(senses.device, torch.float32)
        centred = locations.float() if not self.centre.any() else locations.double() - self.centre
        return Observations(centred.float(), sds.float(), senses.float() @ axes), axes

    def as_stored(self, places: torch.Tensor) -> torch.Tensor:
        """Round places as they are rounded outside."""
        if not self.centre.any():
            return places
        return ((places.double() + self.centre).to(self.dtype).double() - self.centre).float()

    def outside(self, fitted: Observations, axes: torch.Tensor, like: Observations) -> Observations:
        """Undo `inside`, in the precision of what it was like before."""
        return Observations(
            (fitted.locations.double() + self.centre).to(self.dtype),
            fitted.location_sds.to(self.dtype),
            (fitted.senses @ axes.mT).to(like.senses.dtype),
        )


class Fit:
    """Virtual observations, and what they are fitted to.

    Parameters
    ----------
    source : Observations
        In single precision.
    origins : numpy.ndarray of int
        Numbers of those of them that are started with.
    match_threshold : float, optional
    generator : torch.Generator
        Of the places that are drawn.
    num_steps, batch_size : int
    frame : Frame, optional
        In which places are rounded as they are outside; that of the source by default.

    Attributes
    ----------
    places, held_out : tuple of torch.Tensor
        Places, their deviations and what is expected there: those that are fitted to, and those on
        which it is decided when to stop.
    """

    def __init__(
        self,
        source: Observations,
        origins: np.ndarray,
        match_threshold: float | None,
        generator: torch.Generator,
        num_steps: int,
        batch_size: int,
        frame: Frame | None = None,
    ) -> None:
        self.frame = Frame.of(source) if frame is None else frame
        self.source = source
        self.match_threshold = match_threshold
        self.generator = generator
        self.num_steps = num_steps
        self.batch_size = batch_size
        self.places = self._draw(min(_PLACES * len(source), num_steps * batch_size))
        self.held_out = self._draw(_HELD_OUT)
        start = source.take(torch.from_numpy(origins).to(source.senses.device))
        self.locations = start.locations.clone().requires_grad_()
        self.log_sds = start.location_sds.log().requires_grad_()
        self.senses = start.senses.clone().requires_grad_()
        deviation = float(source.location_sds.median())
        typical = float(source.senses.square().mean().sqrt())
        self.optimiser = torch.optim.Adam(
            [
                {"params": [self.locations], "lr": RATES["places"] * deviation},
                {"params": [self.log_sds], "lr": RATES["sds"]},
                {"params": [self.senses], "lr": RATES["senses"] * typical},
            ],
            betas=(0.9, 0.99),
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, num_steps)

    def run(
        self, stop: np.ndarray, progress: bool | None
    ) -> tuple[Observations, float, float, int]:
        """Fit.

        Parameters
        ----------
        stop : numpy.ndarray of bool, of shape (1,)
            Set it from another thread to cancel.
        progress : bool, optional
            Whether to show a bar; None shows it on a terminal only.

        Returns
        -------
        Observations
            The best.
        error_at_start, error : float
        step : int
            Of the best.
        """
        error_at_start = error = self._error()
        best, best_step, looks = self._now(), 0, 0
        silent = None if progress is None else not progress
        for step in tqdm.trange(1, self.num_steps + 1, disable=silent, desc="consolidating"):
            stop_if_asked(stop)
            self._step()
            if step % _EVERY == 0 or step == self.num_steps:
                now, looks = self._error(), looks + 1
                if now < error:
                    error, best, best_step, looks = now, self._now(), step, 0
                if looks == _PATIENCE:
                    break
        return best, error_at_start, error, best_step

    def _now(self) -> Observations:
        arrays = (self.locations, self.log_sds.exp(), self.senses)
        locations, sds, senses = (array.detach().clone() for array in arrays)
        return Observations(self.frame.as_stored(locations), sds, senses)

    def _step(self) -> None:
        which = torch.randint(len(self.places[0]), (self.batch_size,), generator=self.generator).to(
            self.senses.device
        )
        queries, sds, targets = (array[which] for array in self.places)
        virtual = Observations(self.locations, self.log_sds.exp(), self.senses)
        few = self.batch_size * len(virtual) <= DENSE
        method = "dense" if few else "sparse"
        found = read(queries, sds, virtual, ReadOptions(self.match_threshold, method=method))
        loss = (found.mean - targets).square().sum(dim=-1).mean()
        if self.match_threshold is not None:
            nearest = scipy.spatial.cKDTree(self.locations.detach().cpu().numpy())
            _, closest = nearest.query(queries.cpu().numpy())
            away = queries - self.locations[torch.from_numpy(closest).to(queries.device)]
            distance = torch.linalg.vector_norm(away, dim=-1)
            edge = _EDGE * self.match_threshold / 25
            beyond = torch.sigmoid((distance - self.match_threshold + edge / 2) / edge)
            loss = loss + _COVERAGE * (targets.square().sum(dim=-1) * beyond).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()

    def _error(self) -> float:
        with torch.no_grad():
            queries, sds, targets = self.held_out
            found = read(queries, sds, self._now(), ReadOptions(self.match_threshold))
            return float(torch.linalg.vector_norm(found.mean - targets, dim=-1).mean())

    def _draw(self, number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw places in reach of observations, their deviations, and what is expected there."""
        dim, device = self.source.locations.shape[1], self.source.senses.device
        which = torch.randint(len(self.source), (number,), generator=self.generator).to(device)
        start = self.source.take(which)
        direction = torch.nn.functional.normalize(
            torch.randn((number, dim), generator=self.generator, dtype=torch.float32), dim=-1
        )
        radius = torch.rand((number, 1), generator=self.generator, dtype=torch.float32)
        radius **= 1 / dim
        exact = number // _PLACES
        radius[:exact] = 0.0
        reach = self.match_threshold
        scale = 2 * start.location_sds if reach is None else start.location_sds.new_tensor(reach)
        places = self.frame.as_stored(start.locations + (radius * direction).to(device) * scale)
        options = ReadOptions(reach, order="linear")
        with torch.no_grad():
            targets = read(places, start.location_sds, self.source, options).mean
        targets[:exact] = start.senses[:exact]
        return places, start.location_sds, targets
