"""Checks at the public boundary: what was given, what was expected, what to do.

What an argument may be stands in two tables, `NUMBERS` for single numbers and `VECTORS` for what
has an axis of its own. All else in this module turns what was given into what is worked with, or
says, by these tables, why it cannot.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch

SeedLike: TypeAlias = "int | torch.Generator"
PointsLike: TypeAlias = "torch.Tensor | np.ndarray | list[float] | list[list[float]]"

_TAKEN = "Give numbers: a list, a NumPy array, a tensor, or what NumPy can turn into one."


class Number(NamedTuple):
    """What a single number must, whether it does, and what to do where it does not."""

    must: str
    does: Callable[[float], bool]
    advice: str = ""


def _is_positive(number: float) -> bool:
    return 0 < number < math.inf


NUMBERS = {
    "any": Number("be a real number", lambda _: True),
    "positive": Number("be positive and finite", _is_positive, "Give a number above 0."),
    "distance": Number(
        "be a positive, finite distance in metres", _is_positive, "Give one above 0, such as 25.0."
    ),
    "share": Number(
        "lie strictly between 0 and 1", lambda x: 0 < x < 1, "For nine tenths give 0.9."
    ),
}
"""Kinds of single numbers, by what they stand for."""


class Vectors(NamedTuple):
    """What each entry of a last axis is, and what to do where there are not `dim` of them."""

    each: str
    advice: str


PER_AXIS = "one coordinate in metres for each axis of the world"
"""What the last axis of places holds, for errors."""

VECTORS = {
    "place": Vectors(PER_AXIS, "Give one place as a list of {dim} numbers, or many as such rows."),
    "sense": Vectors(
        "one number for each of the {dim} dimensions of senses",
        "Give senses as they were sensed, before any projection, and places where places belong.",
    ),
    "direction": Vectors(
        "one number for each axis of the world", "Give a unit vector, such as the way last walked."
    ),
}
"""Kinds of arrays, by what their last axis stands for."""


class WrongKind(TypeError, ValueError):
    """Raised where something is not a number, or not numbers, of the kind that is asked for."""


def make_generator(seed: SeedLike) -> torch.Generator:
    """Turn a seed into a CPU generator, or pass a generator through.

    Parameters
    ----------
    seed : int or torch.Generator
        A whole number from 0 to 2⁶³ − 1, or a generator on the CPU, which is used (and advanced) as
        it is.

    Returns
    -------
    torch.Generator
        A generator that owns its state. The global state of PyTorch is never touched.

    Raises
    ------
    TypeError
        If `seed` is neither a whole number nor a generator of PyTorch.
    ValueError
        If `seed` is negative or too large, or a generator of another device.
    """
    if isinstance(seed, torch.Generator):
        if seed.device.type != "cpu":
            raise ValueError(
                f"seed must be a generator on the CPU, but one on {seed.device} was given, and "
                "draws are the same on all devices. Give torch.Generator() or a whole number."
            )
        return seed
    try:
        number = whole_number("seed", seed)
    except WrongKind as error:
        raise TypeError(
            f"seed must be a whole number or a torch.Generator, but {_shown(seed)} was given. "
            "There is no default source of randomness: choose a number, for example seed=0."
        ) from error
    if not 0 <= number < 2**63:
        raise ValueError(f"seed must lie between 0 and 2**63 - 1, but {number} was given.")
    return torch.Generator().manual_seed(number)


def real_number(name: str, value: Any) -> float:
    """Take a number as a Python float, whatever precision it came in.

    Parameters
    ----------
    name : str
        What to call the argument in an error.
    value : object
        A number of Python, NumPy or PyTorch (without axes); a fraction, a decimal.

    Returns
    -------
    float
        NaN and the infinities are passed on.

    Raises
    ------
    WrongKind
        If it is a truth value, complex, text, or has axes: a TypeError and a ValueError.
    """
    if type(value) is float:
        return value
    right = (
        not isinstance(value, (str, bytes, bytearray, complex))
        and not _is_truth(value)
        and getattr(value, "ndim", 0) == 0
        and hasattr(type(value), "__float__")
        and not (isinstance(value, torch.Tensor) and value.is_complex())
        and not isinstance(value, np.complexfloating)
        and not np.ma.is_masked(value)
    )
    if right:
        try:
            return float(value.detach() if isinstance(value, torch.Tensor) else value)
        except OverflowError as error:
            raise ValueError(f"{name} is too large: {_shown(value)} was given.") from error
        except (TypeError, ValueError):
            pass
    raise WrongKind(f"{name} must be a real number, but {_shown(value)} was given.")


def checked_number(name: str, value: Any, kind: str | Number = "any") -> float:
    """Take a number that is of a kind as a Python float.

    Parameters
    ----------
    name : str
        What to call the argument in an error.
    value : object
        As for `real_number`.
    kind : str or Number, default="any"
        One of `NUMBERS`, by its name, or another.

    Returns
    -------
    float

    Raises
    ------
    WrongKind
        If it is no real number: a TypeError and a ValueError.
    ValueError
        If it is not of the kind.

    Examples
    --------
    >>> checked_number("credibility", 1.5, "share")
    Traceback (most recent call last):
    ...
    ValueError: credibility must lie strictly between 0 and 1, not 1.5. For nine tenths give 0.9.
    """
    wanted = NUMBERS[kind] if isinstance(kind, str) else kind
    number = real_number(name, value)
    if not wanted.does(number):
        raise ValueError(f"{name} must {wanted.must}, not {number}. {wanted.advice}".rstrip())
    return number


def checked_numbers(given: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Check many numbers by a table of their kinds.

    Parameters
    ----------
    given : mapping of str to object
        What to call each in an error, and the number.
    kinds : mapping of str to str
        The kind of each, a key of `NUMBERS`; with a question mark at its end, it may be None.

    Returns
    -------
    dict of str to float or None

    Raises
    ------
    WrongKind, ValueError
        As `checked_number` does, for the first that is wrong.

    Examples
    --------
    >>> checked_numbers({"spacing": 5, "reach": None}, {"spacing": "distance", "reach": "share?"})
    {'spacing': 5.0, 'reach': None}
    """
    numbers: dict[str, Any] = {}
    for name, kind in kinds.items():
        missing = kind.endswith("?") and given[name] is None
        numbers[name] = None if missing else checked_number(name, given[name], kind.rstrip("?"))
    return numbers


def positive_number(name: str, value: Any, unit: str | None = None) -> float:
    """Check a number of kind "positive"; `unit` is what to call it, as "distance of senses"."""
    kind = "positive" if unit is None else Number(f"be a positive, finite {unit}", _is_positive)
    return checked_number(name, value, kind)


def positive_distance(name: str, value: Any) -> float:
    """Check a number of kind "distance", as `checked_number` does."""
    return checked_number(name, value, "distance")


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """Take a whole number as a Python int.

    Parameters
    ----------
    name : str
        What to call the argument in an error.
    value : object
        An int of Python, NumPy or PyTorch. 2.0 is none, nor is True.
    least : int, optional
        The smallest that is allowed.

    Returns
    -------
    int

    Raises
    ------
    WrongKind
        If it is not a whole number: a TypeError and a ValueError.
    ValueError
        If it is less than `least`.
    """
    wanted = "a whole number" if least is None else f"a whole number of at least {least}"
    number = value
    if type(value) is not int:
        try:
            if _is_truth(value) or getattr(value, "ndim", 0) > 0:
                raise TypeError
            number = operator.index(value)
        except (TypeError, RuntimeError) as error:
            raise WrongKind(f"{name} must be {wanted}, not {_shown(value)}.") from error
    if least is not None and number < least:
        raise ValueError(f"{name} must be {wanted}, not {number}.")
    return int(number)


def as_numbers(
    values: Any,
    name: str,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Convert numbers to a tensor; what cannot be converted without loss is refused.

    Parameters
    ----------
    values : array_like
        Of any shape: tensors, arrays of any order, byte order and precision, data frames, lists,
        also of tensors.
    name : str
        What to call the argument in an error.
    dtype : torch.dtype, default=torch.float32
        Numbers are rounded to it.
    device : torch.device or str, default="cpu"

    Returns
    -------
    torch.Tensor
        The argument itself where nothing had to be converted, so that gradients pass.

    Raises
    ------
    WrongKind
        If there is something that is not a real number: text, None, complex numbers, masked
        entries. A TypeError and a ValueError.
    ValueError
        If lists are of different lengths.
    """
    if not isinstance(values, torch.Tensor):
        values = _as_tensor(values, name)
    if values.dtype == torch.bool and values.ndim == 0:
        raise WrongKind(f"{name} must be numbers, but {bool(values)} was given. {_TAKEN}")
    if values.is_complex():
        raise WrongKind(
            f"{name} must be real numbers, but complex ones were given. Give their real part, or "
            "real and imaginary parts side by side."
        )
    if values.layout != torch.strided:
        values = values.to_dense()
    converted: torch.Tensor = values.to(device, dtype)
    return converted


def _as_tensor(values: Any, name: str) -> torch.Tensor:
    """Convert what is not a tensor."""
    if type(values) in (int, float):
        return torch.tensor(real_number(name, values), dtype=torch.float64)
    if isinstance(values, (list, tuple)) and _holds_tensors(values):
        parts = [as_numbers(value, name, torch.float64) for value in values]
        shapes = {tuple(part.shape) for part in parts}
        if len(shapes) > 1:
            raise ValueError(f"{name} must be equally long lists, but some have shapes {shapes}.")
        return torch.stack(parts)
    if np.ma.is_masked(values):
        raise WrongKind(
            f"{name} must be numbers, but some of them are masked. Fill them, or leave them out: "
            f"{name}.filled(…), {name}.compressed()."
        )
    try:
        array = np.asarray(
            np.ma.getdata(values) if isinstance(values, np.ma.MaskedArray) else values
        )
    except ValueError as error:
        raise ValueError(f"{name} must be equally long lists of numbers ({error}).") from error
    except Exception as error:
        raise WrongKind(
            f"{name} must be numbers, but {_shown(values)} was given. {_TAKEN}"
        ) from error
    if array.dtype.kind == "O":
        try:
            numbers = [real_number(name, number) for number in array.flat]
        except WrongKind as error:
            raise WrongKind(
                f"{name} must be numbers, but {_shown(values)} was given. {_TAKEN}"
            ) from error
        array = np.array(numbers, dtype=np.float64).reshape(array.shape)
    if array.dtype.kind not in "biuf":
        raise WrongKind(f"{name} must be real numbers, but {_shown(values)} was given. {_TAKEN}")
    kind = array.dtype
    if kind.itemsize > 8 or kind == np.uint64:
        kind = np.dtype(np.float64)
    elif kind.kind == "u":
        kind = np.dtype(np.int64)
    # PyTorch takes neither another byte order, nor negative strides, nor what is read only.
    usable = array.flags.writeable and all(stride >= 0 for stride in array.strides)
    with np.errstate(over="ignore"):  # what became infinite is found by whoever asked
        array = array.astype(kind.newbyteorder("="), copy=not usable)
    return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))


def _holds_tensors(values: list[Any] | tuple[Any, ...]) -> bool:
    return any(
        isinstance(value, torch.Tensor)
        or (isinstance(value, (list, tuple)) and _holds_tensors(value))
        for value in values
    )


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or getattr(value, "dtype", None) in (torch.bool, np.dtype(bool))


def _shown(value: Any) -> str:
    """Something that was given, for an error: short, and on one line."""
    if isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim > 0:
        return f"an array of shape {tuple(value.shape)} and kind {value.dtype}"
    shown = " ".join(repr(value).split())
    kind = type(value).__name__
    shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
    return shown if kind in shown else f"{shown} ({kind})"


def as_vectors(
    values: Any,
    dim: int,
    name: str,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    *,
    kind: str,
) -> torch.Tensor:
    """Convert numbers to a tensor whose last axis has `dim` entries, all of them finite.

    Parameters
    ----------
    values : array_like of shape (..., dim)
        Any number of leading axes, of any length, zero included. What converts to numbers without
        loss is taken, as `as_numbers` says.
    dim : int
        How many entries there must be.
    name : str
        What to call the argument in an error.
    dtype : torch.dtype, default=torch.float32
    device : torch.device or str, default="cpu"
    kind : str
        What the last axis stands for: one of `VECTORS`.

    Returns
    -------
    torch.Tensor of shape (..., dim)
        The argument itself where nothing had to be converted, so that gradients pass.

    Raises
    ------
    WrongKind
        If there is something that is not a real number: a TypeError and a ValueError.
    ValueError
        If the last axis has another length, or an entry is not finite.
    """
    tensor = as_numbers(values, name, dtype, device)
    if tensor.ndim == 0 or tensor.shape[-1] != dim:
        wanted = VECTORS[kind]
        raise ValueError(
            f"{name} must have shape (..., {dim}), {wanted.each.format(dim=dim)}, but an array of "
            f"shape {tuple(tensor.shape)} was given. {wanted.advice.format(dim=dim)}"
        )
    # A sum is finite only if all its parts are; that of few takes a single call.
    few = tensor.numel() <= 4096 and tensor.device.type == "cpu"
    surely = few and math.isfinite(tensor.detach().sum().item())
    if not surely and not bool((finite := torch.isfinite(tensor)).all()):
        first = tuple(torch.nonzero(~finite)[0].tolist())
        given = as_numbers(values, name, torch.float64)[first].item()
        if math.isfinite(given):
            raise ValueError(
                f"{name} must be finite, but entry {list(first)} is {given}, which is too large "
                f"for {dtype}. Scale what is given, or use double precision throughout."
            )
        raise ValueError(
            f"{name} must be finite, but entry {list(first)} is {given}. "
            "Remove or repair such entries first."
        )
    return tensor


def as_points(
    points: PointsLike,
    dim: int,
    name: str = "positions",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Convert places in metres to a tensor, as `as_vectors` does.

    Parameters
    ----------
    points : array_like of shape (..., dim)
        One place or many, in metres.
    dim : int
        The dimension of the world.
    name, dtype, device
        As for `as_vectors`.

    Returns
    -------
    torch.Tensor of shape (..., dim)
    """
    return as_vectors(points, dim, name, dtype, device, kind="place")


def as_senses(
    senses: Any,
    dim: int,
    name: str = "senses",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Convert senses, or directions of senses, to a tensor, as `as_vectors` does.

    Parameters
    ----------
    senses : array_like of shape (..., dim)
    dim : int
        The dimension of senses.
    name, dtype, device
        As for `as_vectors`.

    Returns
    -------
    torch.Tensor of shape (..., dim)
    """
    return as_vectors(senses, dim, name, dtype, device, kind="sense")


def as_deviations(
    sds: Any,
    shape: torch.Size,
    name: str = "location_sds",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Convert standard deviations in metres to a tensor of the shape of the places.

    Parameters
    ----------
    sds : float or array_like
        One for all, one for each axis, or whatever else broadcasts to the shape.
    shape : torch.Size
        Of the places: (..., dim).
    name, dtype, device
        As for `as_vectors`.

    Returns
    -------
    torch.Tensor
        Of that shape.

    Raises
    ------
    WrongKind
        If there is something that is not a real number: a TypeError and a ValueError.
    ValueError
        If it does not broadcast; if two deviations for two places of two axes could be meant for
        the places or for the axes; if one is not positive and finite.
    """
    if type(sds) is float:  # as at every step of a life
        deviations = torch.tensor(sds, dtype=dtype, device=device)
        if 0.0 < deviations.item() < math.inf:
            return deviations.expand(shape)
    deviations = as_numbers(sds, name, dtype, device)
    given, last = tuple(deviations.shape), deviations.ndim
    by_axis = 0 < last < len(shape) and given == tuple(shape[-last:])
    if by_axis and given == tuple(shape[-last - 1 : -1]) and deviations.numel() > 1:
        raise ValueError(
            f"{name} of shape {given} could be meant for the {shape[-2]} places or for the "
            f"{shape[-1]} axes: for one deviation for each place give shape {(*given, 1)}, for one "
            f"for each axis {(1, *given)}."
        )
    try:
        expanded = deviations.expand(shape)
    except RuntimeError as error:
        each = f", or for one deviation for each place {(shape[-2], 1)}" if len(shape) > 1 else ""
        raise ValueError(
            f"{name} must be one number or broadcast to the shape of the locations, "
            f"{tuple(shape)}, but has shape {given}. For one for each axis give shape "
            f"{(shape[-1],)}{each}."
        ) from error
    if deviations.numel() <= 8 and all(0 < sd < math.inf for sd in deviations.flatten().tolist()):
        return expanded  # of few it is sooner told so
    right = torch.isfinite(deviations) & (deviations > 0)
    if not bool(right.all()):
        wrong = as_numbers(sds, name, torch.float64, device)[~right][0].item()
        why = (
            f"beyond what {dtype} can hold. Give a less extreme one."
            if _is_positive(wrong)
            else "among them. For a place that is known exactly give a small one, for example 0.1."
        )
        raise ValueError(
            f"{name} must be positive, finite standard deviations in metres, but {wrong} is {why}"
        )
    return expanded


def as_unit_vectors(vectors: PointsLike, dim: int, name: str = "heading") -> torch.Tensor:
    """Convert directions to a float32 tensor and check that each has length one.

    Parameters
    ----------
    vectors : array_like of shape (..., dim)
        One direction or many.
    dim : int
        The dimension of the world.
    name : str, default="heading"
        What to call the argument in an error.

    Returns
    -------
    torch.Tensor of shape (..., dim)

    Raises
    ------
    ValueError
        If the shape is wrong, an entry is not finite, or a length is not 1 to within 0.001.
    """
    tensor = as_vectors(vectors, dim, name, kind="direction")
    lengths = torch.linalg.vector_norm(tensor, dim=-1)
    if bool(((lengths - 1).abs() > 1e-3).any()):
        worst = lengths.flatten()[(lengths - 1).abs().argmax()].item()
        raise ValueError(
            f"{name} must be a unit vector, but one of length {worst:.4g} was given. "
            f"Divide it by its norm: {name} / torch.linalg.vector_norm({name}, dim=-1, "
            "keepdim=True)."
        )
    return tensor
