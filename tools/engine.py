"""What the engine of the book prints, without what it says of itself."""

from __future__ import annotations

import re

from tools import settings

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Where its code is, which versions it has, that it starts: nothing that an author could mend.
_NOISE = re.compile(
    r"^\s*(at \S.*:\d+:\d+\)?$|at .*\(<anonymous>\)$|\^$|throw |Node\.js v|Myst CLI Versions"
    r"|- (node|npm|myst) +\d|building myst-cli session|.*jupyter-book\.cjs:|Starting WebSocket"
    r"|Kernel: |http://localhost:\d+/\?token|To set a baseurl|Connection lost|Unhandled error$)"
)


def plain(text: str) -> str:
    """Leave out colours, places of this machine, and what the engine says of itself.

    Parameters
    ----------
    text : str
        What the engine printed.

    Returns
    -------
    str
    """
    lines = (_COLOURS.sub("", line).rstrip() for line in text.splitlines())
    left = "\n".join(line for line in lines if line and not _NOISE.search(line))
    return left.replace(f"{settings.ROOT}/", "").replace(str(settings.ROOT), ".")
