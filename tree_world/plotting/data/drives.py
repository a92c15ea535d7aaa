"""Two trees whose smells mix, and what a classifier takes the mixture for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tree_world.checks import positive_distance
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.models.drives import DRIVES, DriveClassifier
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.simulation import SimpleSensor, TreeWorldConfig
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS


def drives(
    classifiers: Mapping[str, DriveClassifier],
    config: TreeWorldConfig,
    sensor: SimpleSensor,
    *,
    kinds: tuple[str, str],
    names: Sequence[str],
    amount: str,
    half_width: float = 150.0,
) -> TouchableFigure:
    r"""Tell what each word of a smell adds to the scores of some classifiers.

    A smell is a sum of words, each weaker with distance, and a score is its scalar product
    :math:`y_m \cdot z`. So the products of words hold all of a classifier that smells can show.

    Parameters
    ----------
    classifiers : mapping of str to DriveClassifier
        With three drives each, by what a reader calls them; the first is shown at first.
    config : TreeWorldConfig
        It names the kinds that can be chosen.
    sensor : SimpleSensor
        By which smells spread.
    kinds : tuple of str and str
        The edible and the poisonous kind at first.
    names : sequence of str
        That can be chosen; the first is that of the edible tree, the second of the poisonous one.
    amount : str
        Of fruit, at first; of `FRUIT_AMOUNTS`.
    half_width : float, default=150.0
        Of the map, in metres.

    Returns
    -------
    TouchableFigure
        ``words``, and ``products`` of shape (n_classifiers, n_words, 3) with poison, edible and
        neutral; ``classifiers``, ``edible_kinds``, ``poisonous_kinds``, ``names``, ``amounts``;
        ``kinds`` and ``amount``; ``diffusion_time``, ``can_see_fruit_distance``, ``half_width``.

    Raises
    ------
    ValueError
        If there is no classifier, one has other drives or another dimension, a kind or amount is
        unknown, or there are not two names.

    Examples
    --------
    >>> from tree_world.models.drives import train_drive_classifier
    >>> from tree_world.plotting import data
    >>> from tree_world.simulation import SimpleSensor, TreeWorldConfig
    >>> config = TreeWorldConfig()
    >>> classifier, _ = train_drive_classifier(config)
    >>> figure = data.drives(
    ...     {"trained": classifier}, config, SimpleSensor.from_config(config),
    ...     kinds=("fig", "manchineel"), names=("Olga", "Ada"), amount="several fruit",
    ... )
    >>> edible = figure.data["products"][0][figure.data["words"].index("fig")]
    >>> edible[1] > edible[0]
    True
    """
    if not classifiers:
        raise ValueError("the figure needs at least one classifier, but there is none.")
    if kinds[0] not in config.edible_kinds or kinds[1] not in config.poisonous_kinds:
        raise ValueError(
            "kinds must be an edible and a poisonous kind of the configuration, but are "
            f"{kinds[0]!r} and {kinds[1]!r}."
        )
    if len(set(names)) < 2:
        raise ValueError(f"names must hold at least two, one for each tree, but are {list(names)}.")
    if amount not in FRUIT_AMOUNTS:
        raise ValueError(f"amount must be one of {FRUIT_AMOUNTS}, but is {amount!r}.")
    for called, classifier in classifiers.items():
        shape = tuple(classifier.drive_embeddings.weight.shape)
        if shape != (len(DRIVES), config.sensory_embedding_dim):
            raise ValueError(
                f"classifier {called!r} must have {len(DRIVES)} drives for smells of "
                f"{config.sensory_embedding_dim} numbers, but its weight has shape {shape}."
            )
    words = list(
        dict.fromkeys([*config.edible_kinds, *config.poisonous_kinds, *names, *FRUIT_AMOUNTS])
    )
    smells = embed_text_sentence_transformers(words, config.embedding_model)
    products = torch.stack([classifier.scores(smells) for classifier in classifiers.values()])
    return TouchableFigure(
        "drives",
        {
            "classifiers": list(classifiers),
            "words": words,
            "products": rounded(products, 6),
            "edible_kinds": list(config.edible_kinds),
            "poisonous_kinds": list(config.poisonous_kinds),
            "amounts": list(FRUIT_AMOUNTS),
            "kinds": list(kinds),
            "names": list(names),
            "amount": amount,
            "diffusion_time": sensor.diffusion_time,
            "can_see_fruit_distance": sensor.can_see_fruit_distance,
            "half_width": positive_distance("half_width", half_width),
        },
    )
