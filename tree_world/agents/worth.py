"""What a tree is worth to who sees it: as a classifier says, or as it has tasted before."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tree_world.checks import positive_number
from tree_world.models.drives import DRIVES, DriveClassifier

__all__ = ["FOOD", "NOTHING", "POISON", "ByDrive", "ByMouth", "Taste"]

FOOD = 1
"""Verdict: it does good."""

POISON = -1
"""Verdict: it harms."""

NOTHING = 0
"""Verdict: it does neither good nor harm."""


class Taste(Protocol):
    """Tells food from poison by what a tree is like.

    Attributes
    ----------
    tells_empty : bool
        Whether `NOTHING` is said of trees without fruit.
    """

    tells_empty: bool

    def verdict(self, sense: np.ndarray) -> int:
        """Say what a tree is from what is seen of it: `FOOD`, `POISON` or `NOTHING`."""
        ...

    def tasted(self, sense: np.ndarray, worth: float) -> None:
        """Learn what a fruit was worth, in health points, of a tree that is like this."""
        ...


class ByDrive:
    """Ask a classifier that was trained before the life.

    Parameters
    ----------
    classifier : DriveClassifier
        With the classes of `tree_world.models.drives.DRIVES`.

    Examples
    --------
    >>> import torch
    >>> from tree_world.embeddings import embed_text_sentence_transformers as embed
    >>> from tree_world.models.drives import train_drive_classifier
    >>> from tree_world.simulation import TreeWorldConfig
    >>> taste = ByDrive(train_drive_classifier(TreeWorldConfig())[0])
    >>> seen = embed("nightshade") + embed("Ada") + embed("several fruit")
    >>> taste.verdict(seen.numpy()) == POISON
    True
    """

    tells_empty = True

    def __init__(self, classifier: DriveClassifier) -> None:
        self._weight = classifier.drive_embeddings.weight.detach().numpy().copy()
        self._verdicts = [NOTHING] * len(self._weight)
        self._verdicts[DRIVES["edible"]] = FOOD
        self._verdicts[DRIVES["poison"]] = POISON

    def verdict(self, sense: np.ndarray) -> int:
        """See `Taste.verdict`: the most probable drive."""
        return self._verdicts[int((self._weight @ sense).argmax())]

    def tasted(self, sense: np.ndarray, worth: float) -> None:
        """Do nothing: it has learned all that it knows before."""


class ByMouth:
    """Take every tree for food, but for those like one that has harmed.

    Of all that was tasted, the one that is most alike counts, if it is alike enough. It cannot tell
    an empty tree from a full one.

    Parameters
    ----------
    alike : float, default=1.3
        Greatest distance between what two trees are like for the one to tell of the other. Two of
        one kind that bear as much are some 1.1 apart, by their names alone; two of different kinds
        some 1.5.

    Raises
    ------
    ValueError
        If `alike` is not positive.

    Examples
    --------
    >>> taste = ByMouth(alike=1.0)
    >>> taste.tasted(np.array([1.0, 0.0]), worth=-25.0)
    >>> taste.verdict(np.array([0.9, 0.0])) == POISON, taste.verdict(np.array([0.0, 1.0])) == FOOD
    (True, True)
    """

    tells_empty = False

    def __init__(self, alike: float = 1.3) -> None:
        self.alike = positive_number("alike", alike)
        self._senses: list[np.ndarray] = []
        self._verdicts: list[int] = []

    def verdict(self, sense: np.ndarray) -> int:
        """See `Taste.verdict`."""
        if not self._senses:
            return FOOD
        away = np.linalg.norm(np.stack(self._senses) - sense, axis=1)
        nearest = int(away.argmin())
        return self._verdicts[nearest] if away[nearest] <= self.alike else FOOD

    def tasted(self, sense: np.ndarray, worth: float) -> None:
        """See `Taste.tasted`: the same tree, tasted again, is not kept twice."""
        verdict = FOOD if worth > 0 else POISON
        for kept, known in zip(self._senses, self._verdicts, strict=True):
            if known == verdict and np.array_equal(kept, sense):
                return
        self._senses.append(np.array(sense))
        self._verdicts.append(verdict)
