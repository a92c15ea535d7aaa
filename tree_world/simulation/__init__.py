"""A world of fruit trees that smell like words, and an agent that lives among them."""

from tree_world.simulation.agents import Agent, AgentModel, ExploringModel, RestingModel
from tree_world.simulation.config import TreeWorldConfig
from tree_world.simulation.recording import Recording
from tree_world.simulation.sensors import DirectionalSensor, Sensor, SimpleSensor
from tree_world.simulation.world import Tree, TreeWorld

__all__ = [
    "Agent",
    "AgentModel",
    "DirectionalSensor",
    "ExploringModel",
    "Recording",
    "RestingModel",
    "Sensor",
    "SimpleSensor",
    "Tree",
    "TreeWorld",
    "TreeWorldConfig",
]
