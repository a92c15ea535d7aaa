"""The drives with the manners of scikit-learn, which the extra ``learn`` installs."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tree_world.models.drives.training import PENALTY, fit_drives
from tree_world.optional import from_extra

with from_extra("learn", "DriveEstimator"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data


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
