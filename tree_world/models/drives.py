"""Drives: what a smell is worth to the agent, and how sure it may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.simulation import TreeWorldConfig
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS
from tree_world.validation import PointsLike, SeedLike, as_points, make_generator

DRIVES = {"poison": 0, "edible": 1, "neutral": 2}
"""Names of the drives, which exclude each other, and their classes."""

PENALTY = 3e-4
"""Default weight of the squared norm of the drive embeddings in their training."""


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
        By which `calibrate` has divided the weight so far; 1.0 at first.

    Examples
    --------
    >>> classifier = DriveClassifier(sensory_dim=2)
    >>> classifier.drive_embeddings.weight.data = torch.tensor([[3.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    >>> classifier(torch.tensor([0.0, 1.0])).round(decimals=2)
    tensor([0.0500, 0.9100, 0.0500])
    """

    def __init__(self, sensory_dim: int, num_drives: int = len(DRIVES)) -> None:
        super().__init__()
        self.sensory_dim = sensory_dim
        self.drive_embeddings = torch.nn.Linear(sensory_dim, num_drives, bias=False)
        torch.nn.init.zeros_(self.drive_embeddings.weight)
        self.drive_embeddings.requires_grad_(False)
        self.temperature = 1.0

    def scores(self, senses: PointsLike) -> torch.Tensor:
        """Logits y · z, of shape (..., num_drives), for smells of shape (..., sensory_dim)."""
        weight = self.drive_embeddings.weight
        values = as_points(senses, self.sensory_dim, "senses", weight.dtype, weight.device)
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

        Its score :math:`k_m \cdot z` is the mean log-odds of the drive against each of the others.
        The probabilities stay the same when one vector is added to all embeddings; so does this
        key, unlike :math:`y_m` itself.

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
            If there is no such drive.
        """
        weight = self.drive_embeddings.weight.detach()
        number = DRIVES.get(drive, -1) if isinstance(drive, str) else drive
        if not 0 <= number < len(weight):
            raise ValueError(
                f"there is no drive {drive!r}: name one of {list(DRIVES)}, or give a class from 0 "
                f"to {len(weight) - 1}."
            )
        others = torch.arange(len(weight), device=weight.device) != number
        return weight[number] - weight[others].mean(dim=0)

    def calibrate(self, senses: PointsLike, targets: PointsLike) -> float:
        """Divide the embeddings by the temperature at which the probabilities fit best.

        Verdicts stay as they are; only their certainty changes.

        Parameters
        ----------
        senses : array_like of shape (n, sensory_dim)
            Smells that were not trained on.
        targets : array_like of shape (n, num_drives)
            Their probabilities.

        Returns
        -------
        float
            The temperature: above one, the classifier was too sure.
        """
        logits = self.scores(senses).double()
        wanted = as_points(targets, logits.shape[-1], "targets", torch.float64, logits.device)
        log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
        _minimise(
            log_temperature, lambda: _cross_entropy(logits * torch.exp(-log_temperature), wanted)
        )
        temperature = float(log_temperature.detach().exp())
        self.drive_embeddings.weight.data /= temperature
        self.temperature *= temperature
        return temperature


# --- what to learn from --------------------------------------------------------------------------


@dataclass(frozen=True)
class DriveExamples:
    """Smells of trees at their feet, and what they are worth.

    Attributes
    ----------
    senses : torch.Tensor of shape (n, sensory_dim)
        Embedding of the kind, plus those of the name and of the amount of fruit where there are.
    targets : torch.Tensor of shape (n, 3)
        Probabilities of the drives. An amount that is worth v of its kind's drive, from 0 for no
        fruit to 1 for many, leaves 1 − v to "neutral".
    is_poisonous : torch.Tensor of shape (n,), bool
    kinds, names, amounts : tuple of str
        Words of each example; "" where there is none.
    """

    senses: torch.Tensor
    targets: torch.Tensor
    is_poisonous: torch.Tensor
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    amounts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.senses)


def drive_examples(
    config: TreeWorldConfig,
    names: Sequence[str] = ("",),
    amounts: Sequence[str] = ("", *FRUIT_AMOUNTS),
) -> DriveExamples:
    """Combine all kinds of fruit with names and amounts.

    Parameters
    ----------
    config : TreeWorldConfig
    names : sequence of str, default=("",)
        The empty word stands for no name.
    amounts : sequence of str
        Of `FRUIT_AMOUNTS`; the empty word stands for an amount that cannot be smelled. All by
        default.

    Returns
    -------
    DriveExamples
        One for each combination.

    Raises
    ------
    ValueError
        If there is no name, no amount, or an unknown amount.

    Examples
    --------
    >>> examples = drive_examples(TreeWorldConfig(), names=["Ada"], amounts=["many fruit"])
    >>> len(examples), examples.targets[0]  # apple: wholly edible
    (16, tensor([0., 1., 0.]))
    """
    unknown = [amount for amount in amounts if amount not in ("", *FRUIT_AMOUNTS)]
    if unknown or not names or not amounts:
        raise ValueError(
            f"names and amounts must hold at least one word, and amounts only some of "
            f"{FRUIT_AMOUNTS} or '' for none, but {list(names)[:3]} … and {list(amounts)} were "
            "given."
        )
    kinds = (*config.edible_kinds, *config.poisonous_kinds)
    rows = [(kind, name, amount) for kind in kinds for name in names for amount in amounts]
    words = [word for word in dict.fromkeys((*kinds, *names, *amounts)) if word]
    vectors = embed_text_sentence_transformers(words, config.embedding_model)
    vector_of = dict(zip(words, vectors, strict=True)) | {"": torch.zeros_like(vectors[0])}
    senses = [
        torch.stack([vector_of[word] for word in column]) for column in zip(*rows, strict=True)
    ]
    value_of = {word: i / (len(FRUIT_AMOUNTS) - 1) for i, word in enumerate(FRUIT_AMOUNTS)}
    values = torch.tensor([value_of.get(amount, 1.0) for _, _, amount in rows])
    poisonous = torch.tensor([kind in config.poisonous_kinds for kind, _, _ in rows])
    targets = torch.stack([values * poisonous, values * ~poisonous, 1 - values], dim=-1)
    return DriveExamples(
        senses[0] + senses[1] + senses[2], targets, poisonous, *zip(*rows, strict=True)
    )


@dataclass(frozen=True)
class DriveSplit:
    """Which words a classifier may see in training, and which are kept for later.

    Attributes
    ----------
    train_names, calibration_names, test_names : tuple of str
        Three fifths, one fifth and one fifth of the names.
    train_amounts, held_out_amounts : tuple of str
        Three and two of the amounts.
    """

    train_names: tuple[str, ...]
    calibration_names: tuple[str, ...]
    test_names: tuple[str, ...]
    train_amounts: tuple[str, ...]
    held_out_amounts: tuple[str, ...]

    @classmethod
    def random_from_config(cls, config: TreeWorldConfig, seed: SeedLike) -> Self:
        """Draw a split.

        Parameters
        ----------
        config : TreeWorldConfig
            With at least five names.
        seed : int or torch.Generator

        Returns
        -------
        DriveSplit
        """
        if len(config.tree_ids) < 5:
            raise ValueError(
                "to hold names out takes at least 5 of them, but tree_ids holds "
                f"{len(config.tree_ids)}. Give more names, or train with with_ids=False."
            )
        generator = make_generator(seed)
        order = torch.randperm(len(config.tree_ids), generator=generator).tolist()
        fifth = len(order) // 5
        train, calibration, test = (
            tuple(config.tree_ids[i] for i in part)
            for part in (order[2 * fifth :], order[fifth : 2 * fifth], order[:fifth])
        )
        amounts = torch.randperm(len(FRUIT_AMOUNTS), generator=generator).tolist()
        seen, held_out = (
            tuple(FRUIT_AMOUNTS[i] for i in sorted(part)) for part in (amounts[2:], amounts[:2])
        )
        return cls(train, calibration, test, seen, held_out)


def train_drive_classifier(
    config: TreeWorldConfig, with_ids: bool = True, seed: SeedLike = 0
) -> tuple[DriveClassifier, dict[str, int]]:
    """Learn to tell poison, food and neither by their smell.

    Parameters
    ----------
    config : TreeWorldConfig
    with_ids : bool, default=True
        Whether to add the names of trees. Then the names and amounts of
        ``DriveSplit.random_from_config(config, seed)`` are held out, and the certainty of the
        classifier is fitted on held-out names. Without, it learns from kinds and amounts alone,
        as the source does; poisonous trees with names are then often taken for food.
    seed : int or torch.Generator, default=0
        Decides what is held out. The training itself has one best end and no chance in it.

    Returns
    -------
    classifier : DriveClassifier
    drive_keys : dict of str to int
        Classes of "poison", "edible" and "neutral".

    Examples
    --------
    >>> classifier, keys = train_drive_classifier(TreeWorldConfig(), with_ids=True)
    >>> apple = embed_text_sentence_transformers("apple")
    >>> bool(classifier(apple).argmax() == keys["edible"])
    True
    """
    if not with_ids:
        examples = drive_examples(config)
        return fit_drives(examples.senses, examples.targets), dict(DRIVES)
    split = DriveSplit.random_from_config(config, seed)
    seen = ("", *split.train_amounts)
    examples = drive_examples(config, ("", *split.train_names), seen)
    classifier = fit_drives(examples.senses, examples.targets)
    later = drive_examples(config, split.calibration_names)
    classifier.calibrate(later.senses, later.targets)
    return classifier, dict(DRIVES)


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


def count_confusions(classifier: DriveClassifier, examples: DriveExamples) -> Confusions:
    """Count the verdicts that would harm: poison called edible, and the reverse.

    Parameters
    ----------
    classifier : DriveClassifier
        With the classes of `DRIVES`.
    examples : DriveExamples

    Returns
    -------
    Confusions
    """
    verdicts = classifier(examples.senses).argmax(dim=-1)
    poisonous = examples.is_poisonous
    return Confusions(
        int((poisonous & (verdicts == DRIVES["edible"])).sum()),
        int(poisonous.sum()),
        int((~poisonous & (verdicts == DRIVES["poison"])).sum()),
        int((~poisonous).sum()),
    )


# --- learning ------------------------------------------------------------------------------------


def fit_drives(
    senses: PointsLike, targets: PointsLike, penalty: float = PENALTY, max_steps: int = 500
) -> DriveClassifier:
    r"""Fit drive embeddings to examples.

    .. math::

        \min_Y \; -\frac1n \sum_i \sum_m p_{im} \log \operatorname{softmax}_m (Y z_i)
        + \frac\lambda2 \lVert Y \rVert^2

    is convex and has one minimum, which L-BFGS finds in double precision.

    Parameters
    ----------
    senses : array_like of shape (n, sensory_dim)
    targets : array_like of shape (n, num_drives)
        Probabilities :math:`p_{im}`; each row sums to one.
    penalty : float, default=3e-4
        :math:`\lambda`, positive.
    max_steps : int, default=500

    Returns
    -------
    DriveClassifier

    Raises
    ------
    ValueError
        If shapes do not fit, rows of targets do not sum to one, or the penalty is not positive.
    """
    values, wanted = (
        torch.as_tensor(array).to(torch.float64, copy=True) for array in (senses, targets)
    )
    if values.ndim != 2 or wanted.ndim != 2 or len(values) != len(wanted) or len(values) == 0:
        raise ValueError(
            "senses and targets must have shapes (n, sensory_dim) and (n, num_drives), but shapes "
            f"{tuple(values.shape)} and {tuple(wanted.shape)} were given."
        )
    sums = wanted.sum(dim=-1)
    if not bool(((sums - 1).abs() < 1e-4).all()) or bool((wanted < 0).any()):
        raise ValueError(
            "each row of targets must hold probabilities that sum to one, but sums from "
            f"{float(sums.min()):.4g} to {float(sums.max()):.4g} were given."
        )
    if not penalty > 0:
        raise ValueError(f"penalty must be positive, or there is no best end, not {penalty}.")
    weight = torch.zeros(wanted.shape[1], values.shape[1], dtype=torch.float64, requires_grad=True)
    _minimise(
        weight,
        lambda: _cross_entropy(values @ weight.mT, wanted) + 0.5 * penalty * weight.square().sum(),
        max_steps,
    )
    classifier = DriveClassifier(values.shape[1], wanted.shape[1])
    classifier.drive_embeddings.weight.data = weight.detach().to(torch.float32)
    return classifier


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -(targets * logits.log_softmax(dim=-1)).sum(dim=-1).mean()


def _minimise(variable: torch.Tensor, loss: Any, max_steps: int = 100) -> None:
    optimiser = torch.optim.LBFGS(
        [variable], max_iter=max_steps, history_size=20, tolerance_grad=1e-8,
        tolerance_change=1e-12, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> float:
        optimiser.zero_grad()
        with torch.enable_grad():
            value = loss()
            value.backward()
        return float(value.detach())

    optimiser.step(closure)


class DriveEstimator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The same model with the manners of scikit-learn: logistic regression without an intercept.

    A smell of nothing carries no evidence, so there is no intercept that could prefer a drive.

    Parameters
    ----------
    penalty : float, default=3e-4
        See `fit_drives`.
    max_steps : int, default=500

    Attributes
    ----------
    classes_ : numpy.ndarray
    classifier_ : DriveClassifier
    n_features_in_ : int

    Examples
    --------
    >>> estimator = DriveEstimator().fit([[1.0, 0.0], [0.0, 1.0]], ["poison", "edible"])
    >>> estimator.predict([[0.1, 2.0]])
    array(['edible'], dtype='<U6')
    """

    def __init__(self, penalty: float = PENALTY, max_steps: int = 500) -> None:
        self.penalty = penalty
        self.max_steps = max_steps

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to smells of shape (n, sensory_dim) and their classes."""
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"a classifier needs at least 2 classes, but y holds {len(self.classes_)} class."
            )
        targets = np.eye(len(self.classes_))[numbers]
        self.classifier_ = fit_drives(X, targets, self.penalty, self.max_steps)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, of shape (n, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return np.asarray(self.classifier_(X).double().numpy())

    def predict(self, X: Any) -> np.ndarray:
        """Most probable classes, of shape (n,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])
