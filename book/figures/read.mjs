// What is remembered at a place, and on which observations it rests.
import { scentColours } from "./toolkit/colours.mjs";
import { figure } from "./toolkit/figure.mjs";
import { distance, gridPoints, metres, minus, norm } from "./toolkit/numbers.mjs";
import { effectiveNumber, readAt, readMap, smellAt } from "./toolkit/reading.mjs";

const CELLS = 50;
const LARGEST = 12; // pixels, of the disc of the greatest weight

export const controls = (data) => [
  { kind: "place", name: "query", label: "The place that is asked for", start: data.query },
  { kind: "slider", name: "sd", label: "σ, the deviation", unit: "m", low: 2, high: 60, scale: "log", start: data.sd, digits: 1 },
  { kind: "slider", name: "threshold", label: "θ, the threshold", unit: "m", low: 10, high: 400, scale: "log", start: data.match_threshold },
  { kind: "switch", name: "unbounded", label: "no threshold", start: false },
  { kind: "spots", name: "gone", label: "Take away, or put back, the observation nearest to the square", places: data.places },
  { kind: "trail", name: "added", start: [] },
  { kind: "button", name: "smelled", label: "Smell at the square, and remember it", sets: ({ query, added }) => ({ added: [...added, query] }) },
];

/** A map does not change while the place alone is moved: the last one is kept. */
export function prepare(data) {
  const points = gridPoints(data.half_width, CELLS);
  let [key, cells] = [null, null];
  const map = ({ places, senses }, values, colour) => {
    const now = JSON.stringify([places, values]);
    if (now !== key) {
      const read = readMap(points, values.sd, places, values.sd, senses, values.reach);
      [key, cells] = [now, read.map((mean) => mean && colour(mean))];
    }
    return cells;
  };
  return { ...data, map };
}

/** The map of what is read, its colours, and all that is told of the place that is asked for. */
export function compute(data, { query, sd, threshold, unbounded, gone, added, paper }) {
  const kept = data.places.map((_, i) => i).filter((i) => !gone.includes(i));
  const places = [...kept.map((i) => data.places[i]), ...added];
  const senses = [...kept.map((i) => data.senses[i]), ...added.map((place) => smellAt(place, data.trees))];
  const reach = unbounded ? Infinity : threshold;
  const colour = scentColours(data.palette, paper ?? data.colours.light.paper);
  const cells = data.map({ places, senses }, { sd, reach, paper }, colour);
  const here = places.length ? readAt(query, sd, places, sd, senses, reach) : null;
  const truth = smellAt(query, data.trees);
  const weights = new Array(data.places.length + added.length).fill(0);
  here?.weights.forEach((weight, i) => { weights[kept[i] ?? data.places.length + i - kept.length] = weight; });
  return {
    cells, weights, truth,
    mean: here?.mean ?? null,
    effective_sample_size: here ? effectiveNumber(here.weights) : 0,
    nearest_distance: places.length ? Math.min(...places.map((place) => distance(place, query))) : null,
    error: here ? norm(minus(here.mean, truth)) : null,
    colours: [here && colour(here.mean), colour(truth)],
  };
}

export function draw(canvas, data, { query, threshold, unbounded, gone, added }, answer) {
  const [map, beside] = canvas.panels([
    { kind: "map", half_width: data.half_width, title: "Remembered" },
    { kind: "map", half_width: data.half_width * 0.3, centre: query, title: "Which observations count" },
  ]);
  map.cells(answer.cells, CELLS);
  const observed = [...data.places, ...added];
  observed.forEach((place, i) => map.disc(place, 2, gone.includes(i) ? { stroke: "soft", alpha: 0.6 } : { fill: "ink", alpha: 0.7 }));
  const largest = Math.max(...answer.weights);
  if (!unbounded) beside.circle(query, threshold, { stroke: "soft" });
  beside.trees(data.trees);
  observed.forEach((place, i) => {
    if (gone.includes(i)) beside.disc(place, 4, { stroke: "soft", alpha: 0.7 });
    else beside.disc(place, answer.weights[i] > 0.002 * largest ? Math.max(2, LARGEST * Math.sqrt(answer.weights[i] / largest)) : 2, answer.weights[i] > 0.002 * largest ? { fill: "series0", alpha: 0.75 } : { fill: "soft" });
  });
  beside.square(query, 4.5, { fill: "clay", stroke: "paper" });
  const [x, y] = [beside.area.x + 8, beside.area.y + 14];
  ["read", "truth"].forEach((name, i) => {
    beside.swatch(x, y + 20 * i, answer.colours[i]);
    beside.words(x + 26, y + 20 * i, name, { colour: "ink" });
  });
}

export function say(data, values, answer) {
  if (!answer.mean) return [["here", "nothing is known"], ["nearest observation", answer.nearest_distance === null ? "none" : metres(answer.nearest_distance)]];
  return [
    ["effective number", answer.effective_sample_size.toFixed(1)],
    ["nearest observation", metres(answer.nearest_distance)],
    ["error of the read", answer.error.toFixed(2)],
    ["strength of the truth", norm(answer.truth).toFixed(2)],
  ];
}

export default figure({ prepare, controls, compute, draw, say });
