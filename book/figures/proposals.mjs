// Places drawn from the mixture of a memory, and what the trees say of them.
import { fromHex } from "./toolkit/colours.mjs";
import { figure } from "./toolkit/figure.mjs";
import { gridPoints, metres, sum } from "./toolkit/numbers.mjs";
import { effectiveNumber, smellAt } from "./toolkit/reading.mjs";

const CELLS = 80; // of the map, along each axis
const REACH = 5; // deviations beyond which a Gaussian is drawn as zero

export const controls = (data) => [
  { kind: "place", name: "agent", label: "agent", start: data.agent, panel: 0, look: "square" },
  { kind: "slider", name: "temperature", label: "T", unit: "", low: 0.1, high: 30, start: data.temperature, scale: "log", digits: 2 },
  { kind: "slider", name: "location_temperature", label: "T_ℓ", unit: "", low: 0.3, high: 300, start: data.location_temperature, scale: "log", digits: 1 },
];

/** What stays as it is: where each Gaussian lies on the grid, and what the ground is worth. */
export function prepare(data) {
  const cell = (2 * data.half_width) / CELLS;
  const along = (at) => {
    const first = Math.max(0, Math.ceil((at - REACH * data.sd + data.half_width) / cell - 0.5));
    const last = Math.min(CELLS - 1, Math.floor((at + REACH * data.sd + data.half_width) / cell - 0.5));
    const shares = [];
    for (let index = first; index <= last; index += 1) {
      const steps = ((index + 0.5) * cell - data.half_width - at) / data.sd;
      shares.push(Math.exp(-0.5 * steps * steps) / (data.sd * Math.sqrt(2 * Math.PI)));
    }
    return { first, shares };
  };
  const gaussians = data.places.map((place) => place.map(along));
  const worth = gridPoints(data.half_width, CELLS).map((place) => excess(smellAt(place, data.trees), data.drives));
  return { ...data, gaussians, worth, grounds: new Map() };
}

/** By how much poison and food are more probable than by a guess, as shares of the most; from the scores of all drives. */
function excess(scores, drives) {
  const largest = Math.max(...scores);
  const parts = scores.map((score) => Math.exp(score - largest));
  const [total, guess] = [sum(parts), 1 / parts.length];
  return [drives.poison, drives.edible].map((drive) => Math.max(0, (parts[drive] / total - guess) / (1 - guess)));
}

function mixtureWeights({ matches, places, sd, location_sd: agentSd }, { agent, temperature, location_temperature: far }) {
  const variance = sd * sd + agentSd * agentSd;
  // Of log k what is the same for all observations is left out: the softmax does not see it.
  const logs = places.map(([x, y], t) => matches[t] / temperature - ((x - agent[0]) ** 2 + (y - agent[1]) ** 2) / (2 * variance * far));
  const largest = Math.max(...logs);
  const parts = logs.map((log) => Math.exp(log - largest));
  const total = sum(parts);
  return parts.map((part) => part / total);
}

/** The first observation at which the running sum of the weights is above each uniform number. */
function chosenBy(uniforms, weights) {
  const sums = [];
  let total = 0;
  for (const weight of weights) sums.push((total += weight));
  return uniforms.map((uniform) => {
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] > uniform * total) high = middle;
      else low = middle + 1;
    }
    return low;
  });
}

/** The density of the mixture on the grid, row by row from the bottom left. */
function densityOf(weights, gaussians) {
  const field = new Array(CELLS * CELLS).fill(0);
  weights.forEach((weight, t) => {
    const [across, up] = gaussians[t];
    up.shares.forEach((share, j) => {
      const start = (up.first + j) * CELLS + across.first;
      for (let i = 0; i < across.shares.length; i += 1) field[start + i] += weight * share * across.shares[i];
    });
  });
  return field;
}

/** Densities above which these shares of the map's whole lie. */
function levelsOf(field, shares) {
  const ordered = Float64Array.from(field).sort().reverse();
  const total = sum(ordered);
  return shares.map((share) => {
    let [at, held] = [0, ordered[0]];
    while (held < share * total && at < ordered.length - 1) held += ordered[(at += 1)];
    return ordered[at];
  });
}

const median = (values) => {
  const ordered = [...values].sort((a, b) => a - b);
  const middle = ordered.length >> 1;
  return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
};

export function compute(data, values) {
  const weights = mixtureWeights(data, values);
  const rows = chosenBy(data.uniforms, weights);
  const samples = rows.map((row, n) => data.places[row].map((coordinate, axis) => coordinate + data.sd * data.normals[n][axis]));
  const food = data.trees.places.filter((_, i) => !data.trees.poisonous[i]);
  const ways = samples.map(([x, y]) => Math.hypot(x - values.agent[0], y - values.agent[1]));
  const toFood = samples.map(([x, y]) => Math.min(...food.map((tree) => Math.hypot(x - tree[0], y - tree[1]))));
  const density = densityOf(weights, data.gaussians);
  return {
    weights,
    rows,
    samples,
    ways,
    toFood,
    way: median(ways),
    food: median(toFood),
    finds: toFood.filter((distance) => distance <= data.within).length / samples.length,
    effective: effectiveNumber(weights),
    searchSd: Math.sqrt((data.sd ** 2 + data.location_sd ** 2) * values.location_temperature),
    density,
    levels: levelsOf(density, data.shares),
  };
}

/** Pieces of the line along which a field of n × n cells has a level, in cells from the first centre. */
function pieces(field, n, level) {
  const found = [];
  for (let row = 0; row < n - 1; row += 1) {
    for (let column = 0; column < n - 1; column += 1) {
      const at = row * n + column;
      const above = (field[at] > level) + (field[at + 1] > level) + (field[at + n] > level) + (field[at + n + 1] > level);
      if (above === 0 || above === 4) continue; // as nearly everywhere
      const corners = [[0, 0], [1, 0], [1, 1], [0, 1]].map(([i, j]) => [column + i, row + j, field[(row + j) * n + column + i] - level]);
      const crossings = [];
      corners.forEach(([x, y, here], k) => {
        const [nextX, nextY, there] = corners[(k + 1) % 4];
        if (here > 0 === there > 0) return;
        const share = here / (here - there);
        crossings.push([x + share * (nextX - x), y + share * (nextY - y)]);
      });
      for (let k = 0; k + 1 < crossings.length; k += 2) found.push([crossings[k], crossings[k + 1]]);
    }
  }
  return found;
}

/** What the ground is worth as colours, which are mixed once for each paper. */
function groundOn(canvas, { worth, grounds }) {
  const [paper, poison, edible] = ["paper", "poisonous", "edible"].map((name) => canvas.colour(name));
  if (!grounds.has(paper)) {
    const [nothing, bad, good] = [paper, poison, edible].map(fromHex);
    grounds.set(paper, worth.map(([harm, food]) => nothing.map((part, i) => part + harm * (bad[i] - part) + food * (good[i] - part))));
  }
  return grounds.get(paper);
}

/** Draw many short pieces at once. */
function outline(map, found, toMetres) {
  const { context } = map;
  context.strokeStyle = map.colour("ink");
  context.lineWidth = 1;
  context.beginPath();
  for (const [from, to] of found) {
    context.moveTo(...map.at(from.map(toMetres)));
    context.lineTo(...map.at(to.map(toMetres)));
  }
  context.stroke();
}

/** Draw many samples at once. */
function dots(panel, places) {
  const { context } = panel;
  context.fillStyle = panel.colour("series0");
  context.strokeStyle = panel.colour("paper");
  context.lineWidth = 1;
  context.beginPath();
  for (const at of places.map((place) => panel.at(place)).filter((pixels) => panel.holds(pixels))) {
    context.moveTo(at[0] + 2.5, at[1]);
    context.arc(...at, 2.5, 0, 2 * Math.PI);
  }
  context.stroke(); // under the discs, so that dense ones do not turn to paper
  context.fill();
}

export function draw(canvas, data, values, answer) {
  const far = 1.5 * data.half_width;
  const [map, chart] = canvas.panels([
    { kind: "map", half_width: data.half_width, title: "Where it might go" },
    { kind: "chart", x: { low: 0, high: far, label: "way to the proposal (m)" }, y: { low: 0, high: data.half_width / 2, label: "from there to food (m)" }, title: "Judged by the trees" },
  ]);
  map.cells(groundOn(canvas, data), CELLS);
  const cell = (2 * data.half_width) / CELLS;
  outline(map, answer.levels.flatMap((level) => pieces(answer.density, CELLS, level)), (index) => (index + 0.5) * cell - data.half_width);
  map.trees(data.trees);
  dots(map, answer.samples);
  map.circle(values.agent, answer.searchSd, { stroke: "clay", width: 1.5 });

  chart.line([[0, data.within], [far, data.within]], { colour: "soft", width: 1, dash: [4, 4] });
  chart.text([far, data.within], "below: a find", { align: "right", shift: [-4, -9] });
  dots(chart, answer.ways.map((way, n) => [way, answer.toFood[n]]));
  chart.disc([answer.way, answer.food], 6, { fill: "clay", stroke: "paper" });
}

export function say(data, values, answer) {
  return [
    ["way, median", metres(answer.way)],
    [`food within ${metres(data.within)}`, `${Math.round(100 * answer.finds)} %`],
    ["effective number of observations", answer.effective.toFixed(1)],
    ["√(v T_ℓ), the circle", metres(answer.searchSd)],
  ];
}

export default figure({ controls, prepare, compute, draw, say });
