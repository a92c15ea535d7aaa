// Where does it smell like this? The posterior over places from a memory, and the region that is believed.
import { leafScale } from "./toolkit/colours.mjs";
import { figure } from "./toolkit/figure.mjs";
import { metres, sum } from "./toolkit/numbers.mjs";
import { smellAt } from "./toolkit/reading.mjs";

const CLOSE = 12; // cells from the middle of the enlarged map to its edge

export const controls = (data) => [
  { kind: "place", name: "place", label: "where the agent smells", start: data.place, panel: 0, look: "square" },
  { kind: "switch", name: "guessed", label: "it has a guess (the ring)", start: false },
  { kind: "slider", name: "guess_sd", label: "deviation of the guess", unit: "m", low: 10, high: 200, start: data.guess_sd, scale: "log", digits: 0 },
];

/** Read the memory at all cells of the grid: places, means and deviations where it knows anything. */
export function prepare(data) {
  const { corner, columns, rows, spacing, places, match_threshold: threshold } = data;
  const senses = places.map((place) => smellAt(place, data.trees));
  const near = Array.from({ length: columns * rows }, () => []); // observations by cell
  places.forEach((place, t) => {
    const [[left, right], [down, up]] = place.map((at, axis) => [-1, 1].map((side) => (at + side * threshold - corner[axis]) / spacing));
    for (let row = Math.max(0, Math.ceil(down)); row <= Math.min(rows - 1, up); row += 1) {
      for (let column = Math.max(0, Math.ceil(left)); column <= Math.min(columns - 1, right); column += 1) {
        const [x, y] = [corner[0] + spacing * column - place[0], corner[1] + spacing * row - place[1]];
        if (x * x + y * y <= threshold * threshold) near[row * columns + column].push(t);
      }
    }
  });
  const cells = [];
  near.forEach((rowsNear, index) => {
    if (rowsNear.length === 0) return;
    const [column, row] = [index % columns, Math.floor(index / columns)];
    const place = [corner[0] + spacing * column, corner[1] + spacing * row];
    cells.push({ column, row, place, ...readLinear(data, place, rowsNear, senses) });
  });
  const spreads = cells.map((cell) => cell.spread).sort((a, b) => a - b);
  const middle = spreads[(spreads.length - 1) >> 1];
  for (const cell of cells) cell.tau = Math.max(data.least_tau, Math.sqrt(cell.spread ** 2 + middle ** 2 / cell.number));
  return { ...data, cells };
}

/** The locally linear read from some observations, the spread of their smells and their effective number. */
function readLinear({ places, sd, location_sd: ownSd, trees, ridge }, [x, y], near, senses) {
  const variance = sd * sd + ownSd * ownSd;
  const squares = near.map((t) => (places[t][0] - x) ** 2 + (places[t][1] - y) ** 2);
  const least = Math.min(...squares);
  const parts = squares.map((square) => Math.exp((least - square) / (2 * variance)));
  const total = sum(parts);
  const weights = parts.map((part) => part / total);
  // A plane through the neighbourhood: by how much its middle is off, and how places spread around that.
  let [mx, my, xx, xy, yy] = [0, 0, 0, 0, 0];
  near.forEach((t, i) => {
    const [dx, dy, weight] = [places[t][0] - x, places[t][1] - y, weights[i]];
    mx += weight * dx;
    my += weight * dy;
    xx += weight * dx * dx;
    xy += weight * dx * dy;
    yy += weight * dy * dy;
  });
  const held = ridge * variance;
  const [a, b, c] = [xx - mx * mx + held, xy - mx * my, yy - my * my + held];
  const [slopeX, slopeY] = [(c * mx - b * my) / (a * c - b * b), (a * my - b * mx) / (a * c - b * b)];
  const size = trees.scents[0].length;
  const [mean, linear] = [new Float64Array(size), new Float64Array(size)];
  let [square, squaredWeights] = [0, 0];
  near.forEach((t, i) => {
    const [sense, weight] = [senses[t], weights[i]];
    const share = weight * (1 - (places[t][0] - x - mx) * slopeX - (places[t][1] - y - my) * slopeY);
    squaredWeights += weight * weight;
    for (let j = 0; j < size; j += 1) {
      mean[j] += weight * sense[j];
      linear[j] += share * sense[j];
      square += weight * sense[j] * sense[j];
    }
  });
  const variety = square - mean.reduce((all, part) => all + part * part, 0);
  return { mean: linear, spread: Math.sqrt(Math.max(0, variety)), number: 1 / squaredWeights };
}

/** A guess, off by so many of its deviations as were drawn. */
const guessOf = ({ guess_normals: normals }, { place, guess_sd: sd }) => place.map((at, axis) => at + sd * normals[axis]);

function probabilitiesOf(data, values) {
  const [smell, guess, guessSd] = [smellAt(values.place, data.trees), guessOf(data, values), values.guess_sd];
  const logs = data.cells.map(({ mean, tau, place }) => {
    let apart = 0;
    for (let j = 0; j < mean.length; j += 1) apart += (smell[j] - mean[j]) ** 2;
    const prior = values.guessed ? ((place[0] - guess[0]) ** 2 + (place[1] - guess[1]) ** 2) / (2 * guessSd * guessSd) : 0;
    return -apart / (2 * (data.width * tau) ** 2) - 2 * Math.log(tau) - prior;
  });
  const largest = logs.reduce((most, log) => Math.max(most, log), -Infinity);
  const parts = logs.map((log) => Math.exp(log - largest));
  const total = sum(parts);
  return parts.map((part) => part / total);
}

export function compute(data, values) {
  const { cells, spacing } = data;
  const probabilities = probabilitiesOf(data, values);
  // All that are less probable hold less than the rest together: they need no order.
  const least = (1 - data.credibility) / cells.length;
  const order = Array.from(cells.keys()).filter((index) => probabilities[index] > least).sort((a, b) => probabilities[b] - probabilities[a]);
  const region = new Array(cells.length).fill(false);
  let before = 0;
  for (const index of order) {
    if (before >= data.credibility) break;
    region[index] = true;
    before += probabilities[index];
  }
  const area = region.filter(Boolean).length * spacing * spacing;
  const best = cells[order[0]];
  let [share, x, y] = [0, 0, 0];
  cells.forEach(({ place }, index) => {
    if (Math.hypot(place[0] - best.place[0], place[1] - best.place[1]) > data.around * spacing) return;
    share += probabilities[index];
    x += probabilities[index] * place[0];
    y += probabilities[index] * place[1];
  });
  const peak = [x / share, y / share];
  const [colour, most] = [leafScale(data.colours, values.paper), probabilities.reduce((a, b) => Math.max(a, b), 0)];
  const holds = cells.some(({ place }, index) => region[index] && Math.max(Math.abs(place[0] - values.place[0]), Math.abs(place[1] - values.place[1])) <= spacing / 2);
  return {
    probabilities,
    colours: probabilities.map((probability) => colour(probability / most)),
    region,
    area,
    peak,
    holds,
    entropy: -sum(probabilities.map((p) => (p > 0 ? p * Math.log2(p) : 0))),
    identifiable: area <= data.largest_area,
    error: Math.hypot(peak[0] - values.place[0], peak[1] - values.place[1]),
  };
}

/** The corner of the cell in which a place lies, so that cells of a map are those of the grid. */
const cornerNear = ({ corner, spacing }, place) => place.map((at, axis) => corner[axis] + spacing * (Math.round((at - corner[axis]) / spacing) - 0.5));

/** Draw the edges between cells of the region and others; at the edge of the map it is open. */
function outline(map, inside, across, at) {
  const { context } = map;
  context.strokeStyle = map.colour("clay");
  context.lineWidth = 1.5;
  context.beginPath();
  for (let row = 0; row < across; row += 1) {
    for (let column = 0; column < across; column += 1) {
      const here = inside[row * across + column];
      if (column > 0 && here !== inside[row * across + column - 1]) {
        context.moveTo(...at(column, row));
        context.lineTo(...at(column, row + 1));
      }
      if (row > 0 && here !== inside[(row - 1) * across + column]) {
        context.moveTo(...at(column, row));
        context.lineTo(...at(column + 1, row));
      }
    }
  }
  context.stroke();
}

function drawPosterior(map, data, values, answer, reach) {
  const { spacing, cells } = data;
  const [west, south] = map.spec.centre.map((at) => at - reach * spacing);
  const across = 2 * reach;
  const colours = new Array(across * across).fill(null);
  const inside = new Array(across * across).fill(false);
  cells.forEach(({ place }, index) => {
    const [column, row] = [Math.floor((place[0] - west) / spacing), Math.floor((place[1] - south) / spacing)];
    if (column < 0 || row < 0 || column >= across || row >= across) return;
    colours[row * across + column] = answer.colours[index];
    inside[row * across + column] = answer.region[index];
  });
  map.cells(colours, across);
  outline(map, inside, across, (column, row) => map.at([west + spacing * column, south + spacing * row]));
  map.trees(data.trees);
  if (values.guessed) map.circle(guessOf(data, values), values.guess_sd, { stroke: "ink", width: 1 });
  map.disc(answer.peak, 4, { fill: "ink", stroke: "paper" });
}

export function draw(canvas, data, values, answer) {
  const reach = Math.round(data.half_width / data.spacing);
  const [map, near] = canvas.panels([
    { kind: "map", half_width: reach * data.spacing, centre: cornerNear(data, [0, 0]), title: answer.identifiable ? "It can be located" : "It cannot be located" },
    { kind: "map", half_width: CLOSE * data.spacing, centre: cornerNear(data, values.place), title: "Around the agent" },
  ]);
  drawPosterior(map, data, values, answer, reach);
  drawPosterior(near, data, values, answer, CLOSE);
  near.square(values.place, 4.5, { fill: "clay", stroke: "paper" });
}

export function say(data, values, answer) {
  return [
    ["the answer is off by", metres(answer.error)],
    [`${Math.round(100 * data.credibility)} % region`, answer.holds ? "holds the agent" : "misses the agent"],
    ["a disc as large as it", `${metres(Math.sqrt(answer.area / Math.PI))} in radius`],
    ["entropy", `${answer.entropy.toFixed(1)} bits`],
  ];
}

export default figure({ controls, prepare, compute, draw, say });
