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

/** The same at many places, with one deviation for all: a mean for each, or null. Loops are plain, as a map has many. */
export function readMap(queries, querySd, places, sd, senses, threshold = Infinity) {
  const [number, size] = [places.length, senses[0]?.length ?? 0];
  const [flatPlaces, flatSenses] = [Float64Array.from(places.flat()), Float64Array.from(senses.flat())];
  const [scale, limit] = [-0.5 / (querySd * querySd + sd * sd), threshold * threshold];
  const squares = new Float64Array(number);
  return queries.map((query) => {
    const x = query[0], y = query[1];
    let least = Infinity;
    for (let i = 0; i < number; i += 1) {
      const dx = x - flatPlaces[2 * i], dy = y - flatPlaces[2 * i + 1];
      squares[i] = dx * dx + dy * dy;
      if (squares[i] < least) least = squares[i];
    }
    if (!(least <= limit)) return null;
    const mean = new Float64Array(size);
    let total = 0;
    for (let i = 0; i < number; i += 1) {
      const log = (squares[i] - least) * scale;
      if (squares[i] > limit || log < NEGLIGIBLE) continue;
      const weight = Math.exp(log), row = i * size;
      total += weight;
      for (let j = 0; j < size; j += 1) mean[j] += weight * flatSenses[row + j];
    }
    for (let j = 0; j < size; j += 1) mean[j] /= total;
    return mean;
  });
}
const NEGLIGIBLE = -14; // a weight of less than a millionth of the greatest is not seen

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
