import pytest

from benchmarks.studies import FleetingParts
from benchmarks.study_omniscient import AGENTS, alive_at, lives, one_life, world_of
from tree_world.agents.omniscient import Omniscient


@pytest.mark.parametrize("plans", [False, True])
@pytest.mark.parametrize(("kind", "seed"), [("default", 4), ("12 trees", 0)])
def test_rests_in_compiled_code_are_the_same_life(kind, seed, plans):
    world, other = world_of(kind, seed), world_of(kind, seed)
    lived, lowest, _ = one_life(world, Omniscient(world, plans=plans), 1500)
    other.agent.model = Omniscient(other, plans=plans)
    recording = other.run(1500)
    assert lived == len(recording.healths) - 1
    assert lowest == recording.healths.min()
    assert (world.arrays.position == recording.positions[-1]).all()
    assert world.agent.health == recording.healths[-1]


def test_the_study_lives_and_bounds(tmp_path):
    found = lives(FleetingParts(tmp_path), seeds=[0, 23], steps=1200, kinds=["10 trees"])
    kind = found["kinds"]["10 trees"]
    assert found["seeds"] == [0, 23]
    for agent in AGENTS:
        for lived, bound in zip(kind[agent]["lived"], kind["longest_life"], strict=True):
            assert lived is None or bound is None or lived <= bound
        assert kind[agent]["poison"] == [0, 0]


def test_who_is_alive_is_counted():
    assert alive_at([None, 5000, 5001, 300.0], 5000) == 2
