"""Where does it smell like this? A posterior over places, and the courage to say: cannot tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from tree_world.checks import (
    PointsLike,
    SeedLike,
    as_deviations,
    as_numbers,
    as_points,
    as_senses,
    checked_numbers,
    make_generator,
)
from tree_world.models.memory import Memory, SpatialMemory

_KINDS = {
    "spacing": "distance",
    "match_threshold": "distance?",
    "credibility": "share",
    "largest_area": "positive?",
}
_TESTS = 200  # observations that are held out to find the width of the likelihood
AROUND = 2.5  # cells around the most probable one that count as the same peak
_WIDTHS = np.geomspace(0.02, 20.0, 61)
LEAST_TAU = 1e-3  # of the deviation of all senses: neighbours that are alike leave some doubt
_ALIKE = 16  # units of rounding: senses that differ by no more are the same
# The default mode opens up the squares, and loses the digits far from the origin.
_EXACT = "donot_use_mm_for_euclid_dist"


@dataclass(frozen=True)
class Posterior:
    """What one sense says about where it was sensed.

    Attributes
    ----------
    probabilities : torch.Tensor of shape (n_places,)
        Of the places of the localiser, which are as many cells of equal size.
    mean : torch.Tensor of shape (dim,)
        In metres.
    peak : torch.Tensor of shape (dim,)
        The best single answer: the mean over the cells around the most probable one, in metres.
    region : torch.Tensor of shape (n_places,), bool
        The smallest set of places that holds the credible share of the probability.
    area : float
        Of the region, in metres to the power of the dimension.
    entropy : float
        In bits; log₂ of the number of places if nothing is known.
    identifiable : bool
        Whether the region is small enough to say that the place can be told. Never if all that the
        memory knows is alike, and there is no guess.
    places : torch.Tensor of shape (n_places, dim)
        Centres of the cells, in metres.
    spacing : float
        Side of a cell in metres.
    """

    probabilities: torch.Tensor
    mean: torch.Tensor
    peak: torch.Tensor
    region: torch.Tensor
    area: float
    entropy: float
    identifiable: bool
    places: torch.Tensor
    spacing: float


class Localiser:
    r"""Tells from a sense where it may have been sensed.

    The memory is read at the cells of a grid, wherever it knows anything. With the read's mean
    :math:`\bar z`, the likelihood of a sense is

    .. math::

        p(z \mid \ell) \propto \tau(\ell)^{-d} \exp\left(
        -\frac{\lVert z - \bar z(\ell) \rVert^2}{2\, b^2\, \tau(\ell)^2} \right),

    where d is the dimension of the *world*: senses have many numbers, but change along d directions
    only. :math:`\tau^2` is the read's squared spread plus that of the median place over the
    effective number of observations, and at least a thousandth of the deviation of all senses. One
    width b serves all places. It is the one with which the credible regions of observations that
    were held out hold the true place as often as they claim. If all senses in the memory are
    alike, no sense tells anything: all places are equally probable.

    Everything is computed in the precision and on the device of the memory.

    Parameters
    ----------
    memory : SpatialMemory
        With at least 50 observations. Later changes are not seen.
    spacing : float, default=10.0
        Side of the cells in metres.
    match_threshold : float, optional
        Of the reads, in metres; cells with nothing so near are no candidates. By default reads have
        none, and all cells of the box around the observations are candidates: give one where
        the memory has holes, lest it tell of places where it never was.
    location_sd : float, default=5.0
        Of the reads, in metres.
    credibility : float, default=0.9
        Probability that a region is to hold.
    largest_area : float, optional
        Area of a region up to which a place counts as told; a disc of 50 m by default.
    order : {"constant", "linear"}, default="linear"
        Of the reads.
    seed : int or torch.Generator, default=0
        Which observations are held out.
    row : int, optional
        Row of the batch; needed where the memory has more than one.

    Attributes
    ----------
    places : torch.Tensor of shape (n_places, dim)
        Centres of the cells that are candidates, in metres.
    width : float
        The factor b.

    Raises
    ------
    ValueError
        If the memory holds too few observations, or a number is out of its range; if the memory is
        a batch, and `row` does not say which one is meant.
    IndexError
        If there is no such row.
    """

    def __init__(
        self,
        memory: SpatialMemory | Memory,
        *,
        spacing: float = 10.0,
        match_threshold: float | None = None,
        location_sd: float = 5.0,
        credibility: float = 0.9,
        largest_area: float | None = None,
        order: str = "linear",
        seed: SeedLike = 0,
        row: int | None = None,
    ) -> None:
        one = memory if isinstance(memory, Memory) else memory.one(row)
        everything = one.observations(as_sensed=True)
        locations, sds, senses = everything.locations, everything.location_sds, everything.senses
        if len(locations) < 50:
            raise ValueError(
                "to localise takes a memory of at least 50 observations, some of which are held "
                f"out, but there are {len(locations)}."
            )
        given = {
            "spacing": spacing,
            "match_threshold": match_threshold,
            "credibility": credibility,
            "largest_area": largest_area,
        }
        number = checked_numbers(given, _KINDS)
        self.spacing: float = number["spacing"]
        self.credibility: float = number["credibility"]
        match_threshold, dim = number["match_threshold"], memory.location_dim
        self.largest_area: float = number["largest_area"] or (
            math.pi ** (dim / 2) / math.gamma(dim / 2 + 1) * 50.0**dim
        )
        self._dim = memory.sensory_dim
        range_of_senses = float((senses.amax(dim=0) - senses.amin(dim=0)).max())
        rounding = torch.finfo(memory.storage_dtype).eps * float(senses.abs().max())
        self._all_alike = range_of_senses <= _ALIKE * rounding
        around = senses.double() - senses.double().mean(dim=0)
        least = LEAST_TAU * float(around.square().sum(dim=-1).mean().sqrt())
        grid = _grid_around(locations, self.spacing, match_threshold or 0.0)

        def read(which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            source = SpatialMemory(
                dim,
                memory.sensory_dim,
                max_memory_size=len(which),
                dtype=memory.dtype,
                device=memory.device,
            )
            source.write(locations[which], sds[which], senses[which])
            found = source.read_with_support(grid, location_sd, match_threshold, order=order)
            if not bool(found.known.any()):
                raise ValueError(
                    f"the memory knows no place within match_threshold, {match_threshold} m, of a "
                    f"cell of {self.spacing} m: give a wider threshold, or a smaller spacing."
                )
            means, spread = found.mean[found.known], found.spread[found.known].double()
            number = found.effective_sample_size[found.known].double()
            if self._all_alike:  # up to rounding, which must not decide
                return grid[found.known], means[:1].expand_as(means), torch.ones_like(spread)
            # One observation has no spread, but is no surer for it.
            tau = (spread.square() + spread.median().square() / number).sqrt()
            return grid[found.known], means, tau.clamp_min(least)

        # Held-out observations are read back from the others.
        generator = make_generator(seed)
        shuffled = torch.randperm(len(locations), generator=generator).to(locations.device)
        held_out = shuffled[: min(_TESTS, len(locations) // 5)]
        self.places, self._means, self._taus = read(shuffled[len(held_out) :])
        self.width = self._calibrated(senses[held_out], locations[held_out])
        self.places, self._means, self._taus = read(shuffled.sort().values)

    # --- the width of the likelihood -------------------------------------------------------------

    def _calibrated(self, senses: torch.Tensor, locations: torch.Tensor) -> float:
        steps, true_cells = torch.cdist(locations, self.places, compute_mode=_EXACT).min(dim=-1)
        # No width helps where nothing is known.
        known = steps <= self.spacing * math.sqrt(self.places.shape[1]) / 2
        true_cells = true_cells[known]
        if not bool(known.any()):
            return 1.0
        squares = self._squares(senses[known]).to(self.places.dtype)
        log_tau = self._taus.log().to(self.places.dtype)
        coverages = []
        for width in _WIDTHS:
            log_p = -squares / (2 * width**2) - self.places.shape[1] * log_tau
            p = log_p.softmax(dim=-1)
            own = p.gather(1, true_cells[:, None])
            # In the region unless what is more probable already holds the credible share.
            above = torch.where(p > own, p, 0.0).sum(dim=-1)
            coverages.append(float((above < self.credibility).double().mean()))
            if coverages[-1] >= self.credibility:
                return float(width)
        return float(_WIDTHS[int(np.argmax(coverages))])

    def _squares(self, senses: torch.Tensor) -> torch.Tensor:
        """Squared distances of senses (n, sensory_dim) to what is read, over τ²."""
        apart = torch.cdist(senses, self._means, compute_mode=_EXACT).double()
        return (apart / self._taus).square()

    # --- answers ---------------------------------------------------------------------------------

    def locate(
        self,
        sense: PointsLike,
        guess: PointsLike | None = None,
        guess_sd: PointsLike | float | None = None,
    ) -> Posterior:
        """Tell where a sense may have been sensed.

        Parameters
        ----------
        sense : array_like of shape (sensory_dim,)
        guess : array_like of shape (dim,), optional
            Where it is thought to have been, in metres: a Gaussian prior. Without one all
            candidates are equally probable at first.
        guess_sd : float or array_like of shape (dim,), optional
            Standard deviation of the guess, in metres.

        Returns
        -------
        Posterior

        Raises
        ------
        ValueError
            If shapes do not fit, or a guess comes without its deviation.
        """
        dtype, device = self.places.dtype, self.places.device
        value = as_senses(sense, self._dim, "sense", dtype, device).detach()
        if value.numel() != self._dim:
            raise ValueError(
                f"sense must be one sense, of shape ({self._dim},), not {tuple(value.shape)}: "
                "locate senses one by one."
            )
        dim = self.places.shape[1]
        squares = self._squares(value.reshape(1, -1))[0]
        # Relative to the least: what is far from all says as much, and leaves a guess its digits.
        log_p = (squares.min() - squares) / (2 * self.width**2)
        log_p = log_p - dim * self._taus.log()
        if guess is not None:
            log_p = log_p + _log_prior(self.places, guess, guess_sd)
        elif guess_sd is not None:
            raise ValueError("guess_sd is the deviation of a guess, but none was given.")
        if not bool(torch.isfinite(log_p.max())):
            raise ValueError(
                "what was given is so far from all that the memory knows that no number can say "
                "how improbable it is: check sense and guess, or give a larger guess_sd."
            )
        p = log_p.softmax(dim=-1)
        order = p.argsort(descending=True)
        before = p[order].cumsum(dim=0) - p[order]
        region = torch.zeros(len(p), dtype=torch.bool, device=device)
        region[order[before < self.credibility]] = True
        area = float(region.sum()) * self.spacing**dim
        # Summed from one of the places: far from the origin digits are few.
        mean = self.places[0] + (p @ (self.places - self.places[0]).double()).to(dtype)
        entropy = float(-(p * p.clamp_min(1e-300).log2()).sum())
        says_something = guess is not None or not self._all_alike
        return Posterior(
            probabilities=p.to(dtype),
            mean=mean,
            peak=self._peak(p, int(order[0])),
            region=region,
            area=area,
            entropy=entropy,
            identifiable=says_something and area <= self.largest_area,
            places=self.places,
            spacing=self.spacing,
        )

    def _peak(self, p: torch.Tensor, best: int) -> torch.Tensor:
        # The cells are coarser than the answer may be.
        steps = (self.places - self.places[best]).double()
        share = torch.where(steps.norm(dim=-1) <= AROUND * self.spacing, p, 0.0)
        return self.places[best] + ((share / share.sum()) @ steps).to(self.places.dtype)

    def holds(self, posterior: Posterior, place: PointsLike) -> bool:
        """Tell whether the credible region of a posterior holds a place.

        Parameters
        ----------
        posterior : Posterior
            Of this localiser.
        place : array_like of shape (dim,)
            In metres.

        Returns
        -------
        bool
        """
        dtype, device = self.places.dtype, self.places.device
        where = as_points(place, self.places.shape[1], "place", dtype, device).reshape(1, -1)
        nearest = torch.cdist(where, self.places, compute_mode=_EXACT)[0]
        at = int(nearest.argmin())
        inside = float((where[0] - self.places[at]).abs().max()) <= self.spacing / 2 * (1 + 1e-5)
        return bool(posterior.region[at]) and inside


def _log_prior(
    places: torch.Tensor, guess: PointsLike, guess_sd: PointsLike | float | None
) -> torch.Tensor:
    dim, device = places.shape[1], places.device
    centre = as_points(guess, dim, "guess", torch.float64, device).detach()
    if guess_sd is None:
        raise ValueError("a guess needs its standard deviation: give guess_sd in metres.")
    sd = as_numbers(guess_sd, "guess_sd", torch.float64, device).detach()
    if centre.numel() != dim or sd.numel() not in (1, dim):
        raise ValueError(
            f"guess must be one place, of shape ({dim},), and guess_sd one number or one for each "
            f"axis, but their shapes are {tuple(centre.shape)} and {tuple(sd.shape)}."
        )
    shape = torch.Size([dim])
    sd = as_deviations(sd.reshape(-1), shape, "guess_sd", torch.float64, device)
    steps = (places.double() - centre.reshape(-1)) / sd
    return -0.5 * steps.square().sum(dim=-1)


def _grid_around(locations: torch.Tensor, spacing: float, margin: float) -> torch.Tensor:
    axes = [
        torch.arange(low - margin, high + margin + spacing, spacing, dtype=torch.float64).to(
            locations
        )
        for low, high in zip(
            locations.amin(dim=0).tolist(), locations.amax(dim=0).tolist(), strict=True
        )
    ]
    return torch.cartesian_prod(*axes).reshape(-1, len(axes))
