// A read: the mean of what was observed, weighted by the kernel of uncertain places.
import { sum } from "./numbers.mjs";

/** Logarithm of the kernel between two places of the plane, with the deviations of both. */
export function logAffinity(query, querySd, place, placeSd) {
  const variance = querySd * querySd + placeSd * placeSd;
  const [x, y] = [query[0] - place[0], query[1] - place[1]];
  return -0.5 * ((x * x + y * y) / variance + 2 * Math.log(2 * Math.PI * variance));
}

/**
 * Weights of all observations for a place, or null where none is within the threshold.
 * `sds` is one deviation for all, or one for each.
 */
export function weightsAt(query, querySd, places, sds, threshold = Infinity) {
  const logs = places.map((place, i) => {
    const [x, y] = [query[0] - place[0], query[1] - place[1]];
    return x * x + y * y > threshold * threshold ? -Infinity : logAffinity(query, querySd, place, sds[i] ?? sds);
  });
  const largest = Math.max(...logs);
  if (largest === -Infinity) return null;
  const weights = logs.map((log) => Math.exp(log - largest));
  const total = sum(weights);
  return weights.map((weight) => weight / total);
}

/** The weighted mean of rows of numbers. */
export function meanOf(weights, rows) {
  const mean = new Array(rows[0].length).fill(0);
  weights.forEach((weight, i) => {
    if (weight === 0) return;
    const row = rows[i];
    for (let j = 0; j < mean.length; j += 1) mean[j] += weight * row[j];
  });
  return mean;
}

/** What is read at a place: weights and their mean, or null where nothing is known. */
export function readAt(query, querySd, places, sds, senses, threshold = Infinity) {
  const weights = weightsAt(query, querySd, places, sds, threshold);
  return weights && { weights, mean: meanOf(weights, senses) };
}

/** Of how many observations of equal weight a mean would be as broad. */
export const effectiveNumber = (weights) => sum(weights) ** 2 / sum(weights.map((weight) => weight * weight));

/** What it smells of at a place, as `SimpleSensor.sense` says. */
export function smellAt([x, y], trees) {
  const smell = new Array(trees.scents[0].length).fill(0);
  trees.places.forEach(([treeX, treeY], i) => {
    const squared = (x - treeX) ** 2 + (y - treeY) ** 2;
    const strength = Math.exp(-squared / (2 * trees.diffusion_time));
    const perceived = Math.sqrt(squared) <= trees.can_see_fruit_distance ? strength : 0;
    for (let j = 0; j < smell.length; j += 1) smell[j] += strength * trees.scents[i][j] + perceived * trees.amount_scents[i][j];
  });
  return smell;
}
