"""Studies go on where they were interrupted, say where they come from, and can be confirmed."""

import json
import math
import subprocess
import time

import numpy as np
import pytest
import torch

from benchmarks import (
    origins,
    studies,
    study_crossings,
    study_day,
    study_forgetting,
    study_frames,
    study_ground,
    study_learning,
    study_living,
    study_omniscient,
    study_rivals,
    study_scale,
    study_seeds,
    study_sequences,
    study_shards,
    study_space,
    study_where,
)
from benchmarks.studies import FleetingParts, Missing, Same, Study, Within, run_studies
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.policy import ForgettingPolicy
from tree_world.models.memory.recall import plan
from tree_world.models.memory.store.task import Task


@pytest.fixture
def project(tmp_path):
    """A small project: the file of its results, which do not exist."""
    files = {
        "tree_world/__init__.py": "",
        "tree_world/sums.py": '"""Sums."""\nfrom . import parts\nfrom .deep.er import x\n',
        "tree_world/parts.py": 'def part():\n    """Give a part."""\n    return 1  # of it\n',
        "tree_world/deep/__init__.py": "",
        "tree_world/deep/er.py": "x = 1\n",
        "tree_world/other.py": "y = 1\n",
        "tree_world/studies/seeds.py": "from tree_world.other import y\n",
        "benchmarks/__init__.py": "",
        "benchmarks/study_tiny.py": "def run():\n    from tree_world.sums import x\n"
        "    from tree_world.studies import seeds\n",
        "tree_world/studies/results/speed.json": '{"rows": []}',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return origins.results_file("tiny", tmp_path)


# --- parts ---------------------------------------------------------------------------------------


class Life:
    """A study of three parts that notes which it runs, and can be interrupted in one."""

    def __init__(self):
        self.ran = []
        self.interrupt_in = None

    def one(self, seed):
        self.ran.append(seed)
        if seed == self.interrupt_in:
            raise KeyboardInterrupt
        return {"seed": seed, "error": np.float64(seed) / 3, "by": {1: np.arange(2)}}

    def study(self, part, seeds=(0, 1, 2)):
        found = [part(f"life {seed}", self.one, seed) for seed in seeds]
        return {"errors": [one["error"] for one in found], "by": found[0]["by"]}

    @property
    def studies(self):
        short = lambda part: self.study(part, seeds=(0, 1))  # noqa: E731
        return {"lives": Study(self.study, short, [Same("errors"), Within("errors")])}


def test_a_study_goes_on_where_it_was_interrupted(project, capsys):
    life = Life()
    life.interrupt_in = 2
    assert run_studies(life.studies, project, []) == 130
    assert not project.exists()
    assert "interrupted" in capsys.readouterr().out
    life.interrupt_in = None
    assert run_studies(life.studies, project, ["lives"]) == 0
    assert life.ran == [0, 1, 2, 2]
    assert run_studies(life.studies, project, []) == 0
    assert life.ran == [0, 1, 2, 2]
    assert run_studies(life.studies, project, ["--anew"]) == 0
    assert life.ran == [0, 1, 2, 2, 0, 1, 2]
    kept = json.loads(project.read_text())["lives"]
    assert kept["errors"] == [0.0, 0.33333, 0.66667]
    assert kept["by"] == {"1": [0, 1]}
    assert set(kept["origin"]["seconds_of_parts"]) == {"life 0", "life 1", "life 2"}
    assert not list(origins.root_of(project).rglob("*.tmp"))


def test_parts_that_need_not_wait_are_kept_one_by_one(tmp_path, capsys):
    life, calls = Life(), {f"life {seed}": (seed,) for seed in (2, 0, 1)}
    life.interrupt_in = 1
    with pytest.raises(KeyboardInterrupt):
        studies.KeptParts(tmp_path).each(life.one, calls)
    assert {path.stem for path in tmp_path.iterdir()} == {"life 2", "life 0"}
    life.interrupt_in = None
    parts = studies.KeptParts(tmp_path)
    found = parts.each(life.one, calls)
    assert life.ran == [2, 0, 1, 1]
    assert [one["seed"] for one in found] == [2, 0, 1]
    assert list(parts.seconds) == list(calls)
    assert "life 0: taken from before" in capsys.readouterr().out
    # One is as good as the other.
    assert studies.KeptParts(tmp_path)("life 2", pytest.fail) == found[0]
    assert repr(FleetingParts(tmp_path).each(life.one, calls)) == repr(found)
    with pytest.raises(ValueError, match="'life 2'"):
        parts.each(life.one, calls)
    with pytest.raises(RuntimeError, match="with seed 'one': TypeError: a part returns numbers"):
        parts.each(object, {"one": ()})


def test_a_part_that_is_taken_from_before_is_what_it_was_when_it_ran(tmp_path):
    first, again = studies.KeptParts(tmp_path), studies.KeptParts(tmp_path)
    value = {1: np.float32([0.1]), "nothing": float("nan")}
    assert repr(first("one", lambda: value)) == repr(again("one", pytest.fail))
    assert repr(FleetingParts(tmp_path)("one", lambda: value)) == repr(first("two", lambda: value))


def test_parts_are_of_the_code_the_versions_and_the_machine_that_made_them(project, monkeypatch):
    life = Life()
    runs = 0
    library = origins.root_of(project) / "tree_world/deep/er.py"
    for change in (
        lambda: library.write_text("x = 2\n"),
        lambda: monkeypatch.setattr(studies, "machine", lambda: {"processor": "other"}),
        lambda: monkeypatch.setattr(origins, "versions", lambda: {"torch": "0"}),
    ):
        assert run_studies(life.studies, project, []) == 0
        runs += 3
        assert len(life.ran) == runs
        change()
    assert run_studies(life.studies, project, []) == 0
    assert len(life.ran) == runs + 3
    library.write_text("x = 2  # said\n")
    assert run_studies(life.studies, project, []) == 0
    assert len(life.ran) == runs + 3


def test_two_parts_of_one_name_are_refused(tmp_path):
    part = studies.KeptParts(tmp_path)
    part("a/b: c", int)
    with pytest.raises(ValueError, match="'a/b: c'"):
        part("a/b: c", int)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_json_cannot_hold_is_named(tmp_path):
    with pytest.raises(TypeError, match="there is a object"):
        studies.KeptParts(tmp_path)("one", object)
    assert list(tmp_path.iterdir()) == []


def test_the_others_stay_when_one_study_is_written(project):
    project.write_text('{"old": {"date": "then"}}')
    assert run_studies(Life().studies, project, []) == 0
    assert set(json.loads(project.read_text())) == {"old", "lives"}


@pytest.mark.parametrize("wrong", ["dies", "--quick"])
def test_what_does_not_exist_is_named(project, capsys, wrong):
    assert run_studies(Life().studies, project, [wrong]) == 2
    assert f"{wrong}; there are lives" in capsys.readouterr().out


# --- agreement -----------------------------------------------------------------------------------

STORED = {"errors": [[1.0, 2.0], [3.0, 4.0]], "name": "a", "by": {"x": 10, "y": float("nan")}}


@pytest.mark.parametrize(
    ("where", "short"),
    [
        ("errors", {"errors": [[1.0005, 2.0]]}),
        ("errors/1", {"errors": [[], [3.0]]}),
        ("by", {"by": {"y": float("nan")}}),
        ("name", {"name": "a"}),
        ("", {"name": "a", "by": {"x": 10}}),
    ],
)
def test_the_same_agrees(where, short):
    assert Same(where)(short, STORED) == []


@pytest.mark.parametrize(
    ("where", "short", "complaint"),
    [
        ("errors", {"errors": [[1.002, 2.0]]}, "errors/0/0 is 1.002, stored 1"),
        ("errors", {"errors": []}, "nothing is compared"),
        ("errors", {"errors": [[1.0, 2.0, 3.0]]}, "errors/0 is"),
        ("by", {"by": {"z": 1}}, "by is"),
        ("by/x", {"by": {"x": True}}, "by/x is True, stored 10"),
        ("by/x", {"by": {"x": float("nan")}}, "by/x is nan"),
        ("name", {"name": "b"}, "name is 'b', stored 'a'"),
    ],
)
def test_what_is_not_the_same_is_named(where, short, complaint):
    (found,) = Same(where)(short, STORED)
    assert complaint in found


def test_a_mean_agrees_within_the_interval_of_what_is_stored():
    generator = np.random.default_rng(0)
    stored = {"errors": generator.normal(10, 1, 20).tolist()}
    hits = [
        not Within("errors", level=0.9)({"errors": generator.normal(10, 1, 3).tolist()}, stored)
        for _ in range(200)
    ]
    assert 0.75 < np.mean(hits) < 0.99
    (complaint,) = Within("errors")({"errors": [14.0, 15.0]}, stored)
    assert "the mean of errors is 14.5, stored 9.8" in complaint
    (complaint,) = Within("errors")({"errors": []}, stored)
    assert "must be a list" in complaint


def test_what_is_missing_is_named():
    with pytest.raises(Missing, match="there is no errors/2, for '2' is missing"):
        Same("errors/2")(STORED, STORED)


def test_a_short_form_is_confirmed_or_not(project, capsys):
    life = Life()
    assert run_studies(life.studies, project, ["--short"]) == 1
    assert "tiny: lives: nothing is stored" in capsys.readouterr().out
    assert run_studies(life.studies, project, []) == 0
    before = project.read_text()
    assert run_studies(life.studies, project, ["--short"]) == 0
    assert life.ran == [0, 1, 2, 0, 1]
    assert "tiny: lives: agrees" in capsys.readouterr().out
    project.write_text(before.replace("0.33333", "0.34"))
    assert run_studies(life.studies, project, ["--short", "lives"]) == 1
    told = capsys.readouterr().out
    assert "tiny: lives: does NOT agree" in told
    assert "errors/1 is 0.333333, stored 0.34" in told
    project.write_text(before.replace('"errors"', '"mistakes"'))
    assert run_studies(life.studies, project, ["--short"]) == 1
    assert "there is no errors" in capsys.readouterr().out


NEVER_RUN = [
    (study_sequences, "long"),  # takes five hours of two processors
]

STORED_STUDIES = [
    (module, name)
    for module in (
        *(study_day, study_forgetting, study_frames, study_ground, study_learning),
        *(study_living, study_omniscient, study_rivals, study_scale, study_sequences),
        *(study_seeds, study_shards, study_space, study_where),
    )
    for name in module.STUDIES
    if (module, name) not in NEVER_RUN
]


@pytest.mark.parametrize(("module", "name"), NEVER_RUN)
def test_what_was_never_run_has_no_results(module, name):
    assert name in module.STUDIES
    assert not module.RESULTS.exists() or name not in json.loads(module.RESULTS.read_text())


@pytest.mark.parametrize(("module", "name"), STORED_STUDIES)
def test_each_check_of_a_study_refuses_other_numbers(module, name):
    def other(value):
        if isinstance(value, dict):
            return {key: other(one) for key, one in value.items()}
        if isinstance(value, list):
            return [other(one) for one in value]
        if name in ("frames", "meuse") and isinstance(value, str):
            return f"not {value}"  # for of some checks names are all that must agree
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return abs(value) ** 1.1 + 1 if is_number else value  # so that ratios change, too

    stored = json.loads(module.RESULTS.read_text())[name]
    if name == "drift":  # whose short form is its last share alone
        stored["first"] = stored["lives"][-1]
    for check in module.STUDIES[name].agrees:
        assert check(stored, stored) == []
        assert check(stored, other(stored)) != [], check


def test_every_figure_is_fast_enough():
    """As it was measured: a frame of a sixtieth of a second."""
    measured = json.loads(study_frames.RESULTS.read_text())["frames"]
    figures = {path.stem for path in (origins.ROOT / "book" / "figures").glob("*.mjs")}
    for width, found in measured["widths"].items():
        assert set(found) == figures
        for name, controls in found.items():
            assert max(one["median"] for one in controls.values()) <= 16, (name, width)


@pytest.mark.parametrize("seconds", [0.15, 0.35])
def test_a_day_hands_a_pruning_over_as_at_ten_steps_a_second(monkeypatch, seconds):
    prune, took = SpatialMemory.prune, []

    def in_background(memory, *arguments, **choices):
        since = time.perf_counter()

        def work(stop):
            time.sleep(seconds)
            report = prune(memory, *arguments, **choices)
            took.append(time.perf_counter() - since)
            return report

        return Task(work)

    monkeypatch.setattr(SpatialMemory, "prune_in_background", in_background)
    memory = SpatialMemory(2, 3, max_memory_size=80)
    memory.write(torch.rand(5, 2), 5.0, torch.ones(5, 3))
    prune(memory, 1.0, None, target_size=2)  # so that all is compiled
    memory.reset()
    paced = study_day.Paced(memory, ForgettingPolicy(40, 20, 1.0))
    generator, waited, sizes = torch.Generator().manual_seed(0), [], []
    for number in range(1, 61):
        memory.write(torch.rand(1, 2, generator=generator), 5.0, torch.ones(1, 3))
        waited.append(paced.step(number, may_begin=number != 40))
        sizes.append(len(memory))
    paced.finish(number)
    log = {name: values[0] for name, values in paced.log.items()}
    assert log["begun"] == log["size"] == 41  # at 40 it was told to wait
    # A busy machine may take longer than it was told to; a fiftieth of a second, to hear of it.
    steps = log["ended"] - log["begun"]
    assert math.ceil(10 * seconds) <= steps <= math.ceil(10 * (took[0] + 0.02))
    during = slice(log["begun"], log["ended"])  # those after its beginning
    assert sum(waited[during]) > seconds - 0.1
    assert sum(waited) == sum(waited[during])
    # So the sizes of all steps are known from the log, but those while it swaps.
    assert log["before"] == log["ended"]
    assert log["after"] == sizes[log["ended"] - 1] < log["before"]
    assert log["witnesses"] >= log["before"] - log["after"]


@pytest.mark.parametrize(
    ("seconds", "at"),
    [
        ([(1, 4), (1, 2), (2, 1), (4, 1)], 4.0),
        ([(1, 2), (2, 1), (1, 2), (2, 1)], 16.0),  # the last of many
        ([(1, 2), (1, 1), (2, 1), (2, 1)], 2.0),
        ([(2, 1)] * 4, None),
        ([(1, 2)] * 4, None),
        ([(2, 1), (2, 1), (2, 1), (1, 2)], None),
    ],
)
def test_two_ways_meet_where_they_take_as_long(seconds, at):
    assert study_crossings.meeting_point([1, 2, 8, 32], seconds) == at


@pytest.mark.parametrize("crossing", study_crossings.CROSSINGS, ids=lambda one: one.name)
def test_a_crossing_of_the_plan_is_tried_on_both_sides(crossing):
    at = crossing.of_size(getattr(plan, crossing.name))  # its own inverse
    assert crossing.sizes[0] < at < crossing.sizes[-1]
    assert list(crossing.sizes) == sorted(crossing.sizes)
    before = getattr(plan, crossing.name)
    assert len(study_crossings.seconds_of(crossing, 64, rounds=1)) == 2
    assert getattr(plan, crossing.name) == before


def test_a_study_without_a_check_is_refused():
    with pytest.raises(ValueError, match="`agrees`"):
        Study(dict, dict, [])


@pytest.mark.parametrize("options", [[], ["--short"]])
def test_a_study_without_a_short_form_is_refused(project, options):
    with pytest.raises(TypeError, match="'old' must be a Study"):
        run_studies(Life().studies | {"old": lambda: {"size": 1}}, project, options)
    assert not project.exists()


# --- origins -------------------------------------------------------------------------------------


def code(project):
    root = origins.root_of(project)
    return origins.digest_of_code([root / "benchmarks/study_tiny.py"], root)


def test_the_code_of_a_study_is_all_that_it_imports(project):
    root = origins.root_of(project)
    found = origins.code_of([root / "benchmarks/study_tiny.py"], root)
    assert {path.relative_to(root).as_posix() for path in found} == {
        "benchmarks/study_tiny.py",
        *(f"tree_world/{name}.py" for name in ("__init__", "sums", "parts")),
        *("tree_world/deep/__init__.py", "tree_world/deep/er.py"),
    }


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("tree_world/parts.py", 'def part():\n    """Give."""\n\n    return 1\n', False),
        ("tree_world/parts.py", 'def part():\n    """Give."""\n    return 2\n', True),
        ("tree_world/parts.py", "def part():\n\n    # of it\n    return 1\n", False),
        ("tree_world/parts.py", 'def part():\n    """Give."""; return 2\n', True),
        ("tree_world/parts.py", 'def part(): "Give a part."; return 2\n', True),
        ("tree_world/parts.py", 'def part():\n    return "# 1"\n', True),
        ("tree_world/other.py", "y = 2\n", False),
        ("tree_world/studies/seeds.py", "z = 2\n", False),
        ("tree_world/deep/__init__.py", "z = 1\n", True),
    ],
)
def test_code_counts_and_words_do_not(project, name, text, changes):
    before = code(project)
    (origins.root_of(project) / name).write_text(text)
    assert (code(project) != before) == changes


def test_the_digest_sees_the_library(tmp_path):
    path = origins.ROOT / "benchmarks/study_day.py"
    names = {found.name for found in origins.code_of([path])}
    assert {"study_day.py", "machine.py", "spatial_memory.py", "policy.py", "cells.py"} <= names
    assert not {"studies.py", "origins.py", "evaluation.py", "plotting.py", "seeds.py"} & names


def git(root, *arguments):
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_stored_study_says_by_which_commit_and_whether_its_code_is_that_of_today(project):
    root = origins.root_of(project)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    commit = git(root, "rev-parse", "--short=10", "HEAD")
    assert run_studies(Life().studies, project, []) == 0
    made = json.loads(project.read_text())["lives"]["origin"]
    assert made["commit"] == commit
    assert made["versions"]["torch"]
    (study,) = origins.stored(root)
    assert (study.study, study.commit, study.current) == ("tiny: lives", commit, True)
    assert str(study) == f"tiny: lives ({made['date']}, {commit})"
    (root / "tree_world/parts.py").write_text("part = 3\n")
    (study,) = origins.stored(root)
    assert not study.current


def test_code_that_is_not_committed_stores_nothing(project, capsys):
    root, life = origins.root_of(project), Life()
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    (root / "tree_world/other.py").write_text("y = 2  # no part of the study\n")
    assert run_studies(life.studies, project, []) == 0
    before = project.read_text()
    (root / "tree_world/parts.py").write_text("part = 3\n")
    assert run_studies(life.studies, project, ["--anew"]) == 2
    assert "lives: What is stored names the commit that made it" in (
        told := capsys.readouterr().out
    )
    assert "Commit first: tree_world/parts.py\n" in told
    assert len(life.ran) == 3  # nothing was run for nothing
    assert project.read_text() == before
    assert run_studies(life.studies, project, ["--short"]) == 0
    git(root, "rm", "-q", "--cached", "tree_world/parts.py")  # new, and not told to git
    git(root, "commit", "-qm", "two")
    with pytest.raises(origins.NotCommitted, match=r"tree_world/parts\.py"):
        origins.origin([root / "benchmarks/study_tiny.py"], root)


def test_a_result_of_unknown_origin_is_not_that_of_todays_code(project):
    project.write_text('{"lives": {"errors": [1.0]}}')
    (study,) = origins.stored(origins.root_of(project))
    assert not study.current
    assert str(study) == "tiny: lives (date not known, commit not known)"


def test_every_stored_study_of_the_project_says_where_it_comes_from():
    found = origins.stored()
    assert found
    assert all(study.commit and study.date[:2] == "20" for study in found)
