"""Few virtual observations read like many, and are plain ones."""

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.models import oracle
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget import consolidation
from tree_world.models.memory.forget.consolidation import consolidate
from tree_world.models.memory.types import Observations

NAMES = ("locations", "location_sds", "senses")


def field(places):
    """A smooth field of smells in four dimensions."""
    x, y = places[:, 0] / 30, places[:, 1] / 30
    return torch.stack([torch.sin(x), torch.cos(y), torch.sin(x + y), torch.ones_like(x)], dim=1)


def observations(number=400, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = 40 * torch.randn(number, 2, generator=generator)
    return Observations(places, torch.full((number, 2), 8.0), field(places))


def read_error(found, match_threshold, seed=99):
    """Mean error against the field, in double precision, at places that nothing was fitted to."""
    places = observations(300, seed).locations
    mean = oracle.read(
        places, torch.full((300, 2), 8.0), found.locations, found.location_sds, found.senses,
        match_threshold,
    )[0]  # fmt: skip
    return float(np.linalg.norm(mean - field(places).numpy(), axis=1).mean())


@pytest.mark.parametrize("match_threshold", [25.0, None])
def test_virtual_observations_read_better_than_as_many_of_the_real(match_threshold):
    everything = observations()
    found = consolidate(everything, 80, match_threshold, num_steps=300)
    assert len(found.observations) == 80
    chosen = everything.take(torch.from_numpy(found.origins))
    fitted, started = (read_error(one, match_threshold) for one in (found.observations, chosen))
    assert fitted < 0.9 * started
    assert fitted < read_error(everything, match_threshold) + 0.02
    assert found.report.error < found.report.error_at_start
    assert (found.report.num_before, found.report.num_after) == (400, 80)
    assert "400 observations became 80" in str(found.report)


def test_the_result_is_plain_tensors_with_positive_deviations():
    found = consolidate(observations(), 50, num_steps=200)
    for name in ("locations", "location_sds", "senses"):
        tensor = getattr(found.observations, name)
        assert not tensor.requires_grad
        assert tensor.grad_fn is None
        assert tensor.dtype == torch.float32
        assert torch.isfinite(tensor).all()
    assert (found.observations.location_sds > 0).all()
    assert not torch.equal(found.observations.location_sds, torch.full((50, 2), 8.0))
    assert (np.diff(found.origins) > 0).all()


def test_the_same_seed_gives_the_same_and_another_another():
    one, same, other = (
        consolidate(observations(), 50, num_steps=40, seed=seed).observations.locations
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_best_fit_on_held_out_places_is_kept(monkeypatch):
    """A rate so high that the fit gets worse and worse leaves what it started from."""
    monkeypatch.setattr(consolidation, "RATES", {"places": 50.0, "sds": 3.0, "senses": 50.0})
    found = consolidate(observations(), 50, num_steps=400)
    assert found.report.error == found.report.error_at_start
    assert found.report.num_steps == 0
    start = observations().take(torch.from_numpy(found.origins))
    torch.testing.assert_close(found.observations.locations, start.locations)
    torch.testing.assert_close(found.observations.senses, start.senses, atol=1e-5, rtol=0)


def test_it_is_fitted_to_one_set_of_places_and_stopped_by_another():
    everything = observations()
    generator = torch.Generator().manual_seed(0)
    fit = consolidation.Fit(everything, np.arange(0, 400, 8), 25.0, generator, 100, 512)
    fitted_to, held_out = (
        {tuple(place) for place in places[0].tolist()} for places in (fit.places, fit.held_out)
    )
    observed = {tuple(place) for place in everything.locations.tolist()}
    assert len(held_out - observed) > 3000
    assert not (held_out & fitted_to) - observed
    # At the places of observations it is what was sensed that counts, elsewhere what is read.
    number = {tuple(place): row for row, place in enumerate(everything.locations.tolist())}
    rows = [
        (number[tuple(p)], n) for n, p in enumerate(fit.places[0].tolist()) if tuple(p) in number
    ]
    assert len(rows) > 100
    which, where = (list(part) for part in zip(*rows, strict=True))
    torch.testing.assert_close(fit.places[2][where], everything.senses[which])


def test_virtual_observations_do_not_leave_places_out_of_reach():
    generator = torch.Generator().manual_seed(1)
    places = 60 * torch.randn(400, 2, generator=generator)
    everything = Observations(places, torch.full((400, 2), 8.0), field(places))
    found = consolidate(everything, 60, 25.0, num_steps=200).observations
    nearest = torch.cdist(places, found.locations).amin(dim=1)
    assert int((nearest > 25.0).sum()) <= 4  # without the term for coverage there are some 25


def test_large_fits_go_by_groups_to_the_same_end(monkeypatch):
    few = consolidate(observations(), 60, num_steps=30).observations
    monkeypatch.setattr(consolidation, "DENSE", 0)
    many = consolidate(observations(), 60, num_steps=30).observations
    torch.testing.assert_close(few.locations, many.locations, atol=0.05, rtol=0)


def test_a_memory_takes_its_consolidated_self_over():
    everything = observations()
    memory = SpatialMemory(2, 4, max_memory_size=400)
    memory.write(everything.locations, everything.location_sds, everything.senses)
    ages = memory.ages[0].tolist()
    report = memory.consolidate(60, 25.0, num_steps=60)
    assert len(memory) == report.num_after == 60
    assert memory.ids[0].tolist() == list(range(400, 460))
    assert set(memory.ages[0].tolist()) <= set(ages)
    assert (memory.ages[0].diff() < 0).all()
    assert memory.write([[0.0, 0.0]], 5.0, torch.zeros(1, 4)).tolist() == [460]
    assert len(memory) == 61
    memory.prune(0.05, 25.0)


def test_rows_of_a_batch_and_projections_are_served():
    parts = [observations(200, seed) for seed in (1, 2)]
    memory = SpatialMemory(2, 4, 3)
    memory.fit_projection(parts[0].senses)
    names = ("locations", "location_sds", "senses")
    memory.write(*(torch.stack([getattr(part, n) for part in parts]) for n in names))
    report = memory.consolidate(40, 25.0, num_steps=40)
    assert [row.num_after for row in report.rows] == [40, 40]
    assert (report.num_before, report.num_after) == (400, 80)
    assert memory.memory_senses.shape == (2, 40, 3)
    assert memory.read([0.0, 0.0], 8.0, 25.0).shape == (2, 4)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"target_size": 0}, "target_size must be a whole number of at least 1, not 0"),
        ({"target_size": 5, "num_steps": 0}, "num_steps must be a whole number"),
        ({"target_size": 5, "batch_size": 0.5}, "batch_size must be a whole number"),
        ({"target_size": 5, "match_threshold": -1.0}, "match_threshold must be a positive"),
    ],
)
def test_what_is_out_of_range_is_refused(choices, message):
    memory = SpatialMemory(2, 4)
    memory.write([[0.0, 0.0]], 5.0, torch.ones(1, 4))
    with pytest.raises(ValueError, match=message):
        memory.consolidate(**choices)
    assert len(memory) == 1


def test_numbers_come_in_any_precision_and_are_whole_where_they_count():
    source = observations(60)
    expected = consolidate(source, 12, 25.0, num_steps=2, batch_size=8).observations
    for twelve, two, eight, distance in (
        (np.int8(12), np.uint8(2), torch.tensor(8), np.int8(25)),
        (torch.tensor(12), np.int64(2), np.int16(8), Fraction(25)),
    ):
        found = consolidate(source, twelve, distance, num_steps=two, batch_size=eight)
        assert torch.equal(found.observations.locations, expected.locations)
    for choices in ({"target_size": True}, {"target_size": 12, "num_steps": 2.0}):
        with pytest.raises(ValueError, match="must be a whole number of at least 1"):
            consolidate(source, **choices)


def test_an_empty_memory_cannot_be_consolidated():
    with pytest.raises(ValueError, match="write observations first"):
        SpatialMemory(2, 4).consolidate(5)


def test_one_observation_stays_what_it_is():
    memory = SpatialMemory(2, 4)
    memory.write([[3.0, 4.0]], 5.0, torch.ones(1, 4))
    memory.consolidate(5, 25.0, num_steps=20)
    assert len(memory) == 1
    assert math.isclose(float(memory.read([3.0, 4.0], 5.0)[0]), 1.0, abs_tol=0.05)


@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_it_fits_as_well_far_from_the_origin(offset):
    """A memory in double precision tells places a billion metres away apart, and so does a fit."""
    here = observations()
    here = Observations(*(getattr(here, n).double() for n in NAMES))
    there = Observations(here.locations + offset, here.location_sds, here.senses)
    near, far = (consolidate(one, 60, num_steps=60) for one in (here, there))
    assert far.report.error == pytest.approx(near.report.error, rel=0.05)
    assert far.observations.locations.dtype == torch.float64
    fitted = far.observations
    back = Observations(fitted.locations - offset, fitted.location_sds, fitted.senses)
    errors = [read_error(one, 25.0) for one in (back, near.observations)]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


@pytest.mark.parametrize(
    ("offset", "dtype"),
    [(0.0, torch.float32), (1e8, torch.float32), (1e8, torch.float64), (1e9, torch.float64)],
)
def test_the_error_that_is_told_is_that_of_what_is_stored(offset, dtype):
    everything = observations()
    where = (everything.locations.double() + offset).to(dtype)
    there = Observations(where, everything.location_sds.to(dtype), everything.senses.to(dtype))
    found = consolidate(there, 60, num_steps=60)
    generator = torch.Generator().manual_seed(5)
    around = 25 * (2 * torch.rand(400, 2, generator=generator) - 1) / math.sqrt(2)
    queries = (where.double() + around).to(dtype)
    arrays = [
        [(one.locations.double() - offset), one.location_sds, one.senses]
        for one in (there, found.observations)
    ]
    sds = torch.full((400, 2), 8.0)
    ridge = 0.1
    said = oracle.read_linear(queries.double() - offset, sds, *arrays[0], ridge, 25.0)
    told, size, _, _ = oracle.read(queries.double() - offset, sds, *arrays[1], 25.0)
    error = np.linalg.norm(said - told, axis=1)[size > 0].mean()
    assert error == pytest.approx(found.report.error, rel=0.5, abs=0.01)


@pytest.mark.parametrize("mode", ["inference", "float64 by default"])
def test_it_works_in_every_mode_of_torch(mode):
    everything = observations()
    expected = consolidate(everything, 50, num_steps=20).observations.locations
    if mode == "inference":
        with torch.inference_mode():
            found = consolidate(observations(), 50, num_steps=20).observations
        assert not found.locations.is_inference()
    else:
        torch.set_default_dtype(torch.float64)
        try:
            found = consolidate(everything, 50, num_steps=20).observations
        finally:
            torch.set_default_dtype(torch.float32)
    assert found.locations.dtype == torch.float32
    torch.testing.assert_close(found.locations, expected, atol=0.05, rtol=0)


def test_progress_is_shown_when_asked_for(capsys):
    consolidate(observations(100), 20, num_steps=20, progress=True)
    assert "consolidating: 100%" in capsys.readouterr().err
    consolidate(observations(100), 20, num_steps=20)
    assert capsys.readouterr().err == ""


def test_a_memory_can_be_pickled_though_it_has_a_lock():
    memory = SpatialMemory(2, 4)
    memory.write([[3.0, 4.0]], 5.0, torch.ones(1, 4))
    again = pickle.loads(pickle.dumps(memory))
    again.write([[0.0, 0.0]], 5.0, torch.ones(1, 4))
    assert (len(memory), len(again)) == (1, 2)
