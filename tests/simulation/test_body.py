"""What an agent gets in a step, and what it may return."""

import pytest
import torch

from tree_world.simulation import (
    Action,
    DirectionalSensor,
    Percept,
    Resting,
    Sensed,
    SimpleSensor,
    Tree,
    Trees,
    TreeWorldConfig,
)


class Noting:
    """Notes what it is told, and stays."""

    def __init__(self):
        self.told = []

    def reset(self):
        self.told.clear()

    def act(self, percept, body, meal, *, generator):
        self.told.append((percept, body, meal))
        return Action(None, body.heading)


def test_an_agent_smells_and_sees_and_is_told_its_meal(make_world):
    world = make_world([[6.0, 0.0], [90.0, 5.0]], ["manchineel", "fig"], model=Noting())
    world.agent.heading = torch.tensor([1.0, 0.0])
    before = SimpleSensor.from_config(world.config).sense(world, [0.0, 0.0]).embedding
    seen = DirectionalSensor().sense(world, [0.0, 0.0], [1.0, 0.0])
    world.step()
    percept, body, meal = world.agent.model.told[0]
    torch.testing.assert_close(percept.smell, before)
    assert percept.sight.distance == seen.distance == 6.0
    assert torch.equal(percept.sight.embedding, seen.embedding)
    assert meal == -25.0
    assert (body.health, body.max_health, body.share_of_health) == (975.0, 1000.0, 0.975)
    assert not any(isinstance(part, Tree) for part in (*percept, *percept.sight))


def test_where_nothing_is_there_nothing_is_told(make_world):
    world = make_world([[50.0, 0.0]], model=Noting())
    world.agent.heading = torch.tensor([-1.0, 0.0])
    world.agent.nose = None
    world.step()
    percept, _, meal = world.agent.model.told[0]
    assert percept == Percept(None, (None, None))
    assert meal is None
    world.agent.eyes = None
    world.step()
    assert world.agent.model.told[1][0].sight == (None, None)
    assert world.agent.perceive(world) == (None, None)


def test_a_nose_of_ones_own_is_asked_where_the_agent_is(make_world):
    class Nose:
        def sense(self, world, position, heading):
            return Sensed(None, 2 * position + heading, None)

    world = make_world([[50.0, 0.0]], model=Noting())
    world.agent.nose = Nose()
    world.agent.position = torch.tensor([3.0, 4.0])
    world.agent.heading = torch.tensor([0.0, 1.0])
    world.step()
    assert world.agent.model.told[0][0].smell.tolist() == [6.0, 9.0]


def test_a_model_that_cannot_act_is_refused(make_world):
    world = make_world([[50.0, 0.0]])
    world.agent.model = object()
    with pytest.raises(TypeError, match=r"must have a method act\(percept, body, meal"):
        world.step()
    assert world.time == 0


def test_a_model_is_asked_by_the_method_that_was_defined_last():
    from tree_world.simulation.body import acting

    class ByAction(Resting):
        def get_action(self, distance, embedding, heading, health, *, position, generator):
            return torch.ones(2), heading

    class ByAct(ByAction):
        def act(self, percept, body, meal, *, generator):
            return Action(None, body.heading)

    assert [acting(model)[1] for model in (Resting(), ByAction(), ByAct())] == [True, False, True]
    replaced = Resting()
    replaced.get_action = ByAction().get_action
    assert acting(replaced)[1] is False


def test_sensors_take_a_world_or_its_trees(make_world):
    world = make_world([[10.0, 0.0], [0.0, 30.0]])
    names = world.config.tree_ids[:2]
    trees = Trees(TreeWorldConfig(), world.locations, ["apple"] * 2, names)
    for sensor in (SimpleSensor(), DirectionalSensor()):
        of_world, of_trees = (sensor.sense(one, [0.0, 0.0], [1.0, 0.0]) for one in (world, trees))
        assert isinstance(of_trees, Sensed)
        assert of_trees.distance == of_world.distance == 10.0
        assert torch.equal(of_trees.embedding, of_world.embedding)
        assert of_trees.tree is trees[0]
        assert of_world.tree is world.trees[0]
    assert trees[-1:] == (trees[1],)
    assert list(reversed(trees)) == [trees[1], trees[0]]
