"""A memory as a regressor on real ground, beside those that experts use there.

Usage: ``python -m benchmarks.study_ground [OPTION ...] [NAME ...]``, all by default; some hours.

``meuse`` divides the places of the Meuse into ten folds, five times: of each, the other nine tell.
``competitions`` trains on the training places of SIC97, SIC2004 (an ordinary day and the emergency)
and Jura, and asks at theirs. ``scale`` times a simulated field of up to 100,000 places.

The memory takes its defaults, and all senses of a set at once; rivals take one sense after the
other, and choose their settings by the training places (`benchmarks.ground_rivals`). Data come from
other packages (`benchmarks.ground_data`) and are not kept here, only errors are.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats
from sklearn.model_selection import KFold

from benchmarks import ground_data
from benchmarks.ground_data import Ground
from benchmarks.ground_rivals import RIVALS, Answer, Rival
from benchmarks.machine import peak_megabytes
from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.estimators import SpatialMemoryRegressor

Array = npt.NDArray[np.float64]
Method = Callable[[Array, Array, Array], Answer]
"""Of training places, all their senses, and test places: means, and deviations or None."""

RESULTS = results_file("ground")

FOLDS, REPETITIONS = 10, 5
LEVELS = (50, 80, 90, 95)  # per cent, of central intervals of a normal distribution
CONFIDENCE = 0.95
PACKAGES = ("scikit-gstat", "pykrige", "scikit-learn", "statsmodels")

SETS: dict[str, Callable[[], Ground]] = {
    "SIC97": ground_data.sic97,
    "SIC2004, ordinary day": ground_data.sic2004,
    "SIC2004, emergency": partial(ground_data.sic2004, emergency=True),
    "Jura": ground_data.jura,
}

SIZES = (250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 100_000)
SIDE, LENGTH = 1000.0, 50.0  # of the simulated field, in metres
NOISE = 0.3  # a standard deviation, where that of the field is 1
SENSES, WAVES = 4, 64
WARM = 1000  # places with which each way through the library is gone once
LONGEST_CALL = 120.0  # seconds; who takes longer is not asked for more
LARGEST_CALL = 8192.0  # MiB, likewise


# --- methods --------------------------------------------------------------------------------------


def _memory(order: str) -> Method:
    def predict(train_places: Array, train_senses: Array, test_places: Array) -> Answer:
        regressor = SpatialMemoryRegressor(order=order).fit(train_places, train_senses)
        mean, deviation = regressor.predict(test_places, return_std=True)
        shape = (len(test_places), train_senses.shape[1])
        return (
            np.asarray(mean, dtype=float).reshape(shape),
            np.asarray(deviation, dtype=float).reshape(shape),
        )

    return predict


def _by_sense(rival: Rival) -> Method:
    def predict(train_places: Array, train_senses: Array, test_places: Array) -> Answer:
        answers = [rival(train_places, values, test_places) for values in train_senses.T]
        deviations = [deviation for _, deviation in answers if deviation is not None]
        mean = np.column_stack([mean for mean, _ in answers])
        return mean, np.column_stack(deviations) if deviations else None

    return predict


ORDERS = ("linear", "constant", "kriging", "leave-one-out")
OURS = {f"memory, {order}": _memory(order) for order in ORDERS}
METHODS: dict[str, Method] = {
    **OURS,
    **{name: _by_sense(rival) for name, rival in RIVALS.items()},
}


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


# --- errors ---------------------------------------------------------------------------------------


def scores(answer: Answer, truth: Array) -> dict[str, Any]:
    """Tell how far from the truth each sense is, and whether deviations say so.

    Parameters
    ----------
    answer : tuple
        Means, and deviations or None, each of shape (k, m).
    truth : numpy.ndarray of shape (k, m)

    Returns
    -------
    dict
        ``mae``, mean absolute error, ``mse``, mean squared error, and ``rmse``, its root, a list of
        m each. With deviations also ``inside``, how many of k the central normal interval of each
        of `LEVELS` holds, and ``crps``, the mean continuous ranked probability score of the normal.
    """
    mean, deviation = answer
    away = mean - truth
    squared = (away**2).mean(axis=0)
    found: dict[str, Any] = {"mae": np.abs(away).mean(axis=0), "mse": squared}
    found["rmse"] = np.sqrt(squared)
    if deviation is not None:
        found["inside"] = {
            str(level): (np.abs(away) <= deviation * scipy.stats.norm.ppf(0.5 + level / 200)).sum(0)
            for level in LEVELS
        }
        found["crps"] = crps(mean, deviation, truth).mean(axis=0)
    return found


def crps(mean: Array, deviation: Array, truth: Array) -> Array:
    r"""Continuous ranked probability score of normal distributions, in the unit of the truth.

    .. math:: \sigma \left( z\,(2\Phi(z) - 1) + 2\varphi(z) - \frac{1}{\sqrt\pi} \right),
        \quad z = \frac{y - \mu}{\sigma}

    References
    ----------
    T. Gneiting, A. E. Raftery, "Strictly proper scoring rules, prediction, and estimation", 2007.
    """
    z = (truth - mean) / deviation
    normal = scipy.stats.norm
    score: Array = deviation * (
        z * (2 * normal.cdf(z) - 1) + 2 * normal.pdf(z) - 1 / math.sqrt(math.pi)
    )
    return score


def paired_interval(
    errors: Array, baseline: Array, test_to_train: float, confidence: float = CONFIDENCE
) -> dict[str, float]:
    r"""Mean difference of the errors of folds, with an interval for training sets that overlap.

    The variance of the mean of J differences is taken for

    .. math:: \left( \frac{1}{J} + \frac{n_\text{test}}{n_\text{train}} \right) s^2

    as two training sets have most places in common, so that folds tell less than J would.

    Parameters
    ----------
    errors, baseline : numpy.ndarray of shape (J,)
        Of the same folds.
    test_to_train : float
        How many test places there are for each training place.
    confidence : float, default=0.95

    Returns
    -------
    dict
        ``mean``, ``low`` and ``high`` of ``errors - baseline``.

    References
    ----------
    C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52, 2003; for
    cross-validation that is repeated: R. R. Bouckaert, E. Frank, "Evaluating the replicability of
    significance tests for comparing learning algorithms", 2004.
    """
    differences = np.asarray(errors, dtype=float) - np.asarray(baseline, dtype=float)
    number = len(differences)
    variance = (1 / number + test_to_train) * differences.var(ddof=1)
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, number - 1) * math.sqrt(variance))
    mean = float(differences.mean())
    return {"mean": mean, "low": mean - half, "high": mean + half}


# --- the Meuse ------------------------------------------------------------------------------------


def meuse(
    part: Part,
    methods: Sequence[str] = tuple(METHODS),
    repetitions: int = REPETITIONS,
    folds: int = FOLDS,
) -> dict[str, Any]:
    """Ten folds, five times; a short form asks the first folds alone.

    Returns
    -------
    dict
        For each of the ``methods`` errors as of `scores`, each as [repetition][metal][fold]; over
        all of them the ``rmse``, the best rival of each metal, and the ``differences`` from it of
        the root mean squared errors of folds. To choose it afterwards favours the rival.
    """
    ground = ground_data.meuse()
    calls = {
        f"{method}, repetition {number}": (method, number, folds)
        for method in methods
        for number in range(repetitions)
    }
    parts = iter(part.each(folds_of_meuse, calls))
    kept = {method: _stacked([next(parts) for _ in range(repetitions)]) for method in methods}
    tests = [
        [len(asked) for _, asked in divided(ground, number)[:folds]]
        for number in range(repetitions)
    ]
    found = {"metals": list(ground.names), "size": len(ground.places), "tests": tests}
    return {
        "versions": _versions(),
        **found,
        "levels": list(LEVELS),
        "methods": kept,
        **_compared(kept, tests, ground),
    }


def folds_of_meuse(method: str, repetition: int, folds: int) -> dict[str, Any]:
    """Score a method on the first folds of one repetition, each score as [metal][fold]."""
    ground = ground_data.meuse()
    rows = []
    for known, asked in divided(ground, repetition)[:folds]:
        answer = METHODS[method](ground.places[known], ground.senses[known], ground.places[asked])
        rows.append(scores(answer, ground.senses[asked]))
    return _stacked(rows, axis=1)


def divided(ground: Ground, repetition: int) -> list[tuple[Any, Any]]:
    """Divide places into folds: for each the numbers of those that tell, and of those asked."""
    return list(KFold(FOLDS, shuffle=True, random_state=repetition).split(ground.places))


def _stacked(rows: list[dict[str, Any]], axis: int = 0) -> dict[str, Any]:
    """Put scores of the same kind together along a new axis."""
    return {
        key: _stacked([row[key] for row in rows], axis)
        if isinstance(rows[0][key], dict)
        else np.stack([np.asarray(row[key]) for row in rows], axis)
        for key in rows[0]
    }


def _compared(kept: dict[str, Any], tests: list[list[int]], ground: Ground) -> dict[str, Any]:
    counts = np.array(tests)
    rmse = {
        method: np.sqrt(np.average(found["mse"], axis=(0, 2), weights=_spread(counts, found)))
        for method, found in kept.items()
    }
    rivals = [method for method in kept if method not in OURS]
    best: list[str] = []
    differences: dict[str, list[dict[str, float]]] = {name: [] for name in kept if name in OURS}
    if rivals and counts.size > 1:
        test_to_train = float(counts.mean() / (len(ground.places) - counts.mean()))
        for metal in range(len(ground.names)):
            folds = {name: found["rmse"][:, metal].ravel() for name, found in kept.items()}
            best.append(min(rivals, key=lambda name: float(folds[name].mean())))
            for name, rows in differences.items():
                rows.append(paired_interval(folds[name], folds[best[-1]], test_to_train))
    return {"rmse": rmse, "best_rivals": best, "differences": differences}


def _spread(counts: npt.NDArray[np.int64], found: dict[str, Any]) -> npt.NDArray[np.int64]:
    return np.broadcast_to(counts[:, None], found["mse"].shape)


# --- competitions ---------------------------------------------------------------------------------


def competitions(part: Part, methods: Sequence[str] = tuple(METHODS)) -> dict[str, Any]:
    """Train on the training places of a competition, and ask at its own.

    Returns
    -------
    dict
        For each of the ``sets``: its senses, sizes, and for each of the ``methods`` what `scores`
        tells, a list over senses.
    """
    found: dict[str, Any] = {}
    for name, load in SETS.items():
        ground = load()
        assert ground.test_places is not None
        calls = {f"{name}: {method}": (name, method) for method in methods}
        found[name] = {
            "senses": list(ground.names),
            "train": len(ground.places),
            "test": len(ground.test_places),
            "methods": dict(zip(methods, part.each(competed, calls), strict=True)),
        }
    return {"versions": _versions(), "levels": list(LEVELS), "sets": found}


def competed(name: str, method: str) -> dict[str, Any]:
    """Score a method in a competition."""
    ground = SETS[name]()
    assert ground.test_places is not None
    assert ground.test_senses is not None
    answer = METHODS[method](ground.places, ground.senses, ground.test_places)
    return scores(answer, ground.test_senses)


# --- scale ----------------------------------------------------------------------------------------


def scale(
    part: Part, methods: Sequence[str] = tuple(METHODS), sizes: Sequence[int] = SIZES
) -> dict[str, Any]:
    """Fit and ask at as many places, more and more, until it takes too long or too much memory.

    Returns
    -------
    dict
        For each method, lists over its ``sizes``: ``seconds`` of fit and prediction together,
        ``megabytes`` at their peak, and ``rmse`` against the field without noise. The memory is
        given all `SENSES`, deviations included, and a rival the first alone: ``senses``. Time grows
        as a power of the size, over the last three: ``exponents``. What was ``left_out``, and why.
    """
    columns: dict[str, dict[str, Any]] = {"sizes": {}, "seconds": {}, "megabytes": {}, "rmse": {}}
    exponents, left_out = {}, {}
    for method in methods:
        rows: list[dict[str, Any]] = []
        for size in sizes:
            row = part(f"{method}, {size:,}", timed, method, size)
            if "left_out" in row:
                left_out[method] = f"{size:,}: {row['left_out']}"
                break
            rows.append(row)
            if row["seconds"] > LONGEST_CALL or (row["megabytes"] or 0) > LARGEST_CALL:
                break
        columns["sizes"][method] = list(sizes[: len(rows)])
        for name in ("seconds", "megabytes", "rmse"):
            columns[name][method] = [row[name] for row in rows]
        exponents[method] = exponent(columns["sizes"][method], columns["seconds"][method])
    return {
        "versions": _versions(),
        "field": {"side": SIDE, "length": LENGTH, "noise": NOISE, "waves": WAVES},
        "senses": {method: SENSES if method in OURS else 1 for method in methods},
        "limits": {"seconds": LONGEST_CALL, "megabytes": LARGEST_CALL},
        **columns,
        "exponents": exponents,
        "left_out": left_out,
    }


def timed(method: str, size: int) -> dict[str, Any]:
    """Time one method at one size, and measure its memory and error."""
    places, senses, queries, truth = field(size)
    if method not in OURS:
        senses, truth = senses[:, :1], truth[:, :1]
    few = slice(0, WARM if method in OURS else 64)  # so that all is compiled
    METHODS[method](places[few], senses[few], queries[few])
    found: dict[str, Any] = {}

    def work() -> None:
        started = time.perf_counter()
        mean, _ = METHODS[method](places, senses, queries)
        found["seconds"] = time.perf_counter() - started
        found["rmse"] = float(np.sqrt(((mean - truth) ** 2).mean()))

    try:
        with at_most(LARGEST_CALL):
            found["megabytes"] = peak_megabytes(work)
            if "seconds" not in found:  # this system does not tell how much memory is used
                work()
    except MemoryError as error:
        return {"left_out": f"more than {LARGEST_CALL:.0f} MiB ({error})"}
    return found


def field(size: int) -> tuple[Array, Array, Array, Array]:
    """Draw places, noisy senses there, as many queries, and the senses there without noise.

    Each sense is a sum of plane waves whose correlation is a Gaussian of `LENGTH`. Fields of all
    sizes are the same, and the places of a smaller one are among those of a larger.
    """
    generator = np.random.default_rng(0)
    frequencies = generator.normal(0, 1 / LENGTH, (SENSES, WAVES, 2))
    phases = generator.uniform(0, 2 * math.pi, (SENSES, WAVES))
    places, queries = (generator.uniform(0, SIDE, (SIZES[-1], 2))[:size] for _ in range(2))
    noise = generator.normal(0, NOISE, (SIZES[-1], SENSES))[:size]

    def at(where: Array) -> Array:
        total = np.zeros((len(where), SENSES))
        for sense in range(SENSES):
            for frequency, phase in zip(frequencies[sense], phases[sense], strict=True):
                total[:, sense] += np.cos(where @ frequency + phase)
        return total * math.sqrt(2 / WAVES)

    return places, at(places) + noise, queries, at(queries)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Power of the size by which the last three times grow; None of fewer than two."""
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes[-3:]), np.log(seconds[-3:]), 1)[0])


@contextlib.contextmanager
def at_most(megabytes: float) -> Iterator[None]:
    """Let this process have so much more memory, and no more, where the system can do that."""
    try:
        import resource

        lines = Path("/proc/self/status").read_text().splitlines()
    except (ImportError, OSError):  # not Linux
        yield
        return
    held = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (held * 1024 + int(megabytes * 2**20), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


# --- what is run ----------------------------------------------------------------------------------

_QUICK = (*OURS, "inverse distances")

STUDIES = {
    "meuse": Study(
        meuse,
        short=lambda part: meuse(part, (*_QUICK, "Gaussian process, scikit-learn"), 1, 1),
        agrees=[Same("methods"), Same("metals"), Same("tests")],
    ),
    "competitions": Study(
        competitions,
        short=lambda part: competitions(part, _QUICK),
        agrees=[Same("sets"), Same("levels")],
    ),
    "scale": Study(
        scale,
        short=lambda part: scale(part, _QUICK, SIZES[:4]),
        agrees=[Same("rmse"), Same("field"), Same("senses")],
    ),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
