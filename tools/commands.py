"""The help of the command line, as a page of the reference shows it."""

from __future__ import annotations

import os
from unittest import mock

from tree_world import cli

WIDTH = 72
"""Columns of the help: more would be cut on a phone sooner than need be."""


def helps() -> dict[str, str]:
    """Write the help of each command.

    Returns
    -------
    dict of str to str
        By how it is called, such as ``tree-world memory prune``.
    """
    # argparse asks the terminal how wide it is, and leaves two columns free.
    with mock.patch.dict(os.environ, COLUMNS=str(WIDTH + 2), NO_COLOR="1"):
        return {one.prog: one.format_help().strip() for one in cli.parser().with_commands()}


def sections() -> str:
    """Write a section for each command: its help, as a terminal shows it."""
    parts = []
    for name, text in helps().items():
        label = name.replace(" ", "-")
        parts.append(f"(command-{label})=\n## `{name}`\n\n```text\n{text}\n```")
    return "\n\n".join(parts)
