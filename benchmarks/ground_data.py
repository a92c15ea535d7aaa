"""Measurements of real ground, of soil, rain and radiation, made by others.

Nothing of it is kept in this repository. Meuse comes with scikit-gstat, and the others with
Debian's package of R's gstat, which is fetched once into ``.cache/ground`` and read without R.
"""

from __future__ import annotations

import functools
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.origins import ROOT

Array = npt.NDArray[np.float64]

FOLDER = ROOT / ".cache" / "ground"
PACKAGE = "r-cran-gstat"
INSIDE = Path("usr", "lib", "R", "site-library", "gstat", "data")  # of the package
PATIENCE = 300  # seconds for the network

MEUSE_METALS = ("cadmium", "copper", "lead", "zinc")
JURA_METALS = ("Cd", "Co", "Cr", "Cu", "Ni", "Pb", "Zn")


class NotFetched(RuntimeError):
    """Raised where data could not be had; says what was tried and what to do."""


@dataclass(frozen=True)
class Ground:
    """What was measured, and where.

    Attributes
    ----------
    name : str
    places : numpy.ndarray of float64, of shape (n, 2)
        In metres.
    senses : numpy.ndarray of float64, of shape (n, m)
    names : tuple of str
        Of the m senses, each with its unit.
    test_places : numpy.ndarray of float64, of shape (k, 2), optional
        Of a set that has its own, in metres.
    test_senses : numpy.ndarray of float64, of shape (k, m), optional
    """

    name: str
    places: Array
    senses: Array
    names: tuple[str, ...]
    test_places: Array | None = None
    test_senses: Array | None = None

    def __post_init__(self) -> None:
        if (self.test_places is None) != (self.test_senses is None):
            raise ValueError(f"{self.name}: test places and their senses come together or not.")
        _check(self.name, self.places, self.senses, self.names)
        if self.test_places is not None and self.test_senses is not None:
            _check(f"{self.name}, test", self.test_places, self.test_senses, self.names)


def _check(name: str, places: Array, senses: Array, names: tuple[str, ...]) -> None:
    if places.shape != (len(places), 2) or senses.shape != (len(places), len(names)):
        raise ValueError(
            f"{name}: places must have the shape (n, 2) and senses (n, {len(names)}), but they "
            f"have {places.shape} and {senses.shape}."
        )
    for array in (places, senses):
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise ValueError(f"{name}: all numbers must be finite and of float64.")


# --- the sets -------------------------------------------------------------------------------------


def meuse() -> Ground:
    """Logarithms of four metals in the topsoil of the flood plain of the Meuse, at 155 places.

    Milligrams a kilogram, each of soil from some 15 m x 15 m, near the village of Stein. Cadmium
    that was not found had been set to 0.2, half the least that was.

    References
    ----------
    As scikit-gstat and R's sp, where it is from, ask: E. J. Pebesma, R. S. Bivand, "Classes and
    methods for spatial data in R", R News 5(2), 2005; R. S. Bivand, E. Pebesma, V. Gomez-Rubio,
    "Applied spatial data analysis with R", 2013. Measured by M. G. J. Rikken and R. P. G. Van
    Rijn, "Soil pollution with heavy metals", Utrecht University, 1993; see also P. A. Burrough,
    R. A. McDonnell, "Principles of geographical information systems", 1998.
    """
    with warnings.catch_warnings():  # skgstat replaces how warnings are shown, and this undoes it
        from skgstat.data import meuse as table

        samples = [table(metal)["sample"] for metal in MEUSE_METALS]
    places = np.asarray(samples[0][0], dtype=np.float64)
    senses = np.log(np.column_stack([np.asarray(values)[:, 0] for _, values in samples]))
    return Ground("Meuse", places, senses, tuple(f"ln {metal}" for metal in MEUSE_METALS))


def sic97() -> Ground:
    """Rain in Switzerland on one day: 100 stations, asked at the other 367.

    Tenths of a millimetre: the data of the Spatial Interpolation Comparison of 1997.

    References
    ----------
    G. Dubois and others, "Spatial Interpolation Comparison 1997 data set: Swiss rainfall", as the
    documentation of R's gstat has it from ai-geostats.
    """
    tables = tables_of("sic97")
    everything, observed = tables["sic_full"], tables["sic_obs"]
    places = _numbers(everything.coords)
    known = everything.data["ID"].isin(observed.data["ID"]).to_numpy()
    rain = _numbers(everything.data[["rainfall"]])
    return Ground(
        "SIC97", places[known], rain[known], ("tenths of mm",), places[~known], rain[~known]
    )


def sic2004(emergency: bool = False) -> Ground:
    """Gamma radiation in Germany on one day: 200 stations, asked at 808 others.

    Nanosieverts an hour, mean of a day: the data of the Spatial Interpolation Comparison of 2004.

    Parameters
    ----------
    emergency : bool, default=False
        The second part of the comparison, called the joker, instead of the ordinary day: the same
        stations, with an anomaly that was made by a model and never measured.

    References
    ----------
    Measured by the German Federal Office for Radiation Protection. The documentation of R's gstat
    tells how the comparison went.
    """
    tables = tables_of("sic2004")
    column, name = ("joker", "emergency") if emergency else ("dayx", "ordinary day")
    known, asked = tables["sic.val"], tables["sic.test"]  # gstat calls those given values val
    return Ground(
        f"SIC2004, {name}",
        *(_numbers(known[["x", "y"]]), _numbers(known[[column]]), ("nSv/h",)),
        *(_numbers(asked[["x", "y"]]), _numbers(asked[[column]])),
    )


def jura() -> Ground:
    """Seven metals in the topsoil of the Swiss Jura: 259 places, asked at 100 others.

    Milligrams a kilogram.

    References
    ----------
    P. Goovaerts, "Geostatistics for natural resources evaluation", 1997, appendix C; O. Atteia,
    J.-P. Dubois, R. Webster, "Geostatistical analysis of soil contamination in the Swiss Jura",
    Environmental Pollution 86, 1994; R. Webster, O. Atteia, J.-P. Dubois, "Coregionalization of
    trace metals in the soil in the Swiss Jura", European Journal of Soil Science 45, 1994; prepared
    for R's gstat by D. Rossiter and E. Pebesma.
    """
    tables = tables_of("jura")
    parts = []
    for table in (tables["prediction.dat"], tables["validation.dat"]):
        parts.append(1000 * _numbers(table[["Xloc", "Yloc"]]))  # from kilometres
        parts.append(_numbers(table[list(JURA_METALS)]))
    places, senses, test_places, test_senses = parts
    names = tuple(f"{metal}, mg/kg" for metal in JURA_METALS)
    return Ground("Jura", places, senses, names, test_places, test_senses)


def _numbers(table: Any) -> Array:
    return np.array(table, dtype=np.float64)


# --- fetching -------------------------------------------------------------------------------------


@functools.cache
def tables_of(name: str) -> dict[str, Any]:
    """Read a file of data of R's gstat: its tables by their names."""
    import rdata

    path = gstat_folder() / f"{name}.rda"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says which classes of R it does not know
        tables: dict[str, Any] = rdata.read_rda(path)
    return tables


def gstat_folder(folder: Path = FOLDER) -> Path:
    """Find the data of R's gstat, and fetch them if they are not there yet.

    Parameters
    ----------
    folder : pathlib.Path
        Into which Debian's package is put, and unpacked.

    Returns
    -------
    pathlib.Path
        That holds ``sic97.rda``, ``sic2004.rda`` and ``jura.rda``.

    Raises
    ------
    NotFetched
        If one of the commands fails.
    """
    found = folder / "unpacked" / INSIDE
    if (found / "sic2004.rda").exists():
        return found
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob(f"{PACKAGE}_*.deb")):
        _command(["apt-get", "download", PACKAGE], folder)
    (package, *_) = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    _command(["dpkg", "-x", package.name, "unpacked"], folder)
    return found


def _command(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        told = done.stderr.strip() or f"exit status {done.returncode}"
        failed = done.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        told, failed = str(error), True
    if failed:
        raise NotFetched(
            f"The data of SIC97, SIC2004 and Jura are in Debian's package {PACKAGE}. Tried was "
            f"{' '.join(command)!r} in {folder}, and it said: {told}. Where there is no Debian or "
            f"no network, get that package elsewhere, and put the .deb into {folder}, or what is "
            f"unpacked of it into {folder / 'unpacked'}."
        )
