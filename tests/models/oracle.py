"""The mathematics of the memory once more, in double precision, by plain loops over pairs."""

import math

import numpy as np


def log_affinity(place, sd, location, location_sd):
    total = 0.0
    for x, s, y, t in zip(place, sd, location, location_sd, strict=True):
        variance = s * s + t * t
        total -= 0.5 * ((x - y) ** 2 / variance + math.log(variance) + math.log(2 * math.pi))
    return total


def read(places, sds, locations, location_sds, senses, match_threshold=None):
    """Mean, effective sample size, spread and nearest distance of every place."""
    arrays = (places, sds, locations, location_sds, senses)
    places, sds, locations, location_sds, senses = (np.asarray(a, dtype=np.float64) for a in arrays)
    results = []
    for place, sd in zip(places, sds, strict=True):
        affinities, kept, distances = [], [], []
        for index, (location, location_sd) in enumerate(zip(locations, location_sds, strict=True)):
            distance = math.dist(place, location)
            if match_threshold is None or distance <= match_threshold:
                affinities.append(log_affinity(place, sd, location, location_sd))
                kept.append(index)
                distances.append(distance)
        if not kept:
            results.append((np.zeros(senses.shape[1]), 0.0, math.inf, math.inf))
            continue
        weights = np.exp(np.array(affinities) - max(affinities))
        weights /= weights.sum()
        mean = sum(w * senses[i] for w, i in zip(weights, kept, strict=True))
        variance = sum(
            w * ((senses[i] - mean) ** 2).sum() for w, i in zip(weights, kept, strict=True)
        )
        results.append(
            (mean, 1 / (weights**2).sum(), math.sqrt(max(variance, 0.0)), min(distances))
        )
    return [np.array(column) for column in zip(*results, strict=True)]


def read_linear(places, sds, locations, location_sds, senses, ridge, match_threshold=None):
    """Value at the place of a plane through the neighbourhood, by ridge regression."""
    arrays = (places, sds, locations, location_sds, senses)
    places, sds, locations, location_sds, senses = (np.asarray(a, dtype=np.float64) for a in arrays)
    means = []
    for place, sd in zip(places, sds, strict=True):
        rows = [
            i
            for i in range(len(locations))
            if match_threshold is None or math.dist(place, locations[i]) <= match_threshold
        ]
        if not rows:
            means.append(np.zeros(senses.shape[1]))
            continue
        affinities = np.array(
            [log_affinity(place, sd, locations[i], location_sds[i]) for i in rows]
        )
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
