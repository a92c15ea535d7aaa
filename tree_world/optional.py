"""Packages that come with an extra of this one, and are asked for when they are first needed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def from_extra(extra: str, needed_by: str) -> Iterator[None]:
    """Import other packages, and say how to install one that is not there.

    Parameters
    ----------
    extra : str
        By which this package installs them.
    needed_by : str
        What cannot do without.

    Raises
    ------
    ModuleNotFoundError
        If one is not installed.

    Examples
    --------
    >>> with from_extra("plot", "this example"):
    ...     import nothing_of_that_name
    Traceback (most recent call last):
    ModuleNotFoundError: this example needs nothing_of_that_name, which is not installed. Run: \
pip install "tree-world[plot]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{needed_by} needs {error.name}, which is not installed. Run: "
            f'pip install "tree-world[{extra}]"',
            name=error.name,
        ) from error


def convergence_warning() -> type[Warning]:
    """Find the class of a warning that a fit has stopped too early.

    Returns
    -------
    type of Warning
        ``sklearn.exceptions.ConvergenceWarning``, or, where there is no scikit-learn, the class
        above it, `UserWarning`.

    Examples
    --------
    >>> issubclass(convergence_warning(), UserWarning)
    True
    """
    if importlib.util.find_spec("sklearn") is None:
        return UserWarning
    from sklearn.exceptions import ConvergenceWarning

    found: type[Warning] = ConvergenceWarning
    return found
