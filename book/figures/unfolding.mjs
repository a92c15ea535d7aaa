// A walk unfolds as its shifts are learned: between two stages they are blended evenly.
import { figure } from "./toolkit/figure.mjs";
import { metres, norm, signed } from "./toolkit/numbers.mjs";

const MAGNIFIED = [1, 10, 100, 1000];

const stageName = (data, step) => {
  const [begun, next] = [Math.floor(step / data.between), Math.ceil(step / data.between)];
  return begun === next ? data.names[begun] : `between ${data.names[begun]} and ${data.names[next]}`;
};

export const controls = (data) => [
  { kind: "time", name: "step", label: "Shifts of", low: 0, high: data.off.length - 1, start: 0, per_second: data.between / 2, write: (step) => stageName(data, step) },
  { kind: "choice", name: "map", label: "mapped by", options: [["affine", "an affine map"], ["similarity", "a similarity"]], start: "affine" },
  { kind: "choice", name: "times", label: "errors drawn", options: MAGNIFIED.map((times) => [times, times === 1 ? "as they are" : `${times} ×`]), start: 1 },
  { kind: "choice", name: "action", label: "action", options: data.true_shifts.map((_, action) => [action, String(action)]), start: 0 },
  { kind: "slider", name: "turn", label: "turned by", unit: "°", low: -6, high: 6, scale: "linear", start: 0, digits: 1 },
];

const added = (shifts, actions, start) => {
  let [x, y] = start;
  return actions.map((action) => [(x += shifts[action][0]), (y += shifts[action][1])]);
};

export const prepare = (data) => ({ ...data, places: added(data.true_shifts, data.actions, data.start) });

function blended(data, step) {
  const begun = Math.min(Math.floor(step / data.between), data.names.length - 2);
  const share = step / data.between - begun;
  return data.stages[begun].map((shift, action) =>
    shift.map((along, axis) => (1 - share) * along + share * data.stages[begun + 1][action][axis]),
  );
}

function turned([x, y], degrees) {
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  return [cos * x - sin * y, sin * x + cos * y];
}

const middle = (points) =>
  [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

// The map M a + c that brings places a nearest to b: as `procrustes` of the library.
function alignment(a, b, kind) {
  const [ofA, ofB] = [middle(a), middle(b)];
  let [xx, xy, yy] = [0, 0, 0]; // sums of products of a with itself
  const g = [[0, 0], [0, 0]]; // of b with a
  a.forEach((place, t) => {
    const [x, y] = [place[0] - ofA[0], place[1] - ofA[1]];
    const [u, v] = [b[t][0] - ofB[0], b[t][1] - ofB[1]];
    xx += x * x;
    xy += x * y;
    yy += y * y;
    g[0][0] += u * x;
    g[0][1] += u * y;
    g[1][0] += v * x;
    g[1][1] += v * y;
  });
  const matrix = kind === "affine" ? affine(g, xx, xy, yy) : similarity(g, xx + yy);
  const shift = matrix.map((row, axis) => ofB[axis] - row[0] * ofA[0] - row[1] * ofA[1]);
  return { matrix, shift };
}

function affine(g, xx, xy, yy) {
  const determinant = xx * yy - xy * xy;
  return g.map(([x, y]) => [(x * yy - y * xy) / determinant, (y * xx - x * xy) / determinant]);
}

// The best turn and the best mirror image are known in closed form; the better one counts.
function similarity(g, extent) {
  const [c, s] = [g[0][0] + g[1][1], g[1][0] - g[0][1]];
  const [mirrorC, mirrorS] = [g[0][0] - g[1][1], g[1][0] + g[0][1]];
  return Math.hypot(c, s) >= Math.hypot(mirrorC, mirrorS)
    ? [[c / extent, -s / extent], [s / extent, c / extent]]
    : [[mirrorC / extent, mirrorS / extent], [mirrorS / extent, -mirrorC / extent]];
}

const applied = (matrix, [x, y]) => matrix.map((row) => row[0] * x + row[1] * y);

// The lower triangle L with L Lᵀ = K, in place.
function cholesky(K) {
  K.forEach((row, i) => {
    for (let j = 0; j <= i; j += 1) {
      const other = K[j];
      let left = row[j];
      for (let k = 0; k < j; k += 1) left -= row[k] * other[k];
      row[j] = i === j ? Math.sqrt(left) : left / other[j];
    }
  });
  return K;
}

const meanLogDiagonal = (lower) => lower.reduce((sum, row, i) => sum + Math.log(row[i]), 0) / lower.length;

// The mean log density of a number of the smells, in nats: as `mean_evidence` of the library.
function evidence(places, smells, { nugget, evenly }) {
  const n = places.length;
  const width = smells[0].length;
  const K = places.map(([x, y], i) => {
    const row = new Float64Array(i + 1);
    for (let j = 0; j < i; j += 1) row[j] = Math.exp(-0.5 * ((x - places[j][0]) ** 2 + (y - places[j][1]) ** 2));
    row[i] = 1 + nugget ** 2;
    return row;
  });
  const L = cholesky(K);
  const white = smells.map((smell) => Float64Array.from(smell));
  white.forEach((row, i) => {
    for (let j = 0; j < i; j += 1) {
      const [factor, before] = [L[i][j], white[j]];
      for (let k = 0; k < width; k += 1) row[k] -= factor * before[k];
    }
    for (let k = 0; k < width; k += 1) row[k] /= L[i][i];
  });
  const C = Array.from({ length: width }, (_, k) =>
    Float64Array.from({ length: width }, (_, l) => white.reduce((sum, row) => sum + row[k] * row[l], 0) / n),
  );
  const evenShare = (evenly * C.reduce((sum, row, k) => sum + row[k], 0)) / width;
  C.forEach((row, k) => {
    row[k] += evenShare;
    for (let l = 0; l < width; l += 1) row[l] /= 1 + evenly;
  });
  return -0.5 * (1 + Math.log(2 * Math.PI)) - meanLogDiagonal(cholesky(C)) - meanLogDiagonal(L);
}

/** Places of the walk, the shifts, how far they are off, and how probable the smells are. */
export function compute(data, { step, map, action, turn }) {
  const shifts = blended(data, step);
  shifts[action] = turned(shifts[action], turn);
  const learned = added(shifts, data.actions, [0, 0]);
  const { matrix, shift } = alignment(learned, data.places, map);
  const places = learned.map((place) => applied(matrix, place).map((along, axis) => along + shift[axis]));
  const squares = places.reduce((total, [x, y], t) => total + (x - data.places[t][0]) ** 2 + (y - data.places[t][1]) ** 2, 0);
  return {
    shifts, places,
    shifts_in_metres: shifts.map((one) => applied(matrix, one)),
    off: Math.sqrt(squares / places.length),
    evidence: evidence(data.judged.map((t) => learned[t]), data.smells, data),
  };
}

const span = (numbers) => [Math.min(...numbers), Math.max(...numbers)];

export function draw(canvas, data, { step, times, action, turn }, answer) {
  const [[lowX, highX], [lowY, highY]] = [0, 1].map((axis) => span(data.places.map((place) => place[axis])));
  const [low, high] = span(data.evidence);
  const least = low - 0.5 * (high - low);
  const [map, arrows, chart] = canvas.panels([
    { kind: "map", half_width: 0.55 * Math.max(highX - lowX, highY - lowY), centre: [(lowX + highX) / 2, (lowY + highY) / 2], title: times > 1 ? `The walk, errors ${times} ×` : "The walk" },
    { kind: "map", half_width: 1.35 * Math.max(...data.true_shifts.map(norm)), title: "Where actions lead" },
    { kind: "chart", x: { low: -0.15, high: data.names.length - 0.85, label: "stage" }, y: { low: least, high: high + 0.15 * (high - low), label: "evidence" }, title: "How probable" },
  ]);
  const magnified = (found, true_) => found.map((along, axis) => true_[axis] + times * (along - true_[axis]));
  map.line(data.places, { colour: "soft", width: 2.3, alpha: 0.4 });
  map.line(answer.places.map((place, t) => magnified(place, data.places[t])), { colour: "series0", width: 0.8 });
  data.true_shifts.forEach((shift, number) => {
    const end = magnified(answer.shifts_in_metres[number], shift);
    arrows.line([[0, 0], shift], { colour: "soft", width: 4, alpha: 0.4 });
    arrows.line([[0, 0], end], { colour: "series0", width: 1.5 });
    arrows.disc(end, number === action && turn !== 0 ? 5 : 3, { fill: "series0" });
    const beyond = [shift[0], -shift[1]].map((along) => (13 * along) / norm(shift)); // pixels, downwards
    arrows.text(shift, String(number), { align: "center", colour: "ink", shift: beyond });
  });
  chart.line(data.evidence.map((value, at) => [at / data.between, value]), { colour: "soft", width: 1.2 });
  chart.disc([step / data.between, Math.max(answer.evidence, least)], 5, { fill: "series0", stroke: "paper" });
}

export function say(data, { step, map, action, turn }, answer) {
  return [
    ["shifts", stageName(data, step) + (turn ? `, action ${action} turned` : "")],
    [`off, after ${map === "affine" ? "an affine map" : "a similarity"}`, answer.off < 1 ? `${(100 * answer.off).toFixed(1)} cm` : metres(answer.off, 1)],
    ["evidence, for each number", `${signed(answer.evidence, 3)} nats`],
  ];
}

export default figure({ prepare, controls, compute, draw, say });
