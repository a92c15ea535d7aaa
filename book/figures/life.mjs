// A life, step by step: where the agent is, what trees bear, and its ledger, by the rules of the world.
import { Panel } from "./toolkit/canvas.mjs";
import { figure } from "./toolkit/figure.mjs";
import { distance, signed } from "./toolkit/numbers.mjs";

const RECENT = 40; // moves that are drawn strong

/** Health after each step, and what was eaten, spent and lost until then. */
export function prepare(data) {
  const { moved, meals, num_steps: last } = data;
  const ledger = { healths: [data.start_health], eaten: [0], spent: [0], lost: [0], moves: [0] };
  let [move, meal] = [0, 0];
  for (let step = 1; step <= last; step += 1) {
    const worth = meals.steps[meal] === step ? meals.healths[meal++] : 0;
    const moves = moved[move] === step;
    if (moves) move += 1;
    const cost = moves ? data.move_cost : data.rest_cost;
    const fed = Math.max(0, ledger.healths[step - 1] + worth);
    const kept = Math.min(fed, data.max_health);
    ledger.healths.push(Math.max(0, kept - cost));
    ledger.eaten.push(ledger.eaten[step - 1] + worth);
    ledger.spent.push(ledger.spent[step - 1] + cost);
    ledger.lost.push(ledger.lost[step - 1] + fed - kept);
    ledger.moves.push(move);
  }
  return { ...data, ledger };
}

export const controls = (data) => [
  { kind: "time", name: "step", label: "step", low: 0, high: data.num_steps, start: data.num_steps, per_second: 60 },
];

/** Fruits on each tree after a step, and in how many steps it is full; 0 where it is. */
function fruitAfter({ trees, meals, max_fruit: full, regrowth_steps: regrowth }, step) {
  const [fruit, regrows] = [trees.places.map(() => full), trees.places.map(() => Infinity)];
  const regrow = (tree, now) => { if (regrows[tree] <= now) [fruit[tree], regrows[tree]] = [full, Infinity]; };
  meals.steps.forEach((when, i) => {
    if (when > step) return;
    const tree = meals.trees[i];
    regrow(tree, when);
    fruit[tree] -= 1;
    regrows[tree] = when + regrowth;
  });
  fruit.forEach((_, tree) => regrow(tree, step));
  return { fruit, wait: regrows.map((when) => (when === Infinity ? 0 : when - step)) };
}

/** What was remembered of trees after a step, and what was sought; null where nobody kept a diary. */
function mindAfter({ known, aims }, step) {
  if (!known) return { remembered: null, aim: null };
  const remembered = new Map();
  known.steps.forEach((when, i) => {
    if (when > step) return;
    if (known.verdicts[i] === null) remembered.delete(known.trees[i]);
    else remembered.set(known.trees[i], { tree: known.trees[i], place: known.places[i], sd: known.sds[i], verdict: known.verdicts[i] });
  });
  const last = aims.steps.findLastIndex((when) => when <= step);
  const tree = last < 0 ? null : aims.trees[last];
  return {
    remembered: [...remembered.values()].sort((a, b) => a.tree - b.tree),
    aim: last < 0 ? null : { tree, place: tree === null ? aims.places[last] : remembered.get(tree)?.place ?? null },
  };
}

export function compute(data, { step }) {
  const { ledger, meals } = data;
  const ahead = meals.steps.findIndex((when) => when > step);
  return {
    step,
    place: data.way[ledger.moves[step]],
    moves: ledger.moves[step],
    health: ledger.healths[step],
    eaten: ledger.eaten[step],
    spent: ledger.spent[step],
    lost: ledger.lost[step],
    ...fruitAfter(data, step),
    ...mindAfter(data, step),
    meals: ahead < 0 ? meals.steps.length : ahead,
    next: ahead < 0 ? null : { tree: meals.trees[ahead], steps: meals.steps[ahead] - step },
  };
}

/** A map above a graph, as the picture below them is no wider than it is high. */
function stacked(canvas, map, chart) {
  const { width, height } = canvas;
  const above = Math.min(0.7 * height, width);
  return [new Panel(canvas, map, [0, 0, width, above]), new Panel(canvas, chart, [0, above, width, height - above])];
}

/** Rings where trees are remembered, of two deviations around; what is not remembered is pale. */
function drawTrees(map, data, { fruit, remembered }) {
  const nearest = (place) => Math.min(...remembered.map((one) => distance(one.place, place) - 3 * one.sd));
  for (const { place, sd, verdict } of remembered ?? []) {
    map.disc(place, Math.max(10, map.pixels(2 * sd)), { stroke: verdict > 0 ? "edible" : verdict < 0 ? "poisonous" : "soft", width: 1.5 });
  }
  data.trees.places.forEach((place, i) => {
    if (remembered && nearest(place) > 0) {
      map.disc(place, 3, { fill: "soft", alpha: 0.5 });
      return;
    }
    const colour = data.trees.poisonous[i] ? "poisonous" : "edible";
    const share = fruit[i] / data.max_fruit;
    if (data.trees.poisonous[i]) map.cross(place, 5.5, { fill: colour, stroke: "paper", alpha: share > 0 ? 1 : 0.4 });
    else {
      map.disc(place, 6, { fill: "paper", stroke: colour, width: 1.5 });
      if (share > 0) map.disc(place, 6 * Math.sqrt(share), { fill: colour });
    }
  });
}

export function draw(canvas, data, values, answer) {
  const [map, chart] = stacked(
    canvas,
    { kind: "map", half_width: data.half_width, title: `After ${answer.step.toLocaleString("en")} steps` },
    {
      kind: "chart",
      x: { low: 0, high: data.num_steps, label: "time (steps)" },
      y: { low: 0, high: 1.04 * data.max_health, label: "health (points)" },
    },
  );
  for (const panel of [map, chart]) panel.axes();
  const { healths } = data.ledger;
  map.line(data.way.slice(0, answer.moves + 1), { colour: "soft", width: 1, alpha: 0.5 });
  map.line(data.way.slice(Math.max(0, answer.moves - RECENT), answer.moves + 1), { colour: "series0", width: 2 });
  const towards = answer.remembered ? answer.aim?.place : answer.next && data.trees.places[answer.next.tree];
  if (towards) map.line([answer.place, towards], { colour: "ink", width: 1.2, dash: [4, 4] });
  drawTrees(map, data, answer);
  map.square(answer.place, 5, { fill: "ink", stroke: "paper" });

  const points = healths.map((health, step) => [step, health]);
  chart.line(points, { colour: "soft", width: 1, alpha: 0.4 });
  chart.line(points.slice(0, answer.step + 1), { colour: "ink", width: 1.5 });
  for (let meal = 0; meal < answer.meals; meal += 1) {
    const step = data.meals.steps[meal];
    if (data.meals.healths[meal] < 0) chart.cross([step, healths[step]], 5, { fill: "poisonous", stroke: "paper" });
    else chart.disc([step, healths[step]], 3, { fill: "edible", stroke: "paper" });
  }
  chart.line([[answer.step, 0], [answer.step, data.max_health]], { colour: "line", width: 1 });
  chart.square([answer.step, answer.health], 4, { fill: "ink", stroke: "paper" });
}

export function say(data, values, answer) {
  const ledger = [
    ["health", `${signed(answer.health)} points`],
    ["eaten − spent − lost", `${signed(answer.eaten)} − ${signed(answer.spent)} − ${signed(answer.lost)}`],
  ];
  if (answer.remembered) {
    const food = answer.remembered.filter(({ verdict }) => verdict > 0).length;
    const { tree = null, place = null } = answer.aim ?? {};
    return [
      ...ledger,
      ["trees remembered", `${answer.remembered.length}, ${food} of them food`],
      ["the dashes lead", tree !== null ? "to the tree it wants next" : place ? "to where it looks for trees" : "nowhere: it seeks nothing"],
    ];
  }
  const bearing = answer.fruit.filter((count) => count > 0).length;
  const steps = (number) => `${number} ${number === 1 ? "step" : "steps"}`;
  return [
    ...ledger,
    ["trees that bear", `${bearing} of ${answer.fruit.length}`],
    ["next meal", answer.next ? `in ${steps(answer.next.steps)}, where the dashes lead` : "none any more"],
  ];
}

export default figure({ prepare, controls, compute, draw, say });
