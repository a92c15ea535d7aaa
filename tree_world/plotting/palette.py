"""Smells as colours: like smells mostly have like hues, strength says how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch, Rectangle

from tree_world.optional import from_extra
from tree_world.plotting.panels import legend_under_figure
from tree_world.plotting.style import (
    ANEW,
    PAPER,
    as_array,
    unknown_patch,
    when_columns_change,
    when_paper_changes,
)
from tree_world.simulation import TreeWorld

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class ScentPalette:
    r"""Colours for scents: hue and chroma say which, nearness to the paper says how little.

    The directions :math:`z / \lVert z \rVert` of the given scents span a plane of greatest variance
    (two principal components). That plane is laid onto the plane of colours of equal lightness in
    OKLab [1]_, so that similar scents get similar colours, and a mixture of two scents a colour
    between theirs, grey at the middle. The strength :math:`1 - e^{-1.5 \lVert z \rVert / z_0}`,
    with :math:`z_0` the mean norm of the given scents, blends the colour into the paper.

    Parameters
    ----------
    scents : array_like of shape (n_scents, embed_dim)
        What to tell apart, at full strength.

    Attributes
    ----------
    plane : numpy.ndarray of float64, of shape (2, embed_dim)
        The two principal directions, by which a unit vector comes to the plane.
    offset : numpy.ndarray of float64, of shape (2,)
        Is added there, so that the mean direction of the given scents comes to the middle.
    radius : float
        Median distance from the middle; at it, chroma is 0.76 of the most.
    full_strength : float
        :math:`z_0`.

    Raises
    ------
    ValueError
        If there are fewer than three scents, or one is zero or not finite.

    References
    ----------
    .. [1] B. Ottosson, "A perceptual color space for image processing", 2020.
    """

    LIGHTNESS = 0.68
    CHROMA = 0.17
    SATURATION = 1.5

    def __init__(self, scents: ArrayLike | torch.Tensor) -> None:
        array = as_array(scents, dtype=np.float64)
        if array.ndim != 2 or len(array) < 3:
            raise ValueError(
                "a palette needs a matrix of at least three scents, but an array of shape "
                f"{array.shape} was given."
            )
        norms = np.linalg.norm(array, axis=-1)
        if not np.isfinite(array).all() or (norms == 0).any():
            raise ValueError("scents must be finite and not zero: nothing has no direction.")
        self.full_strength = float(norms.mean())
        with from_extra("plot", "a palette"):
            from sklearn.decomposition import PCA  # not above, as it takes long to import
        with np.errstate(invalid="ignore"):  # shares of a variance that may be zero; not used
            pca = PCA(n_components=2, svd_solver="full").fit(array / norms[:, None])
        self.plane = np.asarray(pca.components_)
        self.offset = -self.plane @ np.asarray(pca.mean_)
        on_plane = array / norms[:, None] @ self.plane.T + self.offset
        radius = float(np.median(np.linalg.norm(on_plane, axis=-1)))
        # Scents that are all alike have no plane: they are all as grey as a mixture of everything.
        self.radius = radius if radius > 1e-9 else 1.0

    @classmethod
    def from_world(cls, world: TreeWorld) -> Self:
        """Palette for the scents of a world's trees, each with its present amount of fruit."""
        amounts = world.fruit_amount_embeddings[world.fruit_amount_indices]
        return cls(world.embeddings + amounts)

    def strength(self, values: ArrayLike | torch.Tensor) -> np.ndarray:
        """Strength of each scent, from 0 for nothing, by 0.78 for a tree at hand, towards 1.

        Parameters
        ----------
        values : array_like of shape (n, embed_dim)

        Returns
        -------
        numpy.ndarray of shape (n,)
        """
        norms = np.linalg.norm(as_array(values, dtype=np.float64), axis=-1)
        # Saturates gently, so that the sum of many scents shows no edge where a clip would set in.
        return np.asarray(1.0 - np.exp(-self.SATURATION * norms / self.full_strength))

    def colors(self, values: ArrayLike | torch.Tensor, paper: str = PAPER) -> np.ndarray:
        """Colour of each scent, blended into the paper by its strength.

        Parameters
        ----------
        values : array_like of shape (n, embed_dim)
        paper : str, default=PAPER
            Colour of nothing.

        Returns
        -------
        numpy.ndarray of shape (n, 3)
            sRGB from 0 to 1.
        """
        array = as_array(values, dtype=np.float64)
        norms = np.linalg.norm(array, axis=-1, keepdims=True)
        plane = array / np.where(norms > 0, norms, 1.0) @ self.plane.T + self.offset
        radius = np.linalg.norm(plane, axis=-1, keepdims=True)
        chroma = self.CHROMA * np.tanh(radius / self.radius)
        hue_plane = chroma * plane / np.where(radius > 0, radius, 1.0)
        full = np.concatenate([np.full_like(radius, self.LIGHTNESS), hue_plane], axis=-1)
        nothing = srgb_to_oklab(np.array(to_rgb(paper)))
        strength = self.strength(array)[:, None]
        return oklab_to_srgb(nothing + strength * (full - nothing))


# Matrices of the OKLab colour space: from linear sRGB to cone responses, and from their cube roots
# to lightness, green-red and blue-yellow.
RGB_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
CONES_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def srgb_to_oklab(srgb: np.ndarray) -> np.ndarray:
    """Turn colours of a screen into coordinates in which distances look alike (OKLab)."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ RGB_TO_CONES.T) @ CONES_TO_LAB.T)


def oklab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """Turn coordinates of OKLab into the nearest colours that a screen has."""
    cones = (lab @ np.linalg.inv(CONES_TO_LAB).T) ** 3
    linear = np.clip(cones @ np.linalg.inv(RGB_TO_CONES).T, 0.0, 1.0)
    gamma = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, gamma))


def scent_legend(
    palette: ScentPalette, scents: Mapping[str, torch.Tensor], figure: Figure
) -> Legend:
    """Say under a figure which scent is which colour, how it fades, and what is unknown.

    Parameters
    ----------
    palette : ScentPalette
    scents : mapping of str to torch.Tensor of shape (embed_dim,)
        Scents to name; each is shown as it is, at a half and at a fifth of its strength.
    figure : matplotlib.figure.Figure

    Returns
    -------
    matplotlib.legend.Legend
    """
    shares = (1.0, 0.5, 0.2)
    samples = torch.cat(
        [torch.stack([share * scent for share in shares]) for scent in scents.values()]
    )
    patches = [Patch(facecolor=tuple(color), linewidth=0) for color in palette.colors(samples)]
    handles: list[Any] = [
        tuple(patches[start : start + len(shares)]) for start in range(0, len(patches), len(shares))
    ]
    legend = legend_under_figure(
        figure,
        [*handles, unknown_patch()],
        [*scents, "unknown"],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.0)},
        handlelength=3.0,
    )

    def prepared(legend: Legend) -> Legend:
        def repaint(paper: str) -> None:
            # The legend shows copies of the patches it was given, in their order.
            shown = legend.findobj(Rectangle)[: len(patches)]
            for patch, color in zip(shown, palette.colors(samples, paper), strict=True):
                patch.set(facecolor=tuple(color))

        when_paper_changes(legend, repaint)
        return legend

    in_columns = getattr(legend, ANEW)
    when_columns_change(legend, lambda columns: prepared(in_columns(columns)))
    return prepared(legend)
