"""Figures that can be touched, in JupyterLab. Needs the extra ``interactive``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    import anywidget
    import traitlets
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"a figure that is touched in a notebook needs the package {error.name}, which is not "
        "installed. Run: pip install 'tree-world[interactive]'"
    ) from None


class FigureWidget(anywidget.AnyWidget):
    """A figure in a notebook, moved there by hand or from Python.

    Parameters
    ----------
    script : str
        Of the figure, as a module.
    style : str
    data : mapping of str to object
        Its state.

    Attributes
    ----------
    values : dict
        What was moved, by the names of the script; what was not is as at first.
    """

    data = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)

    def __init__(self, script: str, style: str, data: Mapping[str, Any]) -> None:
        # anywidget reads the two from attributes of the widget.
        self._esm, self._css = script, style
        super().__init__(data=dict(data))

    def move(self, **values: Any) -> None:
        """Move some of it, as a reader would: ``widget.move(sd=20.0, query=[0.0, 50.0])``."""
        self.values = {**self.values, **values}
