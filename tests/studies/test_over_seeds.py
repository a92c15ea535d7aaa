"""The same study with many seeds: same bits however it is computed, and it goes on."""

import functools
import importlib
import math
import sys

import numpy as np
import pytest
import torch

from tree_world.simulation import TreeWorld, TreeWorldConfig
from tree_world.studies import over_seeds


def life(seed, num_steps=200):
    recording = TreeWorld.random_from_config(TreeWorldConfig(), seed=seed).run(num_steps)
    generator = torch.Generator().manual_seed(seed)
    total = torch.randn(2000, 40, generator=generator).exp().sum()
    return recording.positions, float(total), torch.get_num_threads()


def fails_at_three(seed):
    if seed == 3:
        raise ValueError(f"no {seed}")
    return seed


def test_results_are_the_same_in_one_process_and_in_two():
    seeds = [5, 2, 9]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one, two = (over_seeds(life, seeds, processes=processes) for processes in (1, 2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for result, other in zip(one, two, strict=True):
        np.testing.assert_array_equal(result[0], other[0])
        assert result[1:] == other[1:]
    assert [threads for _, _, threads in one] == [1, 1, 1]
    for seed, (positions, _, _) in zip(seeds, one, strict=True):
        np.testing.assert_array_equal(positions, life(seed)[0])


def test_what_is_easy_is_easy(capfd):
    assert over_seeds(lambda seed: seed**2, range(4), processes=1) == [0, 1, 4, 9]
    assert over_seeds(math.factorial, [], processes=1) == []
    assert capfd.readouterr() == ("", "")


def test_a_bar_is_shown_to_those_who_look_on(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    over_seeds(fails_at_three, range(3), processes=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "fails_at_three: 100%" in captured.err


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_names_the_seed_and_leaves_what_is_done(tmp_path, processes):
    with pytest.raises(RuntimeError, match="with seed 3: ValueError: no 3") as told:
        over_seeds(fails_at_three, range(1, 5), processes=processes, resume=tmp_path)
    assert isinstance(told.value.__cause__, ValueError)
    names = {path.name.partition("seed-")[2] for path in tmp_path.iterdir()}
    assert names <= {"1.pickle", "2.pickle", "4.pickle"}
    if processes == 1:
        assert names == {"1.pickle", "2.pickle"}


# --- going on ------------------------------------------------------------------------------------

STUDY = """
import os
def study(seed, power=1):
    with open(os.environ["CALLS"], "a") as file:
        file.write(f"{seed} ")
    if seed == int(os.environ.get("INTERRUPT", -1)):
        raise KeyboardInterrupt
    return FACTOR * seed ** power
FACTOR = 10
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Make a module with a study: give its function, once more after a change of its text."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))

    def load(text=STUDY):
        (tmp_path / "a_study.py").write_text(text)
        importlib.invalidate_caches()
        sys.modules.pop("a_study", None)
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            return importlib.import_module("a_study").study
        finally:
            sys.dont_write_bytecode = before

    yield load
    sys.modules.pop("a_study", None)


def test_it_goes_on_where_it_was_interrupted(study, tmp_path, monkeypatch):
    folder, calls = tmp_path / "a" / "folder", tmp_path / "calls"
    monkeypatch.setenv("INTERRUPT", "2")
    with pytest.raises(KeyboardInterrupt):
        over_seeds(study(), range(4), processes=1, resume=folder)
    monkeypatch.delenv("INTERRUPT")
    assert over_seeds(study(), range(4), processes=1, resume=folder) == [0, 10, 20, 30]
    assert calls.read_text() == "0 1 2 2 3 "
    assert over_seeds(study(), [3, 1], processes=2, resume=folder) == [30, 10]
    assert calls.read_text() == "0 1 2 2 3 "
    assert over_seeds(study(), [3, 7], processes=1, resume=folder) == [30, 70]
    assert calls.read_text() == "0 1 2 2 3 7 "


def test_what_has_changed_is_computed_anew(study, tmp_path):
    folder, calls = tmp_path / "folder", tmp_path / "calls"
    run = functools.partial(over_seeds, seeds=[1, 2], processes=1, resume=folder)
    assert run(study()) == [10, 20]
    assert run(study(STUDY.replace("FACTOR = 10", "FACTOR = 7"))) == [7, 14]
    assert run(functools.partial(study(), power=2)) == [10, 40]
    assert run(functools.partial(study(), power=3)) == [10, 80]
    assert calls.read_text() == "1 2 " * 4
    assert run(study()) == [10, 20]
    assert calls.read_text() == "1 2 " * 4


def test_a_file_that_is_broken_or_of_another_seed_is_not_taken(study, tmp_path):
    folder = tmp_path / "folder"
    run = functools.partial(over_seeds, seeds=[1, 2, 3], processes=1, resume=folder)
    run(study())
    first, second, third = sorted(folder.iterdir())
    first.write_bytes(first.read_bytes()[:-5])
    second.write_bytes(third.read_bytes())
    assert run(study()) == [10, 20, 30]
    assert (tmp_path / "calls").read_text() == "1 2 3 1 2 "
    assert len(list(folder.iterdir())) == 3


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("choices", [{"processes": 2}, {"processes": 1, "resume": "folder"}])
def test_a_function_without_a_name_cannot_be_given_away(tmp_path, choices):
    if "resume" in choices:
        choices = choices | {"resume": tmp_path}
    with pytest.raises(TypeError, match="found by its name in a module"):
        over_seeds(lambda seed: seed, range(3), **choices)


@pytest.mark.parametrize(
    ("seeds", "processes", "message"),
    [
        ([1, 2, 1], 1, r"\[1\] occur more than once"),
        ([1.5], 1, "each of seeds must be a whole number"),
        ([1], 0, "processes must be a whole number of at least 1"),
    ],
)
def test_what_is_not_possible_is_said(seeds, processes, message):
    with pytest.raises(ValueError, match=message):
        over_seeds(fails_at_three, seeds, processes=processes)
