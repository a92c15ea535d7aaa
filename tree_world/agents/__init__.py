"""Who lives in a tree world by what it knows: ways, plans, bounds, and the agents that use them."""

from tree_world.agents.choosing import Drawn, Nearest, Planning
from tree_world.agents.constants import Constants, Learned, Told
from tree_world.agents.diary import Diary
from tree_world.agents.exploring import Frontier, Wandering
from tree_world.agents.forager import Forager, Habits
from tree_world.agents.worth import ByDrive, ByMouth, Taste

__all__ = [
    "ByDrive",
    "ByMouth",
    "Constants",
    "Diary",
    "Drawn",
    "Forager",
    "Frontier",
    "Habits",
    "Learned",
    "Nearest",
    "Planning",
    "Taste",
    "Told",
    "Wandering",
]
