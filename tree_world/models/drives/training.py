"""Learning what smells are worth."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch

from tree_world.checks import PointsLike, SeedLike, positive_number, whole_number
from tree_world.models.drives.classifier import DRIVES, DriveClassifier
from tree_world.models.drives.examples import DriveSplit, as_examples, drive_examples
from tree_world.optional import convergence_warning
from tree_world.simulation import TreeWorldConfig

PENALTY = 3e-4
"""Default weight of the squared norm of the drive embeddings in their training."""

_LOSS_TOLERANCE = 1e-5


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
    >>> from tree_world.embeddings import embed_text_sentence_transformers
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
    values, wanted = as_examples(senses, targets)
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
            convergence_warning(),
            stacklevel=2,
        )
    classifier = DriveClassifier(values.shape[1], wanted.shape[1])
    with torch.inference_mode(False):
        classifier.drive_embeddings.weight.data = found
    return classifier


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -(targets * logits.log_softmax(dim=-1)).sum(dim=-1).mean()


def _minimise(
    variable: torch.Tensor, loss: Callable[[], torch.Tensor], max_steps: int
) -> torch.Tensor:
    """Bring `variable` to where `loss` is least; return the gradient there."""
    optimiser = torch.optim.LBFGS(
        [variable],
        max_iter=max_steps,
        history_size=20,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return float(value.detach())

    optimiser.step(closure)
    (gradient,) = torch.autograd.grad(loss(), variable)
    return gradient
