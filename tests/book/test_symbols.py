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


WORDS = re.compile(
    r"\\(?:text|operatorname|mathrm|begin|end)\{[^{}]*\}|\\math(?:cal|bb)\s*\{?[A-Z]\}?"
)
LETTER = re.compile(r"\\([A-Za-z]+)|([A-Za-z])")
GREEK = {
    *("alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "kappa"),
    *("lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi", "omega"),
    *("Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega", "ell"),
}
# The base of exponentials, the identity, an index of sums; π is not among the letters.
USUAL = {"e", "I", "j"}


def letters(formula):
    """Letters of a formula, without words, names of functions and commands."""
    found = LETTER.findall(WORDS.sub(" ", formula))
    return {letter or command for command, letter in found if letter or command in GREEK}


def unexplained(chapters, rows):
    """Letters of each chapter's equations of which the index says nothing up to its end."""
    explained, missing = set(USUAL), []
    for equations in chapters:
        explained |= {a for symbol, where in rows if where in equations for a in letters(symbol)}
        missing.append(set().union(*map(letters, equations.values())) - explained)
    return missing


def test_every_letter_of_a_chapter_is_in_the_index():
    paths = settings.chapters()
    chapters = [dict(EQUATION.findall(path.read_text())) for path in paths]
    missing = unexplained(chapters, ROW.findall(SOURCE))
    assert {path.stem: found for path, found in zip(paths, missing, strict=True) if found} == {}


def test_a_letter_that_is_missing_is_found():
    first = {"eq-a": r"\hat z(\ell) = \sum_t w_t z_t, \; \operatorname{softmax}_t \text{ of it}"}
    second = {"eq-b": r"b^2 = \bigl( \sigma_t \bigr) \mathcal N"}
    rows = [("w_t", "eq-a"), (r"\hat z(\ell)", "eq-a"), ("c", "eq-b")]
    assert unexplained([first, second], rows) == [set(), {"b", "sigma"}]
    assert unexplained([second, first], rows) == [{"b", "sigma", "t"}, set()]
