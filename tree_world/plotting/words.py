"""Words, and how alike they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from tree_world.plotting.style import POISONOUS, TEXT_WIDTH, as_array


def plot_similarity(
    words: Sequence[str],
    embeddings: torch.Tensor,
    ax: Axes | None = None,
    *,
    emphasis: Collection[str] = (),
    title: str | None = None,
) -> Axes:
    """Draw the cosines between the embeddings of words as a matrix.

    Parameters
    ----------
    words : sequence of str
    embeddings : torch.Tensor of shape (n_words, embed_dim)
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    emphasis : collection of str, optional
        Words to write in the colour of poison.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not one embedding for each word.
    """
    if embeddings.ndim != 2 or len(embeddings) != len(words):
        raise ValueError(
            "a matrix of similarities needs one embedding for each word, but "
            f"{len(words)} words and embeddings of shape {tuple(embeddings.shape)} were given."
        )
    if ax is None:
        _, ax = plt.subplots(figsize=(0.86 * TEXT_WIDTH, 0.74 * TEXT_WIDTH))
    unit = torch.nn.functional.normalize(embeddings, dim=-1)
    cosines = as_array(unit @ unit.T)
    between = cosines[~np.eye(len(words), dtype=bool)]
    # The ones on the diagonal say nothing: leave them to the paper and the range to the rest.
    shown = np.where(np.eye(len(words), dtype=bool), np.nan, cosines)
    image = ax.imshow(shown, vmin=min(0.0, between.min()), vmax=between.max())
    ax.set_xticks(range(len(words)), words, rotation=90)
    ax.set_yticks(range(len(words)), words)
    for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        if label.get_text() in emphasis:
            label.set(color=POISONOUS, weight=600)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.7, aspect=28, pad=0.03)
    bar.set_label("cosine")
    bar.outline.set_visible(False)
    if title is not None:
        ax.set_title(title)
    return ax
