"""The mathematics of the memory once more, in double precision, as plain as it is written."""

import math

import numpy as np


def log_affinity(place, sd, location, location_sd):
    total = 0.0
    for x, s, y, t in zip(place, sd, location, location_sd, strict=True):
        variance = s * s + t * t
        total -= 0.5 * ((x - y) ** 2 / variance + math.log(variance) + math.log(2 * math.pi))
    return total


def log_affinities(place, sd, locations, location_sds):
    """That of one place to all locations."""
    variances = sd**2 + location_sds**2
    terms = (place - locations) ** 2 / variances + np.log(variances) + math.log(2 * math.pi)
    return -0.5 * terms.sum(axis=1)


def within(place, locations, match_threshold):
    """Which locations count, and how far each is, to the last digit: some may be on the rim."""
    place = place.tolist()
    distances = np.array([math.dist(place, location) for location in locations.tolist()])
    if match_threshold is None:
        return np.arange(len(locations)), distances
    kept = np.flatnonzero(distances <= match_threshold)
    return kept, distances[kept]


def read(places, sds, locations, location_sds, senses, match_threshold=None):
    """Mean, effective sample size, spread and nearest distance of every place."""
    arrays = (places, sds, locations, location_sds, senses)
    places, sds, locations, location_sds, senses = (np.asarray(a, dtype=np.float64) for a in arrays)
    results = []
    for place, sd in zip(places, sds, strict=True):
        kept, distances = within(place, locations, match_threshold)
        if not len(kept):
            results.append((np.zeros(senses.shape[1]), 0.0, math.inf, math.inf))
            continue
        affinities = log_affinities(place, sd, locations[kept], location_sds[kept])
        weights = np.exp(affinities - affinities.max())
        weights /= weights.sum()
        mean = weights @ senses[kept]
        variance = weights @ ((senses[kept] - mean) ** 2).sum(axis=1)
        results.append(
            (mean, 1 / (weights**2).sum(), math.sqrt(max(variance, 0.0)), distances.min())
        )
    return [np.array(column) for column in zip(*results, strict=True)]


def read_linear(places, sds, locations, location_sds, senses, ridge, match_threshold=None):
    """Value at the place of a plane through the neighbourhood, by ridge regression."""
    arrays = (places, sds, locations, location_sds, senses)
    places, sds, locations, location_sds, senses = (np.asarray(a, dtype=np.float64) for a in arrays)
    means = []
    for place, sd in zip(places, sds, strict=True):
        rows, _ = within(place, locations, match_threshold)
        if not len(rows):
            means.append(np.zeros(senses.shape[1]))
            continue
        affinities = log_affinities(place, sd, locations[rows], location_sds[rows])
        weights = np.exp(affinities - affinities.max())
        weights /= weights.sum()
        steps = locations[rows] - place
        values = senses[rows]
        centre, level = weights @ steps, weights @ values
        shifted = steps - centre
        kernel = sd**2 + weights @ location_sds[rows] ** 2
        # Minimise Σ w ‖z − level − shifted·B‖² + ‖√(ridge · kernel) B‖² over the slopes B.
        left = (shifted * weights[:, None]).T @ shifted + np.diag(ridge * kernel)
        right = (shifted * weights[:, None]).T @ (values - level)
        slopes = np.linalg.solve(left, right)
        means.append(level - centre @ slopes)
    return np.array(means)
