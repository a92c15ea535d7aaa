"""The same study on a cluster: same bits, and nothing is lost when a seed or a worker fails."""

import functools
import importlib
import json
import os
import sys
import threading
import time
import traceback
import types

import distributed
import numpy as np
import pytest
import torch

from benchmarks import origins, studies
from tests.at_work import (
    Odd,
    all_but_one,
    fails_at_three,
    goes_by,
    killed_at_three,
    life,
    one_life,
    pid,
    raises_odd,
    shown,
    slow,
    threads,
)
from tree_world.studies import over_seeds
from tree_world.studies.code import code_here, differences
from tree_world.studies.dask_client import connected
from tree_world.studies.on_workers import _sendable
from tree_world.studies.threads import one_thread


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each a process of its own; and PyTorch there has two threads before."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.run(torch.set_num_threads, 2)
        yield client


def test_results_are_the_same_here_and_there(cluster):
    seeds = [5, 2, 9, 7]
    by_client = over_seeds(life, seeds, client=cluster)
    for result, other in zip(by_client, over_seeds(life, seeds, processes=1), strict=True):
        np.testing.assert_array_equal(result[0], other[0])
        assert result[1:] == other[1:]
        assert result[2] == (1, 1, {1})
    assert over_seeds(pid, range(8), client=cluster.scheduler.address) != [os.getpid()] * 8
    assert len(set(over_seeds(pid, range(8), client=cluster))) == 2
    assert set(cluster.run(torch.get_num_threads).values()) == {2}


def test_what_a_notebook_defines_is_sent(cluster, monkeypatch):
    notebook = types.ModuleType("__main__")
    exec(
        "import math\nfactor = 3\ndef study(seed):\n    return factor * math.sqrt(seed)",
        vars(notebook),
    )
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    assert over_seeds(notebook.study, [4, 1], client=cluster) == [6, 3]
    assert over_seeds(lambda seed: seed**2, range(3), client=cluster) == [0, 1, 4]


def test_seeds_may_be_anything_that_tells_calls_apart(cluster, tmp_path):
    seeds = ["a/b: c", ("15 trees", 7, 0.5, None), (np.int64(3), np.float32(0.5), "x"), 4]
    run = functools.partial(over_seeds, repr, seeds, resume=tmp_path)
    told = ["'a/b: c'", "('15 trees', 7, 0.5, None)", "(3, 0.5, 'x')", "4"]
    with pytest.raises(TypeError, match="found by its name"):
        run(client=cluster)  # nobody sees its text
    run = functools.partial(over_seeds, shown, seeds, resume=tmp_path)
    assert run(client=cluster) == told
    assert len(list(tmp_path.iterdir())) == 4
    seen = []
    assert run(processes=1, on_result=lambda *pair: seen.append(pair)) == told
    assert over_seeds(shown, [4], client=cluster, on_result=lambda *pair: seen.append(pair))
    assert seen == [(4, "4")]


@pytest.mark.parametrize("wrong", [1.5, [1], (1, [2]), True])
def test_what_is_no_seed_is_refused(wrong):
    with pytest.raises(ValueError, match="each of seeds must be"):
        over_seeds(shown, [wrong], processes=1)


# --- what fails ----------------------------------------------------------------------------------


def test_a_seed_that_fails_is_tried_on_another_worker(cluster, tmp_path):
    study = functools.partial(fails_at_three, tmp_path, 1)
    assert over_seeds(study, range(6), client=cluster) == [0, 1, 2, 3, 4, 5]
    first, second = (tmp_path / "three").read_text().split()
    assert first != second


def test_a_seed_that_fails_twice_is_named_and_the_others_are_kept(cluster, tmp_path):
    folder = tmp_path / "kept"
    study = functools.partial(fails_at_three, tmp_path, 9)
    with pytest.raises(RuntimeError, match=r"with seed 3, tried on .* ValueError: no 3") as told:
        over_seeds(study, [0, 1, 2, 3], client=cluster, resume=folder)
    assert isinstance(told.value.__cause__, ValueError)
    whole = "".join(traceback.format_exception(told.value))
    assert 'raise ValueError(f"no {seed}")' in whole
    first, second = (tmp_path / "three").read_text().split()
    assert first != second
    assert first in str(told.value)
    assert second in str(told.value)
    assert {path.stem.partition("seed-")[2] for path in folder.iterdir()} == {"0", "1", "2"}
    again = functools.partial(over_seeds, study, resume=folder)
    assert again([2, 0], processes=1) == [2, 0]  # those are kept, whoever asks
    assert len((tmp_path / "three").read_text().split()) == 2


def test_an_error_that_cannot_be_sent_is_told(cluster):
    assert _sendable(Odd(1, 2)) is None
    with pytest.raises(RuntimeError, match=r"with seed 0, .* Odd: 1 and 0") as told:
        over_seeds(raises_odd, [0], client=cluster)
    assert told.value.__cause__ is None
    assert "raise Odd(1, seed)" in "".join(traceback.format_exception(told.value))


# --- going on ------------------------------------------------------------------------------------


def interrupted(seed, result):
    if seed != 3:
        raise KeyboardInterrupt


def test_an_interrupt_leaves_the_rest_undone_and_is_taken_up(cluster, tmp_path):
    run = functools.partial(
        over_seeds,
        functools.partial(slow, tmp_path),
        range(20),
        client=cluster,
        resume=tmp_path / "kept",
    )
    with pytest.raises(KeyboardInterrupt):
        run(on_result=interrupted)
    time.sleep(0.6)  # what is running is finished, and nothing else begins
    begun = {int(path.name) for path in tmp_path.iterdir() if path.name != "kept"}
    assert len(begun) <= 8
    (kept,) = (tmp_path / "kept").iterdir()
    number = int(kept.stem.partition("seed-")[2])
    del run.keywords["client"]
    assert over_seeds(run.args[0], [number], processes=1, resume=tmp_path / "kept") == [number]


def test_after_an_error_nothing_goes_on(cluster, tmp_path):
    with pytest.raises(RuntimeError, match="no 0") as told:
        over_seeds(functools.partial(all_but_one, tmp_path), range(60), client=cluster)
    assert told  # which a notebook keeps, too, with all that it refers to
    then = len(list(tmp_path.iterdir()))
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) <= then + 4


# --- other code ----------------------------------------------------------------------------------


@pytest.fixture
def module_of_its_own(tmp_path, monkeypatch):
    """Make a module with a study, of the text that is given."""
    path = tmp_path / "a_changing_study.py"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(text):
        path.write_text(text)
        importlib.invalidate_caches()
        sys.modules.pop("a_changing_study", None)
        return importlib.import_module("a_changing_study").study

    yield load
    sys.modules.pop("a_changing_study", None)


def test_a_worker_with_other_code_refuses(cluster, tmp_path, module_of_its_own):
    study = module_of_its_own("def study(seed):\n    return seed\n")
    with pytest.raises(RuntimeError, match="No module named 'a_changing_study'"):
        over_seeds(study, range(4), client=cluster)
    cluster.run(goes_by, str(tmp_path))
    assert over_seeds(study, range(4), client=cluster) == [0, 1, 2, 3]
    study = module_of_its_own("def study(seed):\n    return -seed\n")
    with pytest.raises(RuntimeError, match=r"another text of a_changing_study.*client\.restart"):
        over_seeds(study, range(4), client=cluster)


def test_a_worker_without_the_library_is_named(cluster, monkeypatch):
    monkeypatch.setattr(cluster, "run", lambda *given: {"tcp://one": None, "tcp://two": given})
    with pytest.raises(ModuleNotFoundError, match=r"^tcp://one cannot import tree_world"):
        over_seeds(shown, [1], client=cluster)


def test_what_is_other_is_named():
    code = code_here(functools.partial(map, life))
    assert set(code.modules) == {life.__module__}
    assert differences(code) == []
    other = code._replace(
        versions="Python 2", library="", modules={life.__module__: "", "nowhere": ""}
    )
    versions, library, module = differences(other)
    assert versions == f"{code.versions} instead of Python 2"
    assert library == "another text of tree_world"
    assert module == "another text of tests.at_work"


# --- parts of stored studies ---------------------------------------------------------------------


def lives(part, seeds=(0, 1, 2)):
    found = part.each(one_life, {f"life {seed}": (seed, 7) for seed in seeds})
    return {"seeds": [one["seed"] for one in found]}


def test_parts_of_a_stored_study_run_on_a_cluster(cluster, tmp_path):
    results = origins.results_file("tiny", tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "study_tiny.py").write_text("")
    kept = {"lives": studies.Study(lives, lives, [studies.Same("seeds")])}
    options = [f"--cluster={cluster.scheduler.address}"]
    assert studies.run_studies(kept, results, [*options, "lives"]) == 0
    found = json.loads(results.read_text())["lives"]
    assert found["seeds"] == [0, 1, 2]
    assert set(found["origin"]["seconds_of_parts"]) == {"life 0", "life 1", "life 2"}
    assert found["origin"]["workers"]["number"] == 2
    (machine,) = found["origin"]["workers"]["machines"]
    assert machine["torch"] == found["machine"]["torch"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob(".cache/**/life*")}
    assert len(before) == 3
    assert studies.run_studies(kept, results, []) == 0  # goes on here, for it is the same machine
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob(".cache/**/life*")} == before


# --- threads and clients -------------------------------------------------------------------------


def test_threads_are_put_back_when_the_last_has_left():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    entered, leave = threading.Event(), threading.Event()

    def other():
        # Without OpenMP, which counts for each thread: the one that came first has set its own.
        with one_thread():
            told.append(threads()[:2])
            entered.set()
            leave.wait(10)
            told.append(threads()[:2])
        told.append(threads()[:2])

    try:
        outer, told = threads(), []
        with one_thread():
            thread = threading.Thread(target=other)
            thread.start()
            assert entered.wait(10)
            with one_thread():
                assert threads() == (1, 1, {1})
            assert threads() == (1, 1, {1})
        leave.set()
        thread.join()
        assert told == [(1, 1), (1, 1), outer[:2]]
        assert threads() == outer
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_client_that_was_given_stays_open_and_one_made_here_does_not(cluster):
    with connected(cluster, "this") as same:
        assert same is cluster
    with connected(cluster.scheduler.address, "this") as made:
        assert made.status == "running"
    assert made.status == "closed"
    assert cluster.status == "running"


def test_what_is_no_client_is_refused(monkeypatch):
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client"):
        over_seeds(shown, [1], client=8786)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "tree-world\[cluster\]"'):
        over_seeds(shown, [1], client="tcp://127.0.0.1:1")
    assert over_seeds(shown, [1], processes=1) == ["1"]  # it needs none


# --- last, for what is started anew imports everything anew ----------------------------------


def test_a_worker_that_dies_loses_no_seed(cluster, tmp_path):
    before = set(cluster.run(os.getpid).values())
    study = functools.partial(killed_at_three, tmp_path)
    assert over_seeds(study, range(8), client=cluster) == list(range(8))
    cluster.wait_for_workers(2, timeout=30)
    assert len(before & set(cluster.run(os.getpid).values())) == 1
