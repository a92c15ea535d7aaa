"""What calls are given, checked, and made of one kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tree_world.checks import (
    PointsLike,
    SeedLike,
    WrongKind,
    as_deviations,
    as_numbers,
    as_points,
    as_senses,
    make_generator,
    positive_number,
    whole_number,
)
from tree_world.models.memory.common import MERGING, Common
from tree_world.models.memory.options import DrawOptions
from tree_world.models.memory.types import Merging, Update

_UNEVEN = 1e-4  # by which correlations in single precision may differ from their mirror images


def checked_observations(
    common: Common, locations: PointsLike, location_sds: PointsLike | float, senses: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Check what is to be written.

    Parameters
    ----------
    common : Common
    locations, location_sds, senses
        As for `SpatialMemory.write`.

    Returns
    -------
    places, sds, senses : torch.Tensor of shape (N, dim) or (batch, N, dim)
    """
    kind = common.dtype, common.device
    places = as_points(locations, common.location_dim, "locations", *kind)
    if places.ndim > 3:
        raise _too_many_axes(places)
    if places.ndim == 1:
        places = places[None]
    sds = as_deviations(location_sds, places.shape, "location_sds", *kind)
    values = as_senses(senses, common.sensory_dim, "senses", *kind).detach()
    if values.ndim == 1:
        values = values[None]
    if values.shape[:-1] != places.shape[:-1]:
        raise ValueError(
            "locations and senses must hold equally many observations, but have shapes "
            f"{tuple(places.shape)} and {tuple(values.shape)}."
        )
    return places.detach(), sds.detach(), values


def checked_places(
    common: Common, locations: PointsLike, location_sds: PointsLike | float, order: str = "constant"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check where is to be read.

    Parameters
    ----------
    common : Common
    locations, location_sds
        As for `SpatialMemory.read`.
    order : str, default="constant"
        As of `ReadOptions`: by kriging, places must be known exactly.

    Returns
    -------
    places, sds : torch.Tensor of shape (dim,), (Q, dim) or (batch, Q, dim)
    """
    kind = common.dtype, common.device
    places = as_points(locations, common.location_dim, "locations", *kind)
    if places.ndim > 3:
        raise _too_many_axes(places)
    if order == "kriging":
        sds = as_numbers(location_sds, "location_sds", *kind)
        if bool((sds != 0).any()):
            raise ValueError(
                "order='kriging' reads at places that are known: location_sds must be 0.0, but "
                f"{sds[sds != 0][0].item():g} was given. Read uncertain places with another order, "
                "or wherever they may be."
            )
        as_deviations(sds + 1.0, places.shape, "location_sds", *kind)  # does it broadcast?
        return places, torch.zeros_like(places)
    return places, as_deviations(location_sds, places.shape, "location_sds", *kind)


def checked_place(common: Common, location: PointsLike, name: str) -> torch.Tensor:
    """Check one place.

    Parameters
    ----------
    common : Common
    location : array_like of shape (location_dim,)
    name : str
        What to call it in an error.

    Returns
    -------
    torch.Tensor of shape (location_dim,)
    """
    place = as_points(location, common.location_dim, name, common.dtype, common.device)
    if place.numel() != common.location_dim:
        raise ValueError(
            f"{name} must be one place, of shape ({common.location_dim},), but one of shape "
            f"{tuple(place.shape)} was given."
        )
    return place.reshape(-1)


def checked_senses(common: Common, senses: Any, name: str = "senses") -> torch.Tensor:
    """Check senses.

    Parameters
    ----------
    common : Common
    senses : array_like of shape (..., sensory_dim)
    name : str
        What to call them in an error.

    Returns
    -------
    torch.Tensor of shape (..., sensory_dim)
    """
    return as_senses(senses, common.sensory_dim, name, common.dtype, common.device)


def _too_many_axes(places: torch.Tensor) -> ValueError:
    dim = places.shape[-1]
    return ValueError(
        f"locations must have shape (N, {dim}) or (batch, N, {dim}), but one of shape "
        f"{tuple(places.shape)} was given."
    )


def checked_times(times: PointsLike | float | None, places: torch.Tensor) -> np.ndarray | None:
    """Check the times of what is to be written.

    Parameters
    ----------
    times : float or array_like, or None
        As for `SpatialMemory.write`.
    places : torch.Tensor of shape (N, location_dim) or (batch, N, location_dim)

    Returns
    -------
    numpy.ndarray of float64, of shape (N,) or (batch, N), or None

    Raises
    ------
    ValueError
        If one is not finite, or they do not broadcast to one for each observation.
    """
    if times is None:
        return None
    numbers = as_numbers(times, "times", torch.float64).detach()
    wanted, shape = places.shape[:-1], tuple(numbers.shape)
    wrong = ~torch.isfinite(numbers)
    if bool(wrong.any()):
        raise ValueError(
            f"times must be finite, but {numbers[wrong][0].item()} is among them. Leave times out "
            "to count observations instead."
        )
    try:
        return numbers.expand(wanted).numpy()
    except RuntimeError as error:
        raise ValueError(
            f"times must be one number, or broadcast to one for each observation, {tuple(wanted)}, "
            f"but have shape {shape}."
        ) from error


def checked_moves(
    common: Common,
    ids: Any,
    locations: PointsLike,
    location_sds: PointsLike | float | None,
    location_covariances: PointsLike | None,
) -> tuple[np.ndarray, torch.Tensor, torch.Tensor | None]:
    """Check what is to be moved, and whereto.

    Parameters
    ----------
    common : Common
    ids, locations, location_sds, location_covariances
        As for `SpatialMemory.move`.

    Returns
    -------
    ids : numpy.ndarray of int64, of shape (n,)
    places : torch.Tensor of shape (n, location_dim)
    sds : torch.Tensor of shape (n, location_dim), or None

    Raises
    ------
    ValueError
        If an id comes twice, shapes do not fit, a number is not finite, a deviation not positive, a
        covariance not symmetric or not positive definite, or there are deviations and covariances.
    """
    names = whole_numbers("ids", ids)
    different, times = np.unique(names, return_counts=True)
    if len(different) < len(names):
        raise ValueError(
            f"ids must be different, but {different[times > 1][:10].tolist()} come more than once: "
            "an observation has one place. Give each once, with its place."
        )
    kind = common.dtype, common.device
    if len(names) == 0 and as_numbers(locations, "locations").numel() == 0:
        return names, torch.empty(0, common.location_dim, dtype=kind[0], device=kind[1]), None
    places = as_points(locations, common.location_dim, "locations", *kind).detach()
    if places.ndim == 1:
        places = places[None]
    if tuple(places.shape) != (len(names), common.location_dim):
        raise ValueError(
            f"locations must hold one place for each of the {len(names)} ids, of shape "
            f"({len(names)}, {common.location_dim}), but have shape {tuple(places.shape)}."
        )
    if location_covariances is not None:
        if location_sds is not None:
            raise ValueError(
                "give location_sds or location_covariances, but not both: of covariances the roots "
                "of the diagonal are kept as deviations."
            )
        location_sds = _sds_of(location_covariances, places)
    if location_sds is None:
        return names, places, None
    return names, places, as_deviations(location_sds, places.shape, "location_sds", *kind).detach()


def _sds_of(covariances: PointsLike, places: torch.Tensor) -> torch.Tensor:
    """Check covariances of some places, and take the roots of their diagonals."""
    name, dim = "location_covariances", places.shape[-1]
    given = as_numbers(covariances, name, torch.float64).detach().cpu()
    if given.shape not in ((dim, dim), (len(places), dim, dim)):
        raise ValueError(
            f"{name} must be one for each of the {len(places)} places, of shape ({len(places)}, "
            f"{dim}, {dim}), or one for all, of shape ({dim}, {dim}), but have shape "
            f"{tuple(given.shape)}."
        )
    given = as_points(given, dim, name, torch.float64)
    variances = given.diagonal(dim1=-2, dim2=-1)
    sds = variances.clamp(min=0).sqrt()
    # As correlations: what is large in one unit is small in another.
    correlations = given / (sds[..., :, None] * sds[..., None, :])
    uneven = (correlations - correlations.mT).abs().amax(dim=(-2, -1))
    failed = torch.linalg.cholesky_ex(correlations.nan_to_num(0.0, 0.0, 0.0)).info != 0
    # Written so that NaN, of a variance that is zero or less, is wrong, too.
    wrong = ~(uneven <= _UNEVEN) | failed
    if bool(wrong.any()):
        first = given.reshape(-1, dim, dim)[int(wrong.reshape(-1).nonzero()[0, 0])]
        raise ValueError(
            f"{name} must be symmetric and positive definite, in square metres, but "
            f"{first.tolist()} is not. For a place that is known exactly along an axis give a "
            "small variance, for example 0.01."
        )
    return sds.expand(places.shape)


def checked_merging(
    common: Common,
    update: Update,
    merge_distance: float | None = None,
    merge_sense_distance: float | None = None,
) -> Merging | None:
    """Check what is to be merged with what is in store.

    Parameters
    ----------
    common : Common
    update, merge_distance, merge_sense_distance
        As for `SpatialMemory.write`.

    Returns
    -------
    Merging or None
        None where nothing is.

    Raises
    ------
    ValueError
        If a choice is unknown, a distance not positive, or one is given and nothing is merged.
    """
    replaces = isinstance(update, str) and update == "replace"
    if not (replaces or isinstance(update, (bool, np.bool_))):
        raise ValueError(
            "update must be False, to store all; True, to merge with what is alike; or 'replace', "
            f"to merge places and keep the new sense; but {update!r} was given."
        )
    given = {"merge_distance": merge_distance, "merge_sense_distance": merge_sense_distance}
    named = [name for name, value in given.items() if value is not None]
    if not update:
        if named:
            raise ValueError(
                f"{named[0]} says what is merged, but with update=False nothing is: give "
                "update=True or update='replace', or leave it out."
            )
        return None
    distance, sense_distance = (
        getattr(common, name) if value is None else positive_number(name, value, MERGING[name])
        for name, value in given.items()
    )
    return Merging(distance, sense_distance, replaces)


def checked_search(
    common: Common,
    location: PointsLike | None,
    location_sd: PointsLike | float | None,
    search_key: PointsLike,
    how: DrawOptions,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Check from where and what for is drawn, and express the key as senses are stored.

    Parameters
    ----------
    common : Common
    location, location_sd, search_key
        As for `SpatialMemory.sample`.
    how : DrawOptions

    Returns
    -------
    keys, places, sds : torch.Tensor of shape (dim,) or (batch, dim), or None
    """
    if how.match_threshold is not None and location is None:
        raise ValueError("match_threshold is a distance from location, but none was given.")
    keys = encoded_key(common, checked_senses(common, search_key, "search_key"))
    if location is None:
        return keys, None, None
    kind = common.dtype, common.device
    places = as_points(location, common.location_dim, "location", *kind)
    if location_sd is None or places.ndim > 2:
        raise ValueError(
            f"location must be one place or one for each row of the batch, with its "
            f"location_sd in metres, but has shape {tuple(places.shape)} and "
            f"location_sd is {location_sd!r}."
        )
    return keys, places, as_deviations(location_sd, places.shape, "location_sd", *kind)


def encoded_key(common: Common, keys: torch.Tensor) -> torch.Tensor:
    """Express a direction of senses as one of what is stored.

    Parameters
    ----------
    common : Common
    keys : torch.Tensor of shape (sensory_dim,) or (batch, sensory_dim)

    Returns
    -------
    torch.Tensor of shape (embed_dim,) or (batch, embed_dim)
    """
    if keys.ndim > 2:
        raise ValueError(
            f"search_key must have shape ({common.sensory_dim},) or (batch, {common.sensory_dim}), "
            f"but one of shape {tuple(keys.shape)} was given."
        )
    # Products with what is decoded are, up to a constant, products with what is stored.
    return keys if common.projection is None else keys @ common.projection.inverse.mT


def numpy_generator(seed: SeedLike) -> np.random.Generator:
    """Make a generator of NumPy's from a seed, or from one number of a generator of PyTorch's.

    Parameters
    ----------
    seed : int or torch.Generator

    Returns
    -------
    numpy.random.Generator
    """
    drawn = torch.randint(2**63 - 1, (1,), generator=make_generator(seed), dtype=torch.int64)
    return np.random.default_rng(int(drawn))


def refuse_batches(name: str, tensor: torch.Tensor, axes: int = 2) -> None:
    """Raise ValueError if a tensor has one axis more than one memory takes.

    Parameters
    ----------
    name : str
    tensor : torch.Tensor
    axes : int, default=2
        How many there may be.
    """
    if tensor.ndim > axes:
        raise ValueError(
            f"{name} has a batch, of shape {tuple(tensor.shape)}, but this is one memory: give it "
            "without, or use a SpatialMemory."
        )


def whole_numbers(name: str, values: Any) -> np.ndarray:
    """Take whole numbers, of whatever width and shape, and no others.

    Parameters
    ----------
    name : str
    values : array_like of int

    Returns
    -------
    numpy.ndarray of int64, of shape (n,)

    Raises
    ------
    ValueError
        If they are anything else, such as a mask.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        whole = not (
            values.is_floating_point() or values.is_complex() or values.dtype == torch.bool
        )
        array = values.numpy() if whole else None
    else:
        if isinstance(values, (list, tuple)) and not _is_nested(values):
            values = [whole_number(name, value) for value in values]
            # No id is so large: it is not in store, as −1 is not.
            values = np.array([v if -1 <= v < 2**63 else -1 for v in values], dtype=np.int64)
        array = np.asarray(values)
        array = array if array.dtype.kind in "iu" else None
    if array is None or np.ma.is_masked(values):
        kind = getattr(values, "dtype", type(values).__name__)
        raise WrongKind(
            f"{name} must be whole numbers, but {kind} was given. To choose by a mask, give "
            "memory.ids[0][mask]."
        )
    return np.asarray(array, dtype=np.int64).reshape(-1)


def _is_nested(values: list[Any] | tuple[Any, ...]) -> bool:
    return any(isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) for value in values)
