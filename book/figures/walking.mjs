// A walk over a plain that nobody knows yet: what is smelled on the way is remembered, and read around it.
import { scentColours } from "./toolkit/colours.mjs";
import { figure } from "./toolkit/figure.mjs";
import { gridPoints, signed } from "./toolkit/numbers.mjs";
import { readMap, smellAt } from "./toolkit/reading.mjs";

export const controls = (data) => [
  { kind: "place", name: "walker", label: "The walker", start: data.walk.at(-1), trail: "walk", spacing: data.spacing, most: data.max_memory_size, follows: true,
    hint: "Lead the walker by mouse, finger or arrow keys." },
  { kind: "trail", name: "walk", start: data.walk },
  { kind: "button", name: "begun", label: "Forget everything", sets: { walk: [] } },
];

export function prepare(data) {
  return { ...data, points: gridPoints(data.half_width, data.cells_per_axis), smells: new Map() };
}

/** What is smelled at places of the walk; a place is smelled but once. */
function smelled(data, place) {
  const key = place.join();
  if (!data.smells.has(key)) data.smells.set(key, smellAt(place, data.trees));
  return data.smells.get(key);
}

export function compute(data, { walk, paper }) {
  const colour = scentColours(data.palette, paper ?? data.colours.light.paper);
  const senses = walk.map((place) => smelled(data, place));
  const read = walk.length ? readMap(data.points, data.sd, walk, data.sd, senses, data.match_threshold) : data.points.map(() => null);
  const cells = read.map((mean) => mean && colour(mean));
  return { cells, known: cells.filter(Boolean).length / cells.length };
}

export function draw(canvas, data, { walk }, answer) {
  const [map] = canvas.panels([{ kind: "map", half_width: data.half_width }]);
  map.cells(answer.cells, data.cells_per_axis);
  walk.forEach((place) => map.disc(place, 1.2, { fill: "ink", alpha: 0.55 }));
}

export const say = (data, { walk }, answer) => [
  ["observations", `${walk.length}`],
  ["of the plain known", `${signed(100 * answer.known)} %`],
];

export default figure({ prepare, controls, compute, draw, say });
