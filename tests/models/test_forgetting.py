"""A life that is longer than its memory."""

import functools
import math
import threading
import warnings

import pytest
import torch

from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget.neighbours import FEW
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.policy import (
    Forgetter,
    ForgettingFailed,
    ForgettingPolicy,
    NothingMayGo,
)
from tree_world.models.memory.store.task import Task

DIM = 4


def live(memory, forgetter, steps, *, spread, noise=0.0, seed=0, patience=math.inf):
    """Write one observation in each step; returns what was reported and the greatest size.

    At a size of `patience` wait for what is being forgotten, however slow the machine is.
    """
    generator = torch.Generator().manual_seed(seed)
    reports, most = [], 0
    for _ in range(steps):
        place = spread * torch.rand(1, 2, generator=generator)
        sense = torch.sin(place @ torch.ones(2, DIM) / 50)
        sense = sense + noise * torch.randn(1, DIM, generator=generator)
        memory.write(place, 5.0, sense)
        most = max(most, len(memory))
        report = forgetter.step()
        if report is None and len(memory) >= patience:
            report = forgetter.finish()
        if report is not None:
            reports.append(report)
    return reports, most


@pytest.mark.parametrize("in_background", [False, True])
def test_a_memory_stays_small_without_ever_losing_the_oldest(in_background):
    memory = SpatialMemory(2, DIM, max_memory_size=400)
    policy = ForgettingPolicy(150, 60, 0.3, 25.0, in_background=in_background)
    forgetter = Forgetter(memory, policy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reports, most = live(memory, forgetter, 1500, spread=60.0, patience=300)
        last = forgetter.finish()
    reports += [last] if last is not None else []
    assert len(reports) >= 5
    assert all(isinstance(report, PruneReport) for report in reports)
    assert all(report.worst_error <= 0.3 for report in reports)
    assert 150 <= most <= 300 if in_background else most == 150
    assert not forgetter.busy


def test_consolidation_by_policy(monkeypatch):
    memory = SpatialMemory(2, DIM, max_memory_size=100)
    # How well it is fitted is no matter here.
    in_background = functools.partial(memory.consolidate_in_background, num_steps=30)
    monkeypatch.setattr(memory, "consolidate_in_background", in_background)
    policy = ForgettingPolicy(
        60, 25, match_threshold=25.0, method="consolidate", in_background=False
    )
    reports, most = live(memory, Forgetter(memory, policy), 100, spread=60.0)
    assert [report.num_after for report in reports] == [25, 25]
    assert most == 60


def test_the_least_important_go_where_nothing_may_go():
    memory = SpatialMemory(2, DIM, max_memory_size=200)
    policy = ForgettingPolicy(100, 50, 0.001, 25.0, in_background=False)
    with pytest.warns(NothingMayGo, match="least important went all the same, down to 50") as told:
        live(memory, Forgetter(memory, policy), 120, spread=30.0, noise=1.0)
    assert len(told) == 1
    assert "Give a greater max_error_to_prune" in str(told[0].message)
    assert told[0].filename == __file__
    assert len(memory) == 70


def test_the_oldest_go_where_nothing_may_go():
    memory = SpatialMemory(2, DIM, max_memory_size=200)
    policy = ForgettingPolicy(100, 50, 0.001, 25.0, last_resort="oldest", in_background=False)
    with pytest.warns(NothingMayGo, match="the oldest went"):
        live(memory, Forgetter(memory, policy), 100, spread=30.0, noise=1.0)
    assert memory.ids[0].tolist() == list(range(50, 100))


def test_everything_is_kept_where_nothing_may_go_and_tried_again_in_time():
    memory = SpatialMemory(2, DIM, max_memory_size=150)
    policy = ForgettingPolicy(100, 50, 0.001, 25.0, last_resort="keep", in_background=False)
    with pytest.warns(NothingMayGo, match="another try in 50 writes") as told:
        reports, _ = live(memory, Forgetter(memory, policy), 260, spread=30.0, noise=1.0)
    assert len(reports) == len(told) == 4  # at 100, 150, 200 and 250 writes
    assert len(memory) == 150


def test_isolated_observations_stay_even_then():
    memory = SpatialMemory(2, DIM, max_memory_size=200)
    policy = ForgettingPolicy(100, 50, 0.001, 25.0, in_background=False)
    with pytest.warns(NothingMayGo, match="down to 100"):
        live(memory, Forgetter(memory, policy), 100, spread=1e6)
    assert len(memory) == 100


def test_a_memory_that_was_reset_meanwhile_is_taken_as_it_is():
    memory = SpatialMemory(2, DIM, max_memory_size=5000)
    forgetter = Forgetter(memory, ForgettingPolicy(2000, 40, 0.5, 25.0))
    memory.write(torch.rand(2000, 2) * 100, 5.0, torch.ones(2000, DIM))
    forgetter.step()
    assert forgetter.busy
    memory.reset()
    assert forgetter.finish() is None or len(memory) == 0
    assert len(memory) == 0
    memory.write(torch.rand(2000, 2) * 100, 5.0, torch.ones(2000, DIM))
    forgetter.step()
    report = forgetter.finish()
    assert report.num_before == 2000
    assert not forgetter.busy


def test_who_rests_forgets_that_it_rests(monkeypatch):
    """Of so many at one place, the lists of neighbours would take more than a prune may."""
    # Thousands, so that they go the way of many, and a limit that is as much too small for them as
    # the default is for ten thousand.
    number, limit = 2_000, 2**25
    assert number > FEW
    assert 12 * number * (number - 1) > limit
    memory = SpatialMemory(2, DIM, max_memory_size=2_100)
    in_background = functools.partial(memory.prune_in_background, memory_limit=limit)
    monkeypatch.setattr(memory, "prune_in_background", in_background)
    forgetter = Forgetter(memory, ForgettingPolicy(number, 10, 0.1, 25.0))
    memory.write(torch.zeros(number, 2), 5.0, torch.ones(number, DIM))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forgetter.step()
        report = forgetter.finish()
    assert report.num_kept == len(memory) == 10
    torch.testing.assert_close(memory.read([0.0, 0.0], 5.0, 25.0), torch.ones(DIM))


def step_and_finish(forgetter):
    return forgetter.step() or forgetter.finish()


def fails_with(monkeypatch, error):
    def work(*_, **__):
        raise error

    monkeypatch.setattr("tree_world.models.memory.forgetting.prune", work)


@pytest.mark.parametrize("in_background", [False, True])
def test_life_goes_on_where_there_is_no_room_to_forget(monkeypatch, in_background):
    memory = SpatialMemory(2, DIM, max_memory_size=100)
    forgetter = Forgetter(
        memory, ForgettingPolicy(50, 20, match_threshold=25.0, in_background=in_background)
    )
    memory.write(torch.rand(50, 2), 5.0, torch.ones(50, DIM))
    fails_with(monkeypatch, MemoryError("too much"))
    with pytest.warns(ForgettingFailed, match=r"\(too much\).*again in 30 writes") as told:
        step_and_finish(forgetter)
    assert [warning.filename for warning in told] == [__file__]
    assert (len(memory), forgetter.busy) == (50, False)
    monkeypatch.undo()
    assert forgetter.step() is None  # not yet
    memory.write(torch.rand(30, 2), 5.0, torch.ones(30, DIM))
    forgetter.step()
    forgetter.finish()
    assert len(memory) == 20


@pytest.mark.parametrize("in_background", [False, True])
def test_other_errors_say_where_they_come_from(monkeypatch, in_background):
    memory = SpatialMemory(2, DIM, max_memory_size=100)
    forgetter = Forgetter(
        memory, ForgettingPolicy(50, 20, match_threshold=25.0, in_background=in_background)
    )
    memory.write(torch.rand(50, 2), 5.0, torch.ones(50, DIM))
    fails_with(monkeypatch, OSError("no disk"))
    with pytest.raises(OSError, match="no disk") as told:
        step_and_finish(forgetter)
    assert "a Forgetter that works on a memory of 50 observations" in told.value.__notes__[0]
    assert (len(memory), forgetter.busy) == (50, False)
    assert forgetter.step() is None


def test_who_is_interrupted_while_waiting_may_wait_again(monkeypatch):
    memory = SpatialMemory(2, DIM, max_memory_size=100)
    forgetter = Forgetter(memory, ForgettingPolicy(50, 20, match_threshold=25.0))
    memory.write(torch.rand(50, 2), 5.0, torch.ones(50, DIM))
    go_on = threading.Event()

    def work(_stop):
        go_on.wait(60.0)
        return memory.prune()

    monkeypatch.setattr(memory, "prune_in_background", lambda *_, **__: Task(work))
    forgetter.step()
    with monkeypatch.context() as patch:
        patch.setattr(Task, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forgetter.finish()
    assert forgetter.busy
    go_on.set()
    assert forgetter.finish().num_kept == len(memory) == 1
    assert not forgetter.busy


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"start_at": 50, "target_size": 50}, "less than start_at, but they are 50 and 50"),
        ({"start_at": 50, "target_size": 0}, "target_size must be positive"),
        ({"start_at": 9, "target_size": 5, "method": "sleep"}, "method must be one of"),
        ({"start_at": 9, "target_size": 5, "last_resort": "hope"}, "last_resort must be one of"),
        ({"start_at": 9, "target_size": 5, "max_error_to_prune": -1.0}, "max_error_to_prune"),
        ({"start_at": 9, "target_size": 5, "match_threshold": 0.0}, "match_threshold must be"),
        ({"start_at": 9.5, "target_size": 5}, "start_at must be a whole number"),
        ({"start_at": 9, "target_size": True}, "target_size must be a whole number"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        ForgettingPolicy(**choices)


def test_a_memory_too_small_for_its_policy_is_refused():
    memory = SpatialMemory(2, DIM, max_memory_size=50)
    with pytest.raises(ValueError, match="at most 50: give a smaller start_at"):
        Forgetter(memory, ForgettingPolicy(100, 20, match_threshold=25.0))
