"""Whether what has gone is still told, found out by reading."""

from __future__ import annotations

import numpy as np
import torch

from tree_world.models.memory.forget.neighbours import FEW
from tree_world.models.memory.forget.removal import MARGIN, Removal
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.store.task import stop_if_asked
from tree_world.models.memory.types import Observations, ReadOptions

_TOGETHER = 8192  # reads that are compared at a time


def errors_at(
    which: np.ndarray,
    everything: Observations,
    rest: Observations,
    match_threshold: float | None,
) -> np.ndarray:
    """How far reads at some of the places are from what was sensed there.

    Parameters
    ----------
    which : numpy.ndarray of int, of shape (n,)
        Numbers of observations.
    everything : Observations
        Of which those are some.
    rest : Observations
        What is read from.
    match_threshold : float, optional

    Returns
    -------
    numpy.ndarray of shape (n,)
        Infinite where nothing is read.
    """
    errors = np.empty(len(which))
    options = ReadOptions(match_threshold)
    dim = everything.locations.shape[1]
    for start in range(0, len(which), _TOGETHER):
        rows = torch.from_numpy(which[start : start + _TOGETHER])
        part = everything.take(rows.to(everything.senses.device))
        with torch.no_grad():
            queries = torch.cat([part.locations, part.location_sds], dim=1)
            alike, number = torch.unique(queries, dim=0, return_inverse=True)
            many = 2 * len(alike) <= len(queries)  # who rests asks for one place again and again
            queries = alike if many else queries
            found = read(queries[:, :dim], queries[:, dim:], rest, options)
            mean, known = found.mean, found.known
            if many:
                mean, known = mean[number], known[number]
            distance = torch.linalg.vector_norm((mean - part.senses).double(), dim=-1)
            distance = distance.masked_fill(~known, torch.inf)
        errors[start : start + _TOGETHER] = distance.cpu().numpy()
    return errors


def without(gone: np.ndarray, everything: Observations) -> Observations:
    """Leave some out: reads pass over infinite deviations, which saves a copy of the rest.

    Parameters
    ----------
    gone : numpy.ndarray of int
        Numbers of observations.
    everything : Observations

    Returns
    -------
    Observations
        As many as before.
    """
    sds = everything.location_sds.detach().clone()
    sds[torch.from_numpy(gone).to(sds.device)] = torch.inf
    return Observations(everything.locations, sds, everything.senses)


def limits_of_what_stays(
    observations: Observations, tolerance: float, match_threshold: float | None
) -> np.ndarray:
    """How far reads at places of observations may come to be, as long as these are there.

    Parameters
    ----------
    observations : Observations
    tolerance : float
    match_threshold : float, optional

    Returns
    -------
    numpy.ndarray of shape (n,)
        The tolerance, where they are within it; as far as they are, and a little for rounding,
        elsewhere.
    """
    everyone = np.arange(len(observations))
    errors = errors_at(everyone, observations, observations, match_threshold)
    return np.where(errors <= tolerance, tolerance, errors * (1 + 2 * MARGIN))


def spoilt_kept(
    gone: np.ndarray,
    everything: Observations,
    limits_kept: np.ndarray,
    match_threshold: float | None,
) -> np.ndarray:
    """Find out by reading what stays and is beyond its limit.

    Parameters
    ----------
    gone : numpy.ndarray of bool, of shape (n_everything,)
    everything : Observations
    limits_kept : numpy.ndarray of shape (n_everything,)
    match_threshold : float, optional

    Returns
    -------
    numpy.ndarray of int
        Numbers of observations.
    """
    left = np.flatnonzero(~gone)
    rest = without(np.flatnonzero(gone), everything)
    return left[errors_at(left, everything, rest, match_threshold) > limits_kept[left]]


def put_back_spoilt(
    removal: Removal,
    everything: Observations,
    limits: np.ndarray,
    match_threshold: float | None,
    stop: np.ndarray,
    limits_kept: np.ndarray | None = None,
) -> np.ndarray:
    """Read what went from what is left, put back what is out of tolerance, until nothing is.

    Where what stays has limits, too, it is read with the rest; around what is beyond its limit all
    that went is put back.

    Parameters
    ----------
    removal : Removal
        Of everything.
    everything : Observations
    limits : numpy.ndarray of shape (n_everything,)
        How far each may be from what was sensed there, once it has gone.
    match_threshold : float, optional
    stop : numpy.ndarray of bool, of shape (1,)
    limits_kept : numpy.ndarray of shape (n_everything,), optional
        How far each may be as long as it is there; as far as it comes, by default.

    Returns
    -------
    numpy.ndarray of shape (n_gone,)
        Errors of what has gone, but for witnesses.

    Raises
    ------
    Cancelled
        If it was told to stop.
    """
    while True:
        stop_if_asked(stop)
        gone = np.flatnonzero(~removal.left)
        if len(gone) == 0:
            return np.empty(0)
        if match_threshold is not None and removal.is_whole and len(everything) <= FEW:
            errors = removal.errors(gone, everything.senses)
        else:
            rest = without(gone, everything)
            errors = errors_at(gone, everything, rest, match_threshold)
        spoilt = gone[errors > limits[gone]]
        if limits_kept is not None:
            spoilt = np.union1d(
                spoilt, spoilt_kept(~removal.left, everything, limits_kept, match_threshold)
            )
        # What is out of tolerance with all its neighbours there is so by rounding.
        if len(spoilt) == 0 or not removal.put_back(spoilt):
            return errors[gone < removal.number]
