// Bias and variance of reads along a line, by bandwidth, noise and number of observations.
import { Panel } from "./toolkit/canvas.mjs";
import { figure } from "./toolkit/figure.mjs";
import { dot } from "./toolkit/numbers.mjs";
import { smellAt } from "./toolkit/reading.mjs";

const NEGLIGIBLE = -20; // logarithm of a weight, beside the greatest
const NEAR = 8; // metres from the line within which observations are drawn
const [BIAS, NOISE] = ["clay", "series0"];

/** What was smelled, without noise, and what there is to smell on the line. */
export function prepare(data) {
  const [smells, truths] = [data.places, data.line].map((places) => places.map((place) => Float64Array.from(smellAt(place, data.trees))));
  const drawn = (all) => all.map((smell) => dot(smell, data.direction));
  return { ...data, smells, truths, drawn: drawn(smells), truth: drawn(truths) };
}

export const controls = (data) => [
  { kind: "slider", name: "bandwidth", label: "h, the bandwidth", unit: "m", low: data.bandwidths[0], high: data.bandwidths.at(-1), scale: "log", start: data.bandwidth, digits: 1 },
  { kind: "slider", name: "number", label: "N, observations", low: 0, high: data.numbers.length - 1, scale: "whole", start: data.numbers.length - 1, write: (index) => data.numbers[index].toLocaleString("en") },
  { kind: "slider", name: "noise", label: "noise of a number", low: 0, high: data.most_noise, scale: "linear", start: data.noise_sd, digits: 3 },
];

/** Fill in the weights of observations for a place, with all places exact. */
function weigh(weights, [x, y], places, bandwidth) {
  const factor = -0.5 / (bandwidth * bandwidth);
  let [largest, total] = [-Infinity, 0];
  for (let t = 0; t < weights.length; t += 1) {
    const [along, across] = [x - places[t][0], y - places[t][1]];
    weights[t] = factor * (along * along + across * across);
    if (weights[t] > largest) largest = weights[t];
  }
  for (let t = 0; t < weights.length; t += 1) {
    const below = weights[t] - largest;
    weights[t] = below < NEGLIGIBLE ? 0 : Math.exp(below);
    total += weights[t];
  }
  return total;
}

/** Reads along the line, and the mean over it of squared bias and variance. */
export function compute(data, { bandwidth, number, noise }) {
  const weights = new Float64Array(data.numbers[number]);
  const [read, expected, sd] = [[], [], []];
  let [bias, squares] = [0, 0];
  data.line.forEach((place, at) => {
    const total = weigh(weights, place, data.places, bandwidth);
    const mean = new Float64Array(data.direction.length);
    let [error, squared] = [0, 0];
    for (let t = 0; t < weights.length; t += 1) {
      if (weights[t] === 0) continue;
      const weight = weights[t] / total;
      const smell = data.smells[t];
      for (let j = 0; j < mean.length; j += 1) mean[j] += weight * smell[j];
      error += weight * data.noise[t];
      squared += weight * weight;
    }
    for (let j = 0; j < mean.length; j += 1) bias += (mean[j] - data.truths[at][j]) ** 2;
    squares += squared;
    expected.push(dot(mean, data.direction));
    read.push(expected[at] + noise * error);
    sd.push(noise * Math.sqrt(squared));
  });
  const all = data.numbers_of_a_smell * noise ** 2; // s², over all numbers of a smell
  const [squaredBias, variance] = [bias / data.line.length, (all * squares) / data.line.length];
  return {
    read, expected, sd, truth: data.truth,
    squared_bias: squaredBias, variance, error: Math.sqrt(squaredBias + variance),
    effective_number: data.line.length / squares,
    effective_by_formula: (weights.length * 4 * Math.PI * bandwidth ** 2) / (2 * data.half_width) ** 2,
  };
}

// The picture is one low graph: on a phone, too, two panels have room beside each other alone.
function beside(canvas, specs, share) {
  const first = share * canvas.width;
  const boxes = [[0, 0, first, canvas.height], [first, 0, canvas.width - first, canvas.height]];
  const panels = specs.map((spec, at) => new Panel(canvas, spec, boxes[at]));
  panels.forEach((panel) => panel.axes());
  return panels;
}

export function draw(canvas, data, { bandwidth, number, noise }, answer) {
  const [low, high] = [Math.min(...data.truth), Math.max(...data.truth)];
  const room = 0.2 * (high - low);
  const all = data.numbers_of_a_smell * noise ** 2;
  const bias = data.squared_bias[number];
  const variance = data.squared_weights[number].map((squared) => all * squared);
  const sum = bias.map((value, at) => value + variance[at]);
  const along = (values) => values.map((value, at) => [data.line[at][0], value]);
  const [line, errors] = beside(canvas, [
    { kind: "chart", x: { low: data.line[0][0], high: data.line.at(-1)[0], label: "x (m)" }, y: { low: low - room, high: high + room, label: "one number" }, title: "Along a line" },
    { kind: "chart", x: { low: data.bandwidths[0], high: data.bandwidths.at(-1), scale: "log", label: "bandwidth (m)" }, y: { low: 0, high: 4 * Math.min(...sum), label: "squared error" }, title: "Bias² and variance" },
  ], 0.56);
  const edge = (sign) => along(answer.expected.map((value, at) => value + 2 * sign * answer.sd[at]));
  line.region([...edge(1), ...edge(-1).reverse()], { fill: NOISE, alpha: 0.25 });
  data.places.slice(0, data.numbers[number]).forEach(([x, y], t) => {
    if (Math.abs(y - data.line[0][1]) <= NEAR) line.disc([x, data.drawn[t] + noise * data.noise[t]], 1.8, { fill: "soft", alpha: 0.7 });
  });
  line.line(along(answer.truth), { colour: "ink", width: 2 });
  line.line(along(answer.expected), { colour: BIAS, width: 1.5, dash: [5, 3] });
  line.line(along(answer.read), { colour: NOISE, width: 1.5 });
  const { right, y } = line.area;
  [["truth", "ink"], ["read", NOISE], ["without noise", BIAS]].forEach(([words, colour], at) => line.words(right - 4, y + 8 + 16 * at, words, { align: "right", colour }));
  const against = (values) => values.map((value, at) => [data.bandwidths[at], value]);
  const { squared_bias: low_part, variance: high_part } = answer;
  errors.bar(bandwidth, 0, low_part, 12, { fill: BIAS, alpha: 0.8 });
  errors.bar(bandwidth, low_part, low_part + high_part, 12, { fill: NOISE, alpha: 0.8 });
  errors.line(against(bias), { colour: BIAS });
  errors.line(against(variance), { colour: NOISE });
  errors.line(against(sum), { colour: "ink", width: 1.2, dash: [2, 3] });
  errors.disc([bandwidth, low_part], 4, { fill: BIAS, stroke: "paper" });
  errors.disc([bandwidth, high_part], 4, { fill: NOISE, stroke: "paper" });
  errors.text([bandwidth, Math.min(low_part + high_part, 3.7 * Math.min(...sum))], "both", { align: "center", colour: "ink", shift: [0, -10] });
}

export function say(data, values, answer) {
  return [
    ["bias²", answer.squared_bias.toFixed(4)],
    ["variance", answer.variance.toFixed(4)],
    ["error (RMSE)", answer.error.toFixed(3)],
    ["effective number, and by the formula", `${answer.effective_number.toFixed(1)}, ${answer.effective_by_formula.toFixed(1)}`],
  ];
}

export default figure({ prepare, controls, compute, draw, say });
