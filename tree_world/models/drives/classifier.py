"""How well a smell satisfies each drive, how sure one may be of it, and how often that is wrong."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import scipy.optimize
import torch

from tree_world.checks import PointsLike, WrongKind, as_senses, whole_number
from tree_world.models.drives.examples import DriveExamples, as_examples
from tree_world.optional import convergence_warning
from tree_world.precision import without_autocast

DRIVES = {"poison": 0, "edible": 1, "neutral": 2}
"""Names of the drives, which exclude each other, and their classes."""

TEMPERATURES = (0.05, 20.0)
"""Least and greatest temperature by which `DriveClassifier.calibrate` divides at once."""


class DriveClassifier(torch.nn.Module):
    r"""How well a smell satisfies each drive.

    .. math:: P(m \mid z) = \operatorname{softmax}_m (y_m \cdot z)

    Parameters
    ----------
    sensory_dim : int
        Dimension of the smells z.
    num_drives : int, default=3

    Attributes
    ----------
    drive_embeddings : torch.nn.Linear
        Its weight, of shape (num_drives, sensory_dim), holds the vectors y.
    temperature : float
        By which `calibrate` has divided the weight so far; 1.0 at first. It goes with
        `state_dict`. A state that was saved without it is loaded with 1.0.

    Raises
    ------
    ValueError
        If a number is not whole or less than one.

    Examples
    --------
    >>> classifier = DriveClassifier(sensory_dim=2)
    >>> classifier.drive_embeddings.weight.data = torch.tensor([[3.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    >>> classifier(torch.tensor([0.0, 1.0])).round(decimals=2)
    tensor([0.0500, 0.9100, 0.0500])
    """

    _temperature: torch.Tensor

    def __init__(self, sensory_dim: int, num_drives: int = len(DRIVES)) -> None:
        super().__init__()
        self.sensory_dim = whole_number("sensory_dim", sensory_dim, 1)
        num_drives = whole_number("num_drives", num_drives, 1)
        # What is made in inference mode could not be calibrated or trained outside of it.
        with torch.inference_mode(False):
            self.drive_embeddings = torch.nn.Linear(
                self.sensory_dim, num_drives, bias=False, dtype=torch.float32
            )
            torch.nn.init.zeros_(self.drive_embeddings.weight)
            self.drive_embeddings.requires_grad_(False)
            self.register_buffer("_temperature", torch.ones((), dtype=torch.float32))

    @property
    def temperature(self) -> float:
        """By which `calibrate` has divided the weight so far."""
        return float(self._temperature)

    @temperature.setter
    def temperature(self, value: float) -> None:
        with torch.inference_mode(False):
            self._temperature = torch.full_like(self._temperature, float(value))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # Version 0.1 did not save the temperature.
        state_dict.setdefault(f"{prefix}_temperature", torch.ones((), dtype=torch.float32))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if "temperature" in self.__dict__:  # pickled by version 0.1
            self.register_buffer("_temperature", torch.tensor(self.__dict__.pop("temperature")))

    @without_autocast
    def scores(self, senses: PointsLike) -> torch.Tensor:
        """Logits y · z, of shape (..., num_drives), for smells of shape (..., sensory_dim)."""
        weight = self.drive_embeddings.weight
        values = as_senses(senses, self.sensory_dim, "senses", weight.dtype, weight.device)
        return torch.as_tensor(self.drive_embeddings(values))

    def forward(self, senses: PointsLike) -> torch.Tensor:
        """Probabilities of the drives.

        Parameters
        ----------
        senses : array_like of shape (..., sensory_dim)

        Returns
        -------
        torch.Tensor of shape (..., num_drives)
        """
        return self.scores(senses).softmax(dim=-1)

    def search_key(self, drive: int | str) -> torch.Tensor:
        r"""Direction in which smells satisfy a drive, and none of the others.

        .. math:: k_m = y_m - \frac{1}{K - 1} \sum_{j \neq m} y_j

        Its score :math:`k_m \cdot z` is the mean log-odds of the drive against each of the others:
        positive where the drive is likelier than the geometric mean of the others. With more than
        two drives that is not yet *the most probable*. The probabilities stay the same when one
        vector is added to all embeddings; so does this key, unlike :math:`y_m` itself.

        Parameters
        ----------
        drive : int or str
            A class, or a name in `DRIVES`.

        Returns
        -------
        torch.Tensor of shape (sensory_dim,)

        Raises
        ------
        ValueError
            If there is no such drive, or only one, which there is nothing to compare with.
        """
        weight = self.drive_embeddings.weight.detach()
        try:
            number = DRIVES[drive] if isinstance(drive, str) else whole_number("drive", drive)
        except (KeyError, WrongKind):
            number = -1
        if not 0 <= number < len(weight):
            raise ValueError(
                f"there is no drive {drive!r}: name one of {list(DRIVES)}, or give a class from 0 "
                f"to {len(weight) - 1}."
            )
        if len(weight) == 1:
            raise ValueError(
                "a key compares a drive with the others, but this classifier has num_drives=1. "
                "Give it a second drive, for example 'neutral'."
            )
        others = torch.arange(len(weight), device=weight.device) != number
        return weight[number] - weight[others].mean(dim=0)

    def calibrate(self, senses: PointsLike, targets: PointsLike) -> float:
        """Divide the embeddings by the temperature at which the probabilities fit best.

        Verdicts stay as they are; only their certainty changes. Give examples that were neither
        trained on nor are kept for tests, and expect no help where smells are of another sort
        than these.

        Parameters
        ----------
        senses : array_like of shape (n, sensory_dim)
            Smells that were not trained on.
        targets : array_like of shape (n, num_drives)
            Their probabilities; each row sums to one.

        Returns
        -------
        float
            The temperature: above one, the classifier was too sure. It lies within `TEMPERATURES`.

        Raises
        ------
        ValueError
            If shapes do not fit, a number is not finite, or a row of targets does not hold
            probabilities.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the best temperature lies beyond `TEMPERATURES`, as it does where all verdicts are
            right and no target is soft, or where smells say nothing; the nearer bound is taken.
            Also if all temperatures fit alike; then nothing is changed.
        """
        weight = self.drive_embeddings.weight.detach()
        values, wanted = as_examples(senses, targets, self.sensory_dim, len(weight))
        temperature = _best_temperature(values @ weight.cpu().double().mT, wanted)
        own, before = self.drive_embeddings.weight, self._temperature
        try:
            with torch.inference_mode(False):
                own.data = weight.clone() / temperature
            self.temperature *= temperature
        except BaseException:  # an interrupt, too: both have changed, or none
            own.data, self._temperature = weight, before
            raise
        return temperature


def _best_temperature(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Temperature within `TEMPERATURES` at which the cross-entropy is least."""
    # The cross-entropy is convex in β = 1/T, so its slope rises with β and is zero but once.
    wanted = (targets * logits).sum(dim=-1)

    def slope(log_beta: float) -> float:
        chance = (math.exp(log_beta) * logits).softmax(dim=-1)
        return float(((chance * logits).sum(dim=-1) - wanted).mean())

    coldest, hottest = TEMPERATURES
    if bool(torch.isclose(logits, logits[:, :1], rtol=0, atol=1e-12).all()):
        best, why = 1.0, "all drives score alike, so that every temperature fits as well"
    elif slope(-math.log(hottest)) >= 0:
        best, why = hottest, "the claims fit best with no certainty at all"
    elif slope(-math.log(coldest)) <= 0:
        best, why = coldest, "the claims fit the better, the surer they are"
    else:
        root = scipy.optimize.brentq(slope, -math.log(hottest), -math.log(coldest), xtol=1e-12)
        return math.exp(-root)
    warnings.warn(
        f"there is no best temperature from {coldest} to {hottest}: {why}. {best} was taken. Look "
        "at senses and targets, or give more examples.",
        convergence_warning(),
        stacklevel=3,
    )
    return best


@dataclass(frozen=True)
class Confusions:
    """How often a classifier was wrong where it matters.

    Attributes
    ----------
    poison_called_edible, edible_called_poison : int
        Examples whose most probable drive is the opposite of what they are.
    num_poisonous, num_edible : int
        Examples of each.
    """

    poison_called_edible: int
    num_poisonous: int
    edible_called_poison: int
    num_edible: int


def count_verdicts(
    classifier: DriveClassifier, senses: PointsLike, is_poisonous: torch.Tensor
) -> torch.Tensor:
    """Count all verdicts on poisonous trees and on edible ones.

    Parameters
    ----------
    classifier : DriveClassifier
        With the classes of `DRIVES`.
    senses : array_like of shape (n, sensory_dim)
    is_poisonous : torch.Tensor of shape (n,), bool

    Returns
    -------
    torch.Tensor of shape (2, 3), int64
        Row 0 counts the poisonous, row 1 the edible; columns are the classes of `DRIVES`: called
        poison, edible, neutral.

    Raises
    ------
    ValueError
        If there is not one truth for each smell, or the classifier has other classes.

    Examples
    --------
    >>> classifier = DriveClassifier(sensory_dim=2)
    >>> classifier.drive_embeddings.weight.data = torch.tensor([[3.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    >>> senses = torch.tensor([[1.0, 0.0], [-1.0, -1.0], [0.0, 2.0]])
    >>> count_verdicts(classifier, senses, torch.tensor([True, True, False]))
    tensor([[1, 0, 1],
            [0, 1, 0]])
    """
    probabilities = classifier(senses)
    poisonous = torch.as_tensor(is_poisonous)
    if probabilities.ndim != 2 or probabilities.shape[1] != len(DRIVES):
        raise ValueError(
            f"smells of shape (n, sensory_dim) and a classifier of {len(DRIVES)} drives are "
            f"needed, but its probabilities have shape {tuple(probabilities.shape)}."
        )
    if poisonous.dtype != torch.bool or poisonous.shape != probabilities.shape[:1]:
        raise ValueError(
            f"is_poisonous must hold {len(probabilities)} bools, one for each smell, but "
            f"{poisonous.dtype} of shape {tuple(poisonous.shape)} was given."
        )
    called = torch.nn.functional.one_hot(probabilities.argmax(dim=-1), len(DRIVES))
    return torch.stack([called[poisonous].sum(dim=0), called[~poisonous].sum(dim=0)])


def count_confusions(classifier: DriveClassifier, examples: DriveExamples) -> Confusions:
    """Count the verdicts that would harm: poison called edible, and the reverse.

    Verdicts of *neutral*, the misses, are counted by `count_verdicts`.

    Parameters
    ----------
    classifier : DriveClassifier
        With the classes of `DRIVES`.
    examples : DriveExamples

    Returns
    -------
    Confusions
    """
    counts = count_verdicts(classifier, examples.senses, examples.is_poisonous)
    of_poison, of_food = counts.tolist()
    return Confusions(
        of_poison[DRIVES["edible"]], sum(of_poison), of_food[DRIVES["poison"]], sum(of_food)
    )
