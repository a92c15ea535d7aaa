// How wide reads should be: a field of what was sensed, and the error that each width makes where one is left out.
import { leafScale } from "./toolkit/colours.mjs";
import { figure } from "./toolkit/figure.mjs";
import { clamp, dot, gridPoints, metres, signed } from "./toolkit/numbers.mjs";
import { effectiveNumber } from "./toolkit/reading.mjs";

const CELLS = 40;
const NEGLIGIBLE = -30; // logarithm of a weight, beside the greatest
const [SMALLEST, GROWN] = [2.8, 3]; // pixels, of a disc that does not count, and what the one that counts most has beside
const ORDERS = [["constant", "locally constant"], ["linear", "locally linear"]];
const COLOURS = { constant: "series0", linear: "series1" };

/** Curves of all senses are known at once, as they share their weights; and the last field is kept. */
export function prepare(data) {
  const columns = data.names.map((_, sense) => Float64Array.from(data.senses, (row) => row[sense]));
  const observed = { ...data, columns, xs: Float64Array.from(data.places, ([x]) => x), ys: Float64Array.from(data.places, ([, y]) => y) };
  const errors = data.deviations.map((deviation) => leftOut(observed, deviation));
  const curves = Object.fromEntries(ORDERS.map(([order]) => [order, columns.map((_, sense) => errors.map((one) => one[order][sense]))]));
  const points = gridPoints(data.half_width, CELLS);
  let [key, field] = [null, null];
  const read = (values) => {
    const now = JSON.stringify(values);
    if (now !== key) [key, field] = [now, readAt(observed, points, values)];
    return field;
  };
  return { ...observed, curves, read };
}

const digitsOf = (deviation) => (deviation < 10 ? 1 : 0);

export const controls = (data) => [
  { kind: "place", name: "place", label: "The place that is asked for", start: data.place },
  { kind: "slider", name: "deviation", label: "s, the deviation", unit: "m", low: data.deviations[0], high: data.deviations.at(-1), scale: "log", start: data.deviation, digits: digitsOf(data.deviations[0]) },
  { kind: "choice", name: "sense", label: "sense", options: data.names.map((name, sense) => [sense, name]), start: 0 },
  { kind: "choice", name: "order", label: "read", options: ORDERS, start: data.order },
];

/** The variance of the kernel between two places that are both as uncertain as the deviation. */
const varianceOf = ({ width_per_deviation: factor }, deviation) => (factor * deviation) ** 2;

/** Fill in the weights of all observations for a place, in sum one; without the observation `own`, if there is one. */
function weigh(weights, { xs, ys }, [x, y], variance, own = -1) {
  const factor = -0.5 / variance;
  let largest = -Infinity;
  for (let t = 0; t < weights.length; t += 1) {
    const dx = xs[t] - x, dy = ys[t] - y;
    weights[t] = t === own ? -Infinity : factor * (dx * dx + dy * dy);
    if (weights[t] > largest) largest = weights[t];
  }
  let total = 0;
  for (let t = 0; t < weights.length; t += 1) {
    const below = weights[t] - largest;
    weights[t] = below < NEGLIGIBLE ? 0 : Math.exp(below);
    total += weights[t];
  }
  for (let t = 0; t < weights.length; t += 1) weights[t] /= total;
}

/**
 * Make them those of a plane that is read at a place ℓ: each times 1 − (ℓ_t − m)ᵀ (C + Λ)⁻¹ (m − ℓ), with m and C for
 * the mean and the covariance of places, and the ridge Λ, a share of the kernel's variance.
 */
function tilt(weights, { xs, ys, ridge }, [x, y], variance) {
  let mx = 0, my = 0;
  for (let t = 0; t < weights.length; t += 1) {
    mx += weights[t] * (xs[t] - x);
    my += weights[t] * (ys[t] - y);
  }
  let xx = ridge * variance, xy = 0, yy = ridge * variance;
  for (let t = 0; t < weights.length; t += 1) {
    const dx = xs[t] - x - mx, dy = ys[t] - y - my;
    xx += weights[t] * dx * dx;
    xy += weights[t] * dx * dy;
    yy += weights[t] * dy * dy;
  }
  const determinant = xx * yy - xy * xy;
  const along = (yy * mx - xy * my) / determinant, across = (xx * my - xy * mx) / determinant;
  for (let t = 0; t < weights.length; t += 1) weights[t] *= 1 - along * (xs[t] - x - mx) - across * (ys[t] - y - my);
}

/** What is read of one sense at some places. */
function readAt(data, places, { deviation, sense, order }) {
  const variance = varianceOf(data, deviation);
  const weights = new Float64Array(data.places.length);
  return places.map((place) => {
    weigh(weights, data, place, variance);
    if (order === "linear") tilt(weights, data, place, variance);
    return dot(weights, data.columns[sense]);
  });
}

/** Root mean squared error of each sense where every place is read without its observation, for both orders. */
function leftOut(data, deviation) {
  const variance = varianceOf(data, deviation);
  const weights = new Float64Array(data.places.length);
  const squares = { constant: data.columns.map(() => 0), linear: data.columns.map(() => 0) };
  const add = (sums, own) => data.columns.forEach((column, sense) => { sums[sense] += (dot(weights, column) - column[own]) ** 2; });
  data.places.forEach((place, own) => {
    weigh(weights, data, place, variance, own);
    add(squares.constant, own);
    tilt(weights, data, place, variance);
    add(squares.linear, own);
  });
  const root = (square) => Math.sqrt(square / data.places.length);
  return { constant: squares.constant.map(root), linear: squares.linear.map(root) };
}

/** The field and its colours, the curves of both orders with where they are least, and what is told of the place. */
export function compute(data, { place, deviation, sense, order, paper }) {
  const column = data.columns[sense];
  const variance = varianceOf(data, deviation);
  const weights = new Float64Array(column.length);
  weigh(weights, data, place, variance);
  const field = data.read({ deviation, sense, order });
  const [low, high] = [Math.min(...column), Math.max(...column)];
  const scale = leafScale(data.colours, paper ?? data.colours.light.paper);
  const colour = (value) => scale(clamp((value - low) / (high - low), 0, 1));
  const curves = Object.fromEntries(ORDERS.map(([name]) => [name, data.curves[name][sense]]));
  const least = Object.fromEntries(ORDERS.map(([name]) => {
    const error = Math.min(...curves[name]);
    return [name, { error, deviation: data.deviations[curves[name].indexOf(error)] }];
  }));
  return {
    field, curves, least,
    weights: Array.from(weights),
    cells: field.map(colour),
    discs: Array.from(column, colour),
    ends: [low, high].map((value) => ({ value, colour: colour(value) })),
    width: Math.sqrt(variance),
    error: leftOut(data, deviation)[order][sense],
    effective_number: effectiveNumber(weights),
    value: readAt(data, [place], { deviation, sense, order })[0],
  };
}

export function draw(canvas, data, { place, deviation, sense, order }, answer) {
  const errors = Object.values(answer.curves).flat();
  const [lowest, highest] = [Math.min(...errors), Math.max(...errors, answer.error)];
  const room = 0.12 * (highest - lowest);
  const [map, chart] = canvas.panels([
    { kind: "map", half_width: data.half_width, title: `Read: ${data.names[sense]}` },
    { kind: "chart", x: { low: data.deviations[0], high: data.deviations.at(-1), scale: "log", label: "s (m)" }, y: { low: lowest - 2 * room, high: highest + room, label: "error (RMSE)" }, title: "Each place, read from all others" },
  ]);
  map.cells(answer.cells, CELLS);
  const largest = Math.max(...answer.weights);
  data.places.forEach((observed, t) => map.disc(observed, SMALLEST + GROWN * Math.sqrt(answer.weights[t] / largest), { fill: answer.discs[t], stroke: "ink", width: 0.8 }));
  map.circle(place, answer.width, { stroke: "ink", width: 1.5 });
  map.square(place, 4.5, { fill: "clay", stroke: "paper" });
  [...answer.ends].reverse().forEach(({ value, colour }, at) => {
    const [x, y] = [map.area.x + 8, map.area.y + 14 + 20 * at];
    map.swatch(x, y, colour);
    map.words(x + 26, y, signed(value, data.digits[sense]), { colour: "ink" });
  });
  const { least } = answer;
  for (const [name] of ORDERS) {
    const isRead = name === order;
    chart.line(answer.curves[name].map((error, at) => [data.deviations[at], error]), { colour: COLOURS[name], width: isRead ? 2.2 : 1.5, dash: isRead ? [] : [5, 3] });
    chart.disc([least[name].deviation, least[name].error], 6, { stroke: COLOURS[name], width: 1.5 });
  }
  chart.text([least[order].deviation, least[order].error], "least", { align: "center", colour: COLOURS[order], shift: [0, 16] });
  const { area } = chart;
  ORDERS.forEach(([name, words], at) => chart.words((area.x + area.right) / 2, area.y + 8 + 16 * at, words, { align: "center", colour: COLOURS[name] }));
  chart.disc([deviation, answer.error], 4.5, { fill: COLOURS[order], stroke: "paper" });
}

export function say(data, { sense, order }, answer) {
  const digits = data.digits[sense];
  const { error, deviation } = answer.least[order];
  return [
    ["left-out error here", answer.error.toFixed(digits)],
    ["least, and where", `${error.toFixed(digits)} at ${metres(deviation, digitsOf(deviation))}`],
    ["effective number at the square", answer.effective_number.toFixed(1)],
    ["read there", signed(answer.value, digits)],
  ];
}

export default figure({ prepare, controls, compute, draw, say });
