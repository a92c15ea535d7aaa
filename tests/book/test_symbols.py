"""The index of symbols says where each symbol stands, and it stands there."""

import re

import pytest

from tools import settings

ROW = re.compile(r"^\| \$(?P<symbol>[^$]+)\$ \|.*\[\]\(#(?P<label>eq-[\w-]+)\) \|$", re.MULTILINE)
EQUATION = re.compile(r"^```\{math\}\n:label: (eq-[\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SOURCE = (settings.BOOK / "symbols.md").read_text()
EQUATIONS = {
    label: formula
    for path in settings.chapters()
    for label, formula in EQUATION.findall(path.read_text())
}


def plain(formula):
    """TeX without what only sets it: spaces, sizes of brackets."""
    return re.sub(r"\\[,;:! ]|\\[bB]igg?[lr]?\b|\s+", "", formula)


def test_every_row_is_read():
    rows = [line for line in SOURCE.splitlines() if line.startswith("| $")]
    assert len(ROW.findall(SOURCE)) == len(rows) > 40


@pytest.mark.parametrize(("symbol", "label"), ROW.findall(SOURCE))
def test_a_symbol_stands_in_its_equation(symbol, label):
    assert label in EQUATIONS, f"no chapter has an equation {label}"
    assert plain(symbol) in plain(EQUATIONS[label])


def test_no_symbol_is_listed_twice_for_one_equation():
    rows = ROW.findall(SOURCE)
    assert len(rows) == len(set(rows))
