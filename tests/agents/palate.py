"""A taste for senses of three numbers."""

from tree_world.agents.worth import FOOD, NOTHING, POISON


class Palate:
    """Food is positive, poison negative, and what bears nothing is nothing."""

    tells_empty = True

    def __init__(self):
        self.tastes = []

    def verdict(self, sense):
        return NOTHING if sense[2] == 0 else (FOOD if sense[0] > 0 else POISON)

    def tasted(self, sense, worth):
        self.tastes.append((sense.tolist(), worth))
