"""Networks that learn sequences: what they are told, trained for, and asked."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch

from benchmarks import study_sequences
from benchmarks.lived import Lived
from benchmarks.sequence_models import (
    LONGEST,
    SHORTEST,
    SIZE_OF_SMELLS,
    Nose,
    PositionMemory,
    Recurrent,
    Walked,
    first_skews,
    r_squared,
)
from benchmarks.sequence_training import Budget, told_in_stretches, train
from benchmarks.studies import FleetingParts
from benchmarks.study_sequences import SETTINGS
from tree_world.simulation.hidden import ShiftBody
from tree_world.simulation.untaken import shortcuts

SEED = 3  # on which nothing is judged
WIDTH = 5


def a_walk(steps=300, seed=0):
    random = np.random.default_rng(seed)
    actions = torch.from_numpy(random.integers(6, size=steps))
    smells = torch.from_numpy(random.normal(size=(steps, WIDTH)).astype(np.float32))
    return Walked(actions, smells, torch.ones(steps, dtype=torch.bool))


def a_life(walk, number=6):
    body = ShiftBody(seed=0)
    places = body.move(walk.actions.numpy())
    ways = shortcuts(body, places, seed=0, number=number, farther=1.0, near=100.0, apart=10)
    smells = walk.smells.double().numpy()
    return Lived(body, walk.actions.numpy(), places, smells, ways, smells[:number])


def of(name, **choices):
    return replace(SETTINGS[name], **choices).make(WIDTH, 0).eval()


def test_distances_between_smells_stay_what_they_are():
    life = study_sequences.lived(SEED, steps=250)
    nose = Nose([life.senses])
    told = nose.express(life.senses).double().numpy()
    assert told.shape[1] < 110
    apart = lambda smells: np.linalg.norm(smells[0] - smells, axis=1)  # noqa: E731
    np.testing.assert_allclose(apart(told) * nose.unit, apart(life.senses), atol=1e-3)
    assert (told**2).sum(axis=1).mean() == pytest.approx(SIZE_OF_SMELLS, rel=1e-3)
    np.testing.assert_allclose(told.mean(axis=0), 0, atol=1e-5)
    foreign = study_sequences.lived(SEED, new=True).senses
    far = nose.express(foreign).double().numpy() * nose.unit
    np.testing.assert_allclose(apart(far), apart(foreign), atol=1e-3)


def test_a_walk_returns_where_it_was_long_before():
    nose = Nose([np.eye(384)[:3]])
    places = np.array([[20.0 * step, 0.0] for step in range(151)])
    places[140] = places[30] + [0, 7]
    places[145] = places[60]  # not long before
    walked = nose.walked(np.zeros(150, int), places, np.zeros((150, 384)))
    assert torch.nonzero(walked.returns).flatten().tolist() == [139]


def test_stretches_are_as_long_as_ways_off_the_walk():
    told = told_in_stretches(200, 300, np.random.default_rng(0)).numpy()
    lengths = []
    for row in told:
        edges = np.flatnonzero(np.diff(row))
        lengths += (np.diff(edges)[::2] + 1).tolist()  # actions after the last smell
        assert row[:6].all()
    assert min(lengths) == SHORTEST
    assert max(lengths) == LONGEST


@pytest.mark.parametrize("name", ["GRU", "LSTM"])
def test_nothing_that_comes_later_or_is_not_told_is_known(name):
    network, walk = of(name, size=8), a_walk(50)
    told = torch.ones(1, 50)
    told[:, 30:] = 0
    before = walk.smells[None]
    predicted = network(walk.actions[None], before, told)
    changed = before.clone()
    changed[:, 30:] += 1
    torch.testing.assert_close(network(walk.actions[None], changed, told), predicted)
    changed[:, 20] += 1
    again = network(walk.actions[None], changed, told)
    torch.testing.assert_close(again[:, :20], predicted[:, :20])
    assert (again[:, 20:] - predicted[:, 20:]).abs().amax(dim=-1).min() > 0


@pytest.mark.parametrize("size", [6, 18])
def test_a_read_is_that_of_float64(size):
    network, walk = of("TEM-t", kind="rotation", size=size), a_walk(95)
    positions = network.remembered(walk).detach()
    skew = network.led.detach().double().numpy()
    place = network.first.detach().double().numpy()
    place /= np.linalg.norm(place)
    expected = []
    for action in walk.actions.tolist():
        place = place @ scipy.linalg.expm(skew[action] - skew[action].T)
        expected.append(place)
    np.testing.assert_allclose(positions.numpy(), expected, atol=1e-5)
    weights = np.exp(
        math.exp(network.log_sharpness.item()) * np.array(expected) @ np.array(expected).T
    )
    smells = walk.smells.double().numpy()
    whole = weights @ smells / weights.sum(axis=1, keepdims=True)
    got = network.read(positions, positions, walk.smells).detach()
    np.testing.assert_allclose(got.numpy(), whole, rtol=1e-3, atol=1e-3)
    steps = np.arange(95)
    shut = weights * (steps[:, None] - steps >= 8)
    got = network.read(positions, positions, walk.smells, torch.from_numpy(shut > 0)).detach()
    told = shut[8:] @ smells / shut[8:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got[8:].numpy(), told, rtol=1e-3, atol=1e-3)


def test_free_matrices_begin_as_rotations():
    turned, free = (of("TEM-t", kind=kind, size=6) for kind in ("rotation", "tanh"))
    torch.testing.assert_close(free.led, torch.matrix_exp(turned.led - turned.led.mT))
    actions, place = torch.tensor([[4, 1]]), free.first.detach()[None] / 10
    expected = torch.tanh(torch.tanh(place @ free.led[4]) @ free.led[1])
    torch.testing.assert_close(free.lead(actions, place)[:, -1], expected)


@pytest.mark.parametrize("commuting", [False, True])
def test_matrices_turn_positions_a_little_at_first(commuting):
    skews = first_skews(9, 0.02, commuting, torch.Generator().manual_seed(0)).double()
    turns = torch.matrix_exp(skews - skews.mT)
    torch.testing.assert_close(turns @ turns.mT, torch.eye(9).double().expand(6, -1, -1))
    drawn = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 9)))
    place = torch.nn.functional.normalize(drawn, dim=-1)
    angle = torch.arccos((place @ turns * place).sum(dim=-1))
    assert 0.01 < angle.mean() < 0.03
    apart = (turns[0] @ turns[1] - turns[1] @ turns[0]).abs().max()
    assert (apart < 1e-8) == commuting


@pytest.mark.parametrize("name", ["GRU", "LSTM", "TEM-t"])
def test_ends_of_ways_are_told_one_by_one(name):
    """Each as if it were the only one, and from what was smelled before it alone."""
    network, walk = of(name, size=8), a_walk()
    life = a_life(walk)
    told = network.at_ends(walk, life)
    assert told.shape == (6, WIDTH)
    for index, (start, way) in enumerate(zip(life.ways.starts, life.ways.actions, strict=True)):
        path = torch.cat([walk.actions[:start], torch.from_numpy(way)])
        if isinstance(network, Recurrent):
            smells = torch.cat([torch.zeros(1, WIDTH), walk.smells[:start]])
            smells = torch.cat([smells, torch.full((len(way) - 1, WIDTH), 9.0)])
            from_step = max(1, start - network.context)
            mask = torch.zeros(len(path))
            mask[: start + 1] = 1
            late = slice(from_step, None)
            single = network(path[None, late], smells[None, late], mask[None, late])[0, -1]
        else:
            assert isinstance(network, PositionMemory)
            end = network.lead(path[None], network.begin(1))[0, -1]
            single = network.read(end[None], network.remembered(walk), walk.smells)[0]
        torch.testing.assert_close(told[index], single.detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["GRU", "LSTM", "TEM-t"])
def test_training_explains_what_it_is_trained_on_and_never_sees_what_is_held_out(name):
    walk = a_walk(400)
    smooth = torch.cumsum(walk.smells, dim=0) * 0.1
    walk = replace(walk, smells=smooth - smooth.mean(dim=0))
    spoilt = replace(walk, smells=walk.smells.clone())
    spoilt.smells[320:] = math.nan
    small = replace(SETTINGS[name], batch=4, length=60)
    budget = Budget(60.0, updates=8, look_every=1e9)
    trained = train(small, [walk], 320, [(walk, 320)], budget, seed=0)
    other = train(small, [spoilt], 320, [(walk, 320)], budget, seed=0)
    for one, two in zip(trained.last.parameters(), other.last.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    begun = small.make(WIDTH, 0)
    pairs = list(zip(begun.parameters(), trained.last.parameters(), strict=True))
    assert any(not torch.equal(one, two) for one, two in pairs)
    assert trained.told["updates"] == 8
    assert trained.told["kept_at"] in (0, 8)


def test_patience_halves_the_rate_and_ends():
    walk = a_walk(400)
    small = replace(SETTINGS["GRU"], size=4, batch=2, length=60, rate=1e-12)
    budget = Budget(30.0, patience=1, look_every=1e-9)
    told = train(small, [walk], 320, [(walk, 320)], budget, seed=0).told
    assert told["updates"] < 20
    assert told["seconds"] < 10


def test_a_share_of_variance():
    random = np.random.default_rng(0)
    true = random.normal(size=(50, 3))
    assert r_squared(true, true) == 1
    assert r_squared(np.broadcast_to(true.mean(axis=0), true.shape), true) == pytest.approx(0)
    off = true + 0.5 * true.std(axis=0)
    assert r_squared(off, true) == pytest.approx(0.75)


def test_short_forms_have_what_is_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(study_sequences, "SEEDS", [SEED])
    part = FleetingParts(tmp_path)
    glimpse = Budget(60.0, updates=1)
    found = study_sequences.short(part, [SEED], glimpse, 400)
    assert list(found["networks"]) == ["GRU", "LSTM", "TEM-t"]
    guessed = found["guesses"]["new"]
    assert guessed["mean"][0] <= 0
    assert max(0.0, guessed["last"][0]) < guessed["recent"][0] < 1
    for columns in found["networks"].values():
        for column in (
            columns["shortcuts"],
            columns["new"],
            columns["one"],
            columns["last"]["new"],
        ):
            assert len(column) == 1
            assert column[0] < 1


@pytest.mark.parametrize("patience", [None, 5])
def test_with_patience_the_end_of_a_walk_is_held_out(patience, monkeypatch):
    weights = []

    def trained(setting, walks, until, held_out, budget, seed):
        for end in (0.0, 1.0):  # what is smelled at the end changes the weights, or does not
            changed = replace(walks[0], smells=walks[0].smells.clone())
            changed.smells[321:] += end
            network = train(setting, [changed], until, [(changed, 320)], budget, seed).last
            weights.append(torch.cat([one.detach().ravel() for one in network.parameters()]))
        return train(setting, walks, until, held_out, budget, seed)

    monkeypatch.setattr(study_sequences, "train", trained)
    study_sequences.trained_on_one("GRU", SEED, Budget(60.0, patience=patience, updates=3), 400)
    assert torch.equal(*weights) == (patience is not None)
