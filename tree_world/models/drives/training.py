"""Drives: what a smell is worth to the agent, and how sure it may be."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.optimize
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tree_world.checks import (
    PointsLike,
    SeedLike,
    WrongKind,
    as_numbers,
    as_senses,
    make_generator,
    positive_number,
    whole_number,
)
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.precision import without_autocast
from tree_world.simulation import TreeWorldConfig
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS

DRIVES = {"poison": 0, "edible": 1, "neutral": 2}
"""Names of the drives, which exclude each other, and their classes."""

PENALTY = 3e-4
"""Default weight of the squared norm of the drive embeddings in their training."""

TEMPERATURES = (0.05, 20.0)
"""Least and greatest temperature by which `DriveClassifier.calibrate` divides at once."""

_LOSS_TOLERANCE = 1e-5


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
        values, wanted = _as_examples(senses, targets, self.sensory_dim, len(weight))
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
    TypeError
        If names or amounts are one string instead of a sequence of them.
    ValueError
        If there is no name, no amount, or an unknown amount.

    Examples
    --------
    >>> examples = drive_examples(TreeWorldConfig(), names=["Ada"], amounts=["many fruit"])
    >>> len(examples), examples.targets[0]  # apple: wholly edible
    (16, tensor([0., 1., 0.]))
    """
    for argument, given in (("names", names), ("amounts", amounts)):
        if isinstance(given, str):
            raise TypeError(f"{argument} must be a sequence of words, for example [{given!r}].")
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
    values = torch.tensor([value_of.get(amount, 1.0) for _, _, amount in rows], dtype=torch.float32)
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
        Three and two of the amounts. Calibration, too, meets the three alone.
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

    @property
    def met_amounts(self) -> tuple[str, ...]:
        """Amounts that training meets: three words, and none where the amount is not smelled."""
        return ("", *self.train_amounts)

    def train_examples(self, config: TreeWorldConfig) -> DriveExamples:
        """Examples to learn from: trees without a name or with one to train on, met amounts."""
        return drive_examples(config, ("", *self.train_names), self.met_amounts)

    def calibration_examples(self, config: TreeWorldConfig) -> DriveExamples:
        """Examples to calibrate with: names kept for that, met amounts; nothing held out."""
        return drive_examples(config, self.calibration_names, self.met_amounts)

    def test_examples(
        self, config: TreeWorldConfig, amounts: Sequence[str] = ("", *FRUIT_AMOUNTS)
    ) -> DriveExamples:
        """Examples to test with: names that were kept for it, and all amounts or some."""
        return drive_examples(config, self.test_names, amounts)


def train_drive_classifier(
    config: TreeWorldConfig,
    with_ids: bool = True,
    seed: SeedLike = 0,
    calibrated: bool = False,
) -> tuple[DriveClassifier, dict[str, int]]:
    """Learn to tell poison, food and neither by their smell.

    Parameters
    ----------
    config : TreeWorldConfig
    with_ids : bool, default=True
        Whether to add the names of trees. Then the names and amounts of
        ``DriveSplit.random_from_config(config, seed)`` are held out. Without, it learns from kinds
        and amounts alone, as the source does; poisonous trees with names are then often taken for
        food.
    seed : int or torch.Generator, default=0
        Decides what is held out. The training itself has one best end and no chance in it.
    calibrated : bool, default=False
        Whether to fit a temperature to the `DriveSplit.calibration_examples`: names that were not
        trained on, with the amounts that were. It sharpens the claims a little (temperatures from
        0.7 to 0.95). That helps hardly where the amounts are known, and makes wrong guesses about
        new amounts worse, so it is off by default. Only with `with_ids`.

    Returns
    -------
    classifier : DriveClassifier
    drive_keys : dict of str to int
        Classes of "poison", "edible" and "neutral".

    Raises
    ------
    ValueError
        If there are too few names to hold some out, or `calibrated` is asked for without names.

    Examples
    --------
    >>> classifier, keys = train_drive_classifier(TreeWorldConfig(), with_ids=True)
    >>> apple = embed_text_sentence_transformers("apple")
    >>> bool(classifier(apple).argmax() == keys["edible"])
    True
    """
    if not with_ids:
        if calibrated:
            raise ValueError(
                "calibrated=True needs with_ids=True: without names all examples are trained on, "
                "and none is left to calibrate with."
            )
        examples = drive_examples(config)
        return fit_drives(examples.senses, examples.targets), dict(DRIVES)
    split = DriveSplit.random_from_config(config, seed)
    examples = split.train_examples(config)
    classifier = fit_drives(examples.senses, examples.targets)
    if calibrated:
        later = split.calibration_examples(config)
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


# --- learning ------------------------------------------------------------------------------------


def fit_drives(
    senses: PointsLike, targets: PointsLike, penalty: float = PENALTY, max_steps: int = 500
) -> DriveClassifier:
    r"""Fit drive embeddings to examples.

    .. math::

        \min_Y \; -\frac1n \sum_i \sum_m p_{im} \log \operatorname{softmax}_m (Y z_i)
        + \frac\lambda2 \lVert Y \rVert^2

    is strictly convex and has one minimum, which L-BFGS finds in double precision, on the CPU.

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
        In single precision.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not finite, rows of targets are not probabilities, the
        penalty is not positive and finite, or `max_steps` is not a whole number of at least one.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If after `max_steps` the loss may still lie more than 10⁻⁵ above its least value.
    """
    values, wanted = _as_examples(senses, targets)
    penalty = positive_number("penalty", penalty)  # without one there is no best end
    steps = whole_number("max_steps", max_steps, 1)
    with torch.inference_mode(False), torch.enable_grad():
        weight = torch.zeros(
            wanted.shape[1], values.shape[1], dtype=torch.float64, requires_grad=True
        )
        gradient = _minimise(
            weight,
            lambda: (
                _cross_entropy(values @ weight.mT, wanted) + 0.5 * penalty * weight.square().sum()
            ),
            steps,
        )
        found = weight.detach().to(torch.float32)
    # A loss that curves by at least the penalty lies at most this far above its minimum.
    above = float(gradient.square().sum()) / (2 * penalty)
    if not (math.isfinite(above) and bool(torch.isfinite(found).all())):
        raise ValueError(
            f"senses go up to {float(values.abs().max()):.3g}, too far for their products to be "
            "summed. Bring them to the scale of one."
        )
    if above > _LOSS_TOLERANCE:
        warnings.warn(
            f"the fit stopped before its minimum: after max_steps={steps} the loss may be up to "
            f"{above:.2g} too high. Raise max_steps or penalty, or bring senses to one scale.",
            ConvergenceWarning,
            stacklevel=2,
        )
    classifier = DriveClassifier(values.shape[1], wanted.shape[1])
    with torch.inference_mode(False):
        classifier.drive_embeddings.weight.data = found
    return classifier


def _as_examples(
    senses: PointsLike,
    targets: PointsLike,
    sensory_dim: int | None = None,
    num_drives: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check smells and the probabilities that belong to them; copy both in double precision."""
    with torch.inference_mode(False):
        values, wanted = (
            as_numbers(array, name, torch.float64).detach().clone()
            for name, array in (("senses", senses), ("targets", targets))
        )
    fits = values.ndim == wanted.ndim == 2 and len(values) == len(wanted)
    fits = fits and values.numel() > 0 and wanted.numel() > 0
    fits = fits and sensory_dim in (None, values.shape[1]) and num_drives in (None, wanted.shape[1])
    if not fits:
        raise ValueError(
            "senses and targets must have shapes "
            f"(n, {sensory_dim or 'sensory_dim'}) and (n, {num_drives or 'num_drives'}), n at "
            f"least 1, but shapes {tuple(values.shape)} and {tuple(wanted.shape)} were given."
        )
    for name, array in (("senses", values), ("targets", wanted)):
        if not bool(torch.isfinite(array).all()):
            row, column = torch.nonzero(~torch.isfinite(array))[0].tolist()
            raise ValueError(
                f"{name} must be finite, but entry [{row}, {column}] is "
                f"{float(array[row, column])}. Remove or repair such examples."
            )
    sums = wanted.sum(dim=-1)
    if bool(((sums - 1).abs() > 1e-4).any()) or bool((wanted < 0).any()):
        raise ValueError(
            "each row of targets must hold probabilities, none negative, that sum to one, but "
            f"sums from {float(sums.min()):.4g} to {float(sums.max()):.4g} and entries down to "
            f"{float(wanted.min()):.4g} were given."
        )
    return values, wanted


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -(targets * logits.log_softmax(dim=-1)).sum(dim=-1).mean()


def _minimise(
    variable: torch.Tensor, loss: Callable[[], torch.Tensor], max_steps: int
) -> torch.Tensor:
    """Bring `variable` to where `loss` is least; return the gradient there."""
    optimiser = torch.optim.LBFGS(
        [variable], max_iter=max_steps, history_size=20, tolerance_grad=1e-8,
        tolerance_change=1e-12, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> float:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return float(value.detach())

    optimiser.step(closure)
    (gradient,) = torch.autograd.grad(loss(), variable)
    return gradient


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
        ConvergenceWarning,
        stacklevel=3,
    )
    return best


class DriveEstimator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The same model with the manners of scikit-learn: logistic regression without an intercept.

    A smell of nothing carries no evidence, so there is no intercept that could prefer a drive.

    Parameters
    ----------
    penalty : float, default=3e-4
        See `fit_drives`.
    max_steps : int, default=500
        See `fit_drives`, which also says when it warns.

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
        classes, numbers = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"a classifier needs at least 2 classes, but y holds {len(classes)} class."
            )
        targets = np.eye(len(classes))[numbers]
        classifier = fit_drives(X, targets, self.penalty, self.max_steps)
        self.__dict__.update(classes_=classes, classifier_=classifier)  # both, whatever interrupts
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
