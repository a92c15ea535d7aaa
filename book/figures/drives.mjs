// Two trees whose smells add up, and what a classifier takes the sum for.
import { fromHex } from "./toolkit/colours.mjs";
import { figure } from "./toolkit/figure.mjs";
import { distance, gridPoints, metres } from "./toolkit/numbers.mjs";

const CELLS = 50;
const [POISON, EDIBLE, NEUTRAL] = [0, 1, 2];
const DRIVES = ["poison", "edible", "neutral"];
const GUESS = 1 / DRIVES.length;
const ACROSS = { low: -0.6, high: 6 };

export const controls = (data) => {
  const choice = (name, label, words, start) => ({ kind: "choice", name, label, options: words.map((word) => [word, word]), start });
  const at = (share) => data.half_width * share;
  return [
    { kind: "place", name: "edible", label: "The edible tree", start: [at(0.3), 0], look: "edible" },
    { kind: "place", name: "poisonous", label: "The poisonous tree", start: [at(-0.1), 0], look: "poisonous" },
    { kind: "place", name: "nose", label: "The nose", start: [at(0.05), at(0.3)], look: "square" },
    choice("edible_kind", "edible", data.edible_kinds, data.kinds[0]),
    choice("poisonous_kind", "poisonous", data.poisonous_kinds, data.kinds[1]),
    choice("edible_name", "edible, name", data.names, data.names[0]),
    choice("poisonous_name", "poisonous, name", data.names, data.names[1]),
    choice("edible_amount", "edible, amount", data.amounts, data.amount),
    choice("poisonous_amount", "poisonous, amount", data.amounts, data.amount),
    choice("classifier", "classifier", data.classifiers, data.classifiers[0]),
  ];
};

const plus = (a, b, share = 1) => a.map((value, m) => value + share * b[m]);

function softmax(scores) {
  const largest = Math.max(...scores);
  const parts = scores.map((score) => Math.exp(score - largest));
  const total = parts.reduce((sum, part) => sum + part, 0);
  return parts.map((part) => part / total);
}

const strongest = (values) => values.indexOf(Math.max(...values));

/** Products of the drives with the smell of each tree: with its amount, and without. */
function treesOf(data, values) {
  const products = data.products[data.classifiers.indexOf(values.classifier)];
  const of = (word) => products[data.words.indexOf(word)];
  return ["edible", "poisonous"].map((look) => {
    const far = plus(of(values[`${look}_kind`]), of(values[`${look}_name`]));
    return { place: values[look], far, near: plus(far, of(values[`${look}_amount`])) };
  });
}

const strength = (data, squared) => Math.exp(-squared / (2 * data.diffusion_time));

function scoresAt(data, trees, [x, y]) {
  const scores = [0, 0, 0];
  for (const { place, near, far } of trees) {
    const squared = (x - place[0]) ** 2 + (y - place[1]) ** 2;
    const products = Math.sqrt(squared) <= data.can_see_fruit_distance ? near : far;
    const share = strength(data, squared);
    for (let m = 0; m < 3; m += 1) scores[m] += share * products[m];
  }
  return scores;
}

/**
 * At which distances of the edible tree the foot of the poisonous one is called edible, as intervals; null is beyond
 * all. There the scores are a + s b, with the strength s of the edible tree: a straight line against each other drive.
 */
function maskedWhere(data, [edible, poisonous]) {
  const seam = strength(data, data.can_see_fruit_distance ** 2);
  const away = (share) => (share > 0 ? Math.sqrt(Math.max(0, -2 * data.diffusion_time * Math.log(share))) : null);
  const found = [];
  for (const [food, least, most] of [[edible.near, seam, 1], [edible.far, 0, seam]]) {
    let [low, high] = [least, most];
    for (const other of [POISON, NEUTRAL]) {
      const a = poisonous.near[EDIBLE] - poisonous.near[other];
      const b = food[EDIBLE] - food[other];
      if (b > 0) low = Math.max(low, -a / b);
      else if (b < 0) high = Math.min(high, -a / b);
      else if (a <= 0) high = low;
    }
    if (low < high) found.push([away(high), away(low)]);
  }
  return found;
}

export function compute(data, values) {
  const trees = treesOf(data, values);
  const paper = fromHex(values.paper ?? data.colours.light.paper);
  const hues = ["poisonous", "edible"].map((name) => fromHex(data.colours.light[name]));
  const cells = gridPoints(data.half_width, CELLS).map((point) => {
    const chances = softmax(scoresAt(data, trees, point));
    const [poison, food] = [POISON, EDIBLE].map((drive) => Math.max(0, (chances[drive] - GUESS) / (1 - GUESS)));
    return paper.map((part, i) => part + poison * (hues[0][i] - part) + food * (hues[1][i] - part));
  });
  const [nose, foot] = [values.nose, values.poisonous].map((place) => {
    const probabilities = softmax(scoresAt(data, trees, place));
    return { probabilities, verdict: strongest(probabilities) };
  });
  return { cells, nose, foot, gap: distance(values.edible, values.poisonous), masked: maskedWhere(data, trees) };
}

export function draw(canvas, data, values, answer) {
  const [map, beside] = canvas.panels([
    { kind: "map", half_width: data.half_width, title: "What places are taken for" },
    { kind: "text", x: ACROSS, y: { low: 0, high: 1 }, title: "Probabilities" },
  ]);
  map.cells(answer.cells, CELLS);
  for (const end of answer.masked.flat()) {
    if (end) map.circle(values.poisonous, end, { stroke: "ink", alpha: 0.7 });
  }
  for (const [level, words] of [[0, "0"], [GUESS, "⅓"], [1, "1"]]) {
    beside.line([[ACROSS.low, level], [ACROSS.high, level]], { colour: "line", width: 1, dash: level === GUESS ? [4, 3] : [] });
    beside.text([ACROSS.low, level], words, { align: "right", shift: [-6, 0] });
  }
  const width = Math.min(34, 0.8 * beside.pixels(1));
  [["at the nose", answer.nose], ["at the poisonous tree", answer.foot]].forEach(([words, { probabilities, verdict }], i) => {
    probabilities.forEach((chance, drive) => {
      const x = 3.4 * i + drive;
      beside.bar(x, 0, chance, width, { fill: ["poisonous", "edible", "line"][drive] });
      beside.text([x, chance], chance.toFixed(2), { align: "center", shift: [0, -9], size: 11 });
      beside.text([x, 0], DRIVES[drive], { align: "center", shift: [0, 10], size: 11, weight: drive === verdict ? 600 : 400, colour: drive === verdict ? "ink" : "soft" });
    });
    beside.text([3.4 * i + 1, 0], words, { align: "center", shift: [0, 26], colour: "ink" });
  });
}

function spelled([low, high]) {
  if (high === null) return low > 0 ? `from ${metres(low)}` : "at any distance";
  return low > 0 ? `${metres(low)} to ${metres(high)}` : `up to ${metres(high)}`;
}

export function say(data, values, { nose, foot, gap, masked }) {
  const told = ({ probabilities, verdict }) => `${DRIVES[verdict]}, ${probabilities[verdict].toFixed(2)}`;
  return [
    ["at the nose", told(nose)],
    ["at the poisonous tree", told(foot)],
    ["the trees are apart", metres(gap)],
    ["poison looks edible", masked.length ? masked.map(spelled).join(" and ") : "nowhere"],
  ];
}

export default figure({ controls, compute, draw, say });
