"""What a classifier of drives learns from: smells, what they are worth, and who sees which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

from tree_world.checks import PointsLike, SeedLike, as_numbers, make_generator
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.simulation import TreeWorldConfig
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS


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


def as_examples(
    senses: PointsLike,
    targets: PointsLike,
    sensory_dim: int | None = None,
    num_drives: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check smells and the probabilities that belong to them; copy both in double precision.

    Parameters
    ----------
    senses : array_like of shape (n, sensory_dim)
    targets : array_like of shape (n, num_drives)
        Probabilities; each row sums to one.
    sensory_dim, num_drives : int, optional
        What is expected; anything by default.

    Returns
    -------
    senses, targets : torch.Tensor of double precision

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not finite, or a row of targets does not hold
        probabilities.
    """
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
