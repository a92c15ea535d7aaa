"""Other ways to tell from places what it is like elsewhere, each as an expert would run it.

A rival is given training places, what was measured there, and test places. It returns what it
expects there, and the standard deviation of a new measurement, or None where it has none. All that
it chooses, it chooses by the training places alone. Nothing is random: where a library draws
starts, it draws them by seed 0.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from sklearn.model_selection import KFold

Array = npt.NDArray[np.float64]
Answer = tuple[Array, Array | None]
Rival = Callable[[Array, Array, Array], Answer]
Setting = TypeVar("Setting")

INNER_FOLDS = 10

POWERS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
NEIGHBOURS = (4, 6, 8, 12, 16, 24, 32, 48)

GSTAT_MODELS = ("spherical", "exponential", "gaussian", "matern", "stable")
GSTAT_ESTIMATORS = ("matheron", "cressie")
GSTAT_LAGS = (10, 15, 20)
GSTAT_NEIGHBOURS = (16, 32, 64)

PYKRIGE_WITH_SILL = ("spherical", "exponential", "gaussian")
PYKRIGE_MODELS = ("linear", "power", *PYKRIGE_WITH_SILL)
PYKRIGE_LAGS = (6, 12, 20)

STARTS = 3  # of a search for the best length scales, beside the first


class NothingWorked(RuntimeError):
    """Raised where a rival failed with each of its settings; says how it failed last."""


# --- what they share ------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let libraries neither warn nor print, nor change how others warn."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield


def best_setting(settings: Iterable[Setting], loss: Callable[[Setting], float]) -> Setting:
    """Find the setting of least loss; what fails, or is not finite, is left out."""
    best, least, last = None, math.inf, "no loss was finite"
    for setting in settings:
        try:
            found = float(loss(setting))
        except Exception as error:  # libraries raise whatever they like
            last = f"{type(error).__name__}: {error}"
            continue
        if found < least:
            best, least = setting, found
    if best is None:
        raise NothingWorked(f"failed with each setting; the last one said: {last}")
    return best


def _inner_error(places: Array, values: Array, predict: Rival) -> float:
    """Mean squared error where each of ten folds of the training places is told by the others."""
    squares = np.empty(len(values))
    folds = KFold(min(INNER_FOLDS, len(values)), shuffle=True, random_state=0)
    for known, asked in folds.split(places):
        mean, _ = predict(places[known], values[known], places[asked])
        squares[asked] = (mean - values[asked]) ** 2
    return float(squares.mean())


def _finite(mean: Any, variance: Any) -> Answer:
    """Refuse what is no number, so that a setting counts as failed; mind rounding below zero."""
    means, variances = np.asarray(mean, dtype=float), np.asarray(variance, dtype=float)
    if not (np.isfinite(means).all() and np.isfinite(variances).all()):
        raise ArithmeticError("a mean or a variance is no number")
    return means, np.sqrt(np.maximum(variances, 1e-12))


# --- the rivals -----------------------------------------------------------------------------------


def inverse_distances(train_places: Array, train_values: Array, test_places: Array) -> Answer:
    """Mean of the nearest, weighted by a power of the distance; it has no deviation.

    Power (0.5 to 5) and number of neighbours (4 to 48) are those of least squared error when each
    training place is told by the others.
    """
    most = min(NEIGHBOURS[-1], len(train_values) - 1)
    tree = KDTree(train_places)
    _, others = tree.query(train_places, most + 1)
    # Of places that coincide, the tree may name another one first.
    itself = others == np.arange(len(others))[:, None]
    itself[~itself.any(axis=1), -1] = True
    others = others[~itself].reshape(len(others), most)
    away = np.linalg.norm(train_places[others] - train_places[:, None], axis=-1)

    def loss(setting: tuple[float, int]) -> float:
        power, number = setting
        found = _weighted(away[:, :number], train_values[others[:, :number]], power)
        return float(((found - train_values) ** 2).mean())

    numbers = sorted({min(number, most) for number in NEIGHBOURS})
    power, number = best_setting(itertools.product(POWERS, numbers), loss)
    distances, nearest = tree.query(test_places, range(1, number + 1))
    return _weighted(distances, train_values[nearest], power), None


def _weighted(distances: Array, values: Array, power: float) -> Array:
    near = np.maximum(distances, 1e-9 * distances.max())
    weights = (near / near.min(axis=1, keepdims=True)) ** -power
    mean: Array = (weights * values).sum(axis=1) / weights.sum(axis=1)
    return mean


def scikit_gstat(train_places: Array, train_values: Array, test_places: Array) -> Answer:
    """Ordinary kriging by scikit-gstat, with the kriging deviation.

    The variogram, always with a nugget and up to the median distance, is fitted to all training
    places by each model (spherical, exponential, Gaussian, Matérn, stable), estimator (Matheron's,
    Cressie's) and number of lags (10, 15, 20). The best of them, and then the number of neighbours
    (16, 32, 64), is that of least squared error where each of ten folds of the training places is
    kriged from the others. Neighbours count beyond the range, too, where the library would leave a
    gap.
    """
    with _quiet():
        from skgstat import OrdinaryKriging, Variogram

        def variogram(setting: tuple[str, str, int]) -> Any:
            model, estimator, lags = setting
            return Variogram(
                *(train_places, train_values, estimator, model),
                n_lags=lags,
                maxlag="median",
                use_nugget=True,
            )

        def kriged(fitted: Any, neighbours: int) -> Rival:
            def predict(places: Array, values: Array, asked: Array) -> Answer:
                kriging = OrdinaryKriging(
                    *(fitted, 1, min(neighbours, len(values))),
                    coordinates=places,
                    values=values,
                    solver="numpy",
                )
                kriging.range = math.inf  # of the search, not of the variogram
                mean = kriging.transform(*asked.T)
                return _finite(mean, kriging.sigma)

            return predict

        def loss(fitted: Any, neighbours: int) -> float:
            return _inner_error(train_places, train_values, kriged(fitted, neighbours))

        settings = itertools.product(GSTAT_MODELS, GSTAT_ESTIMATORS, GSTAT_LAGS)
        middle = GSTAT_NEIGHBOURS[1]
        fitted = variogram(best_setting(settings, lambda setting: loss(variogram(setting), middle)))
        neighbours = best_setting(GSTAT_NEIGHBOURS, lambda number: loss(fitted, number))
        return kriged(fitted, neighbours)(train_places, train_values, test_places)


def pykrige(train_places: Array, train_values: Array, test_places: Array) -> Answer:
    """Kriging by PyKrige, ordinary or with a plane as drift, with the kriging deviation.

    The variogram is fitted to all training places by each model (linear, power, spherical,
    exponential, Gaussian; the hole effect is none in a plane), number of lags (6, 12, 20) and with
    near lags weighing more, or not. The best of them, and the kind of kriging, is that of least
    squared error where each of ten folds of the training places is kriged from the others. All
    training places are neighbours. What the library tells of a fit with drift, by kriging each
    place from those before it, takes most of its time and is asked by nobody: it is left out.
    """
    with _quiet():
        from pykrige import uk
        from pykrige.ok import OrdinaryKriging

        drifting = partial(uk.UniversalKriging, drift_terms=["regional_linear"])

        def kriged(setting: tuple[bool, str, int, bool]) -> Rival:
            drift, model, lags, weight = setting
            kind = partial(drifting if drift else OrdinaryKriging, variogram_model=model)
            fitted = kind(*train_places.T, train_values, nlags=lags, weight=weight)
            parameters = list(fitted.variogram_model_parameters)
            if model in PYKRIGE_WITH_SILL:  # told without the nugget, and asked for with it
                parameters[0] += parameters[-1]

            def predict(places: Array, values: Array, asked: Array) -> Answer:
                kriging = kind(*places.T, values, variogram_parameters=parameters)
                return _finite(*kriging.execute("points", *asked.T))

            return predict

        settings = itertools.product((False, True), PYKRIGE_MODELS, PYKRIGE_LAGS, (False, True))
        with mock.patch.object(uk, "_find_statistics", return_value=np.zeros((3, 2))):
            best = best_setting(
                settings, lambda setting: _inner_error(train_places, train_values, kriged(setting))
            )
            return kriged(best)(train_places, train_values, test_places)


def gaussian_process(train_places: Array, train_values: Array, test_places: Array) -> Answer:
    """Gaussian process of scikit-learn, with the deviation of a new measurement, noise included.

    The kernel is that of greatest evidence among Matérn's of 1/2, 3/2 and 5/2, the Gaussian and the
    rational quadratic, with one length for both axes or one for each (of the last, the library has
    the first alone), times a variance, plus noise. Lengths, variances and noise are those of
    greatest evidence from four starts. Coordinates are divided by one scale, values standardised.
    """
    middle, scale = train_places.mean(axis=0), train_places.std()
    known, asked = (train_places - middle) / scale, (test_places - middle) / scale
    lengths = (1e-2, 1e2)
    fitted: dict[int, GaussianProcessRegressor] = {}

    def loss(number: int) -> float:
        start = np.ones(2) if number % 2 else 1.0
        smooth = (
            *(kernels.Matern(start, lengths, nu=nu) for nu in (0.5, 1.5, 2.5)),
            kernels.RBF(start, lengths),
            kernels.RationalQuadratic(1.0, 1.0, lengths, (1e-2, 1e3)),
        )[number // 2]
        process = GaussianProcessRegressor(
            kernels.ConstantKernel(1.0, (1e-3, 1e3)) * smooth
            + kernels.WhiteKernel(0.1, (1e-6, 1e1)),
            normalize_y=True,
            n_restarts_optimizer=STARTS,
            random_state=0,
        )
        fitted[number] = process.fit(known, train_values)
        return -float(process.log_marginal_likelihood_value_)

    with _quiet():
        best = best_setting(range(9), loss)
        mean, deviation = fitted[best].predict(asked, return_std=True)
    return _finite(mean, np.square(deviation))


def kernel_regression(train_places: Array, train_values: Array, test_places: Array) -> Answer:
    """Kernel regression by statsmodels; it has no deviation.

    Local means or local planes, each with one Gaussian width an axis by the library's own
    leave-one-out, whichever has the smaller leave-one-out error. Where no training place is near
    enough to count, it is the value of the nearest one.
    """
    middle, scale = train_places.mean(axis=0), train_places.std(axis=0)
    known, asked = (train_places - middle) / scale, (test_places - middle) / scale
    with _quiet():
        from statsmodels.nonparametric.kernel_regression import KernelReg

        fitted = {}

        def loss(kind: str) -> float:
            fitted[kind] = KernelReg(train_values, known, "cc", reg_type=kind, bw="cv_ls")
            return float(np.squeeze(fitted[kind].cv_loo(fitted[kind].bw, fitted[kind].est[kind])))

        best = best_setting(("ll", "lc"), loss)
        mean = np.array(fitted[best].fit(asked)[0], dtype=float)
    lost = ~np.isfinite(mean)
    if lost.any():
        mean[lost] = train_values[KDTree(known).query(asked[lost])[1]]
    return mean, None


RIVALS: dict[str, Rival] = {
    "inverse distances": inverse_distances,
    "kriging, scikit-gstat": scikit_gstat,
    "kriging, PyKrige": pykrige,
    "Gaussian process, scikit-learn": gaussian_process,
    "kernel regression, statsmodels": kernel_regression,
}
