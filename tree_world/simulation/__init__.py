"""A world of fruit trees that smell like words, and an agent that lives among them."""

from tree_world.simulation.body import Action, Agent, AgentModel, Body, Percept, Sight
from tree_world.simulation.config import TreeWorldConfig
from tree_world.simulation.hidden import ShiftBody
from tree_world.simulation.home_range import HomeRange
from tree_world.simulation.recording import Recording
from tree_world.simulation.sensors import DirectionalSensor, Sensed, Sensor, SimpleSensor
from tree_world.simulation.trees import Tree, Trees
from tree_world.simulation.turning import StepTurnBody
from tree_world.simulation.untaken import Shortcuts, shortcuts
from tree_world.simulation.walkers import Exploring, Resting
from tree_world.simulation.world import TreeWorld
from tree_world.simulation.worlds import Worlds

# Their names of version 0.1.
ExploringModel = Exploring
RestingModel = Resting

__all__ = [
    "Action",
    "Agent",
    "AgentModel",
    "Body",
    "DirectionalSensor",
    "Exploring",
    "ExploringModel",
    "HomeRange",
    "Percept",
    "Recording",
    "Resting",
    "RestingModel",
    "Sensed",
    "Sensor",
    "ShiftBody",
    "Shortcuts",
    "Sight",
    "SimpleSensor",
    "StepTurnBody",
    "Tree",
    "TreeWorld",
    "TreeWorldConfig",
    "Trees",
    "Worlds",
    "shortcuts",
]
