"""Fewer numbers for a sense: projection onto the directions in which senses differ."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from tree_world.optional import from_extra
from tree_world.precision import without_autocast

if TYPE_CHECKING:
    from sklearn.decomposition import IncrementalPCA


class Projection:
    r"""An affine map from senses to shorter embeddings, and back.

    .. math:: e = (z - \mu) C^\top, \qquad \hat z = \mu + e \, (C^\top)^{+}

    With principal components :math:`C` has orthonormal rows and the pseudo-inverse is :math:`C`.

    Parameters
    ----------
    matrix : torch.Tensor of shape (embed_dim, sensory_dim)
        C, of full rank.
    mean : torch.Tensor of shape (sensory_dim,), optional
        :math:`\mu`; zeros by default. Both are copied.

    Raises
    ------
    ValueError
        If the matrix is not of full rank, or shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> projection = Projection.from_senses(torch.randn(50, 8), embed_dim=8)
    >>> senses = torch.randn(3, 8)
    >>> torch.allclose(projection.decode(projection.encode(senses)), senses, atol=1e-4)
    True
    """

    @without_autocast
    def __init__(self, matrix: torch.Tensor, mean: torch.Tensor | None = None) -> None:
        if matrix.ndim != 2 or len(matrix) > matrix.shape[1]:
            raise ValueError(
                "a projection needs a matrix of shape (embed_dim, sensory_dim) with embed_dim at "
                f"most sensory_dim, but one of shape {tuple(matrix.shape)} was given."
            )
        if mean is not None and mean.shape != matrix.shape[1:]:
            raise ValueError(
                f"the mean must have shape {tuple(matrix.shape[1:])}, not {tuple(mean.shape)}."
            )
        with torch.inference_mode(False):  # what is made in that mode takes part in no gradient
            matrix = matrix.detach().clone()
            mean = matrix.new_zeros(matrix.shape[1]) if mean is None else mean.detach().clone()
        if not bool(torch.isfinite(matrix).all() and torch.isfinite(mean).all()):
            raise ValueError("a projection needs finite numbers, but some are not.")
        if int(torch.linalg.matrix_rank(matrix)) < len(matrix):
            raise ValueError(
                f"the matrix of shape {tuple(matrix.shape)} has not full rank, so that senses "
                "would be lost twice. Remove dependent rows."
            )
        self.matrix = matrix
        self.mean = mean
        with torch.inference_mode(False):
            self.inverse = torch.linalg.pinv(matrix).mT
        self._pca: IncrementalPCA | None = None

    @classmethod
    def from_senses(cls, senses: torch.Tensor, embed_dim: int) -> Projection:
        """Fit principal components.

        Parameters
        ----------
        senses : torch.Tensor of shape (n, sensory_dim)
            At least `embed_dim` of them.
        embed_dim : int
            How many components to keep.

        Returns
        -------
        Projection

        Raises
        ------
        ValueError
            If there are too few senses.
        ModuleNotFoundError
            If scikit-learn is not installed.
        """
        if len(senses) < embed_dim:
            raise ValueError(
                f"principal components of {embed_dim} dimensions need at least as many senses, but "
                f"{len(senses)} were given. Fit the projection on more of them first."
            )
        with from_extra("learn", "a projection that is fitted"):
            from sklearn.decomposition import IncrementalPCA

        values = senses.detach().cpu().double().numpy()
        with np.errstate(invalid="ignore", divide="ignore"):  # shares of a variance that is none
            pca = IncrementalPCA(embed_dim).fit(values)
        return cls._of(pca, senses)

    @classmethod
    def _of(cls, pca: IncrementalPCA, like: torch.Tensor) -> Projection:
        matrix, mean = (
            torch.from_numpy(np.ascontiguousarray(array)).to(like.device, like.dtype)
            for array in (pca.components_, pca.mean_)
        )
        projection = cls(matrix, mean)
        projection._pca = pca
        return projection

    def updated(self, senses: torch.Tensor) -> Projection:
        """Fit more senses, and give the new projection; this one stays as it is.

        Parameters
        ----------
        senses : torch.Tensor of shape (n, sensory_dim)
            At least as many as there are components.

        Returns
        -------
        Projection

        Raises
        ------
        ValueError
            If this projection was given as a matrix, which cannot learn, or there are too few
            senses.
        """
        if self._pca is None:
            raise ValueError("a projection that was given as a matrix cannot be fitted further.")
        if len(senses) < len(self.matrix):
            raise ValueError(
                f"principal components of {len(self.matrix)} dimensions learn from at least as "
                f"many senses, but {len(senses)} were given. Collect more of them first."
            )
        pca = copy.deepcopy(self._pca)
        values = senses.detach().cpu().double().numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            pca.partial_fit(values)
        return self._of(pca, senses)

    @without_autocast
    def encode(self, senses: torch.Tensor) -> torch.Tensor:
        """Shorten senses of shape (..., sensory_dim) to (..., embed_dim)."""
        return torch.matmul(senses - self.mean, self.matrix.mT)

    @without_autocast
    def decode(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Give back the senses, of shape (..., sensory_dim), as far as they were kept."""
        return torch.add(self.mean, embeddings @ self.inverse)

    def variance_kept(self, senses: torch.Tensor) -> float:
        """Share of the variance of senses of shape (n, sensory_dim) that survives, from 0 to 1.

        Of senses that are all alike, 1: they do not vary, so nothing of that is lost.
        """
        precise = self.to(self.matrix.device, torch.float64)
        senses = senses.detach().to(precise.matrix)
        around = senses - senses[:1]  # exactly zero where all are alike
        around = around - around.mean(dim=0)
        lost = senses - precise.decode(precise.encode(senses))
        whole = float(around.square().sum())
        return 1.0 - float(lost.square().sum()) / whole if whole > 0 else 1.0

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Projection:
        """Give the same projection on another device, or in another precision."""
        moved = Projection(self.matrix.to(device, dtype), self.mean.to(device, dtype))
        moved._pca = self._pca
        return moved


_NOTHING = 1e-10  # share of the greatest mean square, below which an axis holds nothing


def needed_axes(senses: torch.Tensor) -> torch.Tensor:
    """Find as many axes as senses need, so that distances between them stay what they are.

    What is sensed among a few dozen trees has a few dozen dimensions, whatever it is written in.

    Parameters
    ----------
    senses : torch.Tensor of shape (n, sensory_dim)

    Returns
    -------
    torch.Tensor of shape (sensory_dim, n_axes), of double precision
        Orthonormal columns; at least one. Multiply senses by it.

    Examples
    --------
    >>> needed_axes(torch.tensor([[3.0, 4.0, 0.0], [6.0, 8.0, 0.0]])).shape
    torch.Size([3, 1])
    """
    senses = senses.detach().cpu()
    products = torch.zeros((senses.shape[1], senses.shape[1]), dtype=torch.float64)
    for part in senses.split(8192):  # all at once in double precision would be as large again
        part = part.double()
        products += part.mT @ part
    values: torch.Tensor
    axes: torch.Tensor
    values, axes = torch.linalg.eigh(products)
    needed = values > _NOTHING * values[-1]
    needed[-1] = True
    return axes[:, needed]
