// A life in the world of the chapter, led by the reader, beside those of agents in the same world.
import { scentColours } from "./toolkit/colours.mjs";
import { element } from "./toolkit/controls.mjs";
import { figure } from "./toolkit/figure.mjs";
import { distance, dot, metres, minus, norm } from "./toolkit/numbers.mjs";
import { smellAt } from "./toolkit/reading.mjs";

const NONE = -1;
const NEARBY = 1.5; // reaches of the eyes from the middle to the side of the map of what is near
const WEIGHT = 1.4; // of the map, beside the chart
const STILL = 8; // pixels that a tap may move
const WIDE = 560; // pixels from which there is room for two panels
const single = Math.fround; // places are kept in single precision, as the library keeps them
const looksOf = (data) => data.directions.length;
const longestOf = (data) => Math.max(...data.lives.flatMap((life) => life.num_steps));

export const controls = (data) => [
  { kind: "steps", name: "actions", start: [], make: straight, hint: "Tap where to walk, or use arrow keys: with shift, to look only; Space rests." },
  { kind: "steps", name: "diagonals", start: 0, make: slanting },
  { kind: "steps", name: "rests", start: 0, make: resting },
  { kind: "choice", name: "pace", label: "Each press", options: [[1, "one step"], [10, "ten steps"], [50, "fifty steps"]], start: 1 },
  { kind: "choice", name: "map", label: "The map shows", options: [["near", "what is near"], ["known", "what you have seen"], ["all", "all there is"], ["health", "health instead"]], start: "near" },
  { kind: "choice", name: "beside", label: "Beside you", options: data.lives.map(({ name }, index) => [index, name]), start: 0 },
  { kind: "slider", name: "watched", label: "Its first steps", low: 0, high: longestOf(data), start: 0, scale: "whole" },
  { kind: "button", name: "again", label: "Begin another life", sets: { actions: [] } },
];

// --- the rules of the world ----------------------------------------------------------------------

function begin(data) {
  const { trees, max_health, max_fruit, heading } = data;
  const life = {
    actions: [], time: 0, place: [0, 0], heading, health: max_health, end: "",
    fruit: trees.places.map(() => max_fruit), regrows: trees.places.map(() => Infinity),
    places: [], healths: [], eaten: [], smells: [], seen: new Set(), tasted: new Set(),
  };
  perceiveAndEat(data, life);
  return life;
}

/** End a step as was decided, and begin the next one; the dead stay as they are. */
function act(data, life, action) {
  life.actions.push(action);
  if (life.health <= 0) return;
  const move = Math.floor(action / looksOf(data));
  if (move > 0) life.place = moved(data, life.place, move - 1);
  life.heading = data.directions[action % looksOf(data)];
  life.health = Math.max(0, life.health - (move > 0 ? data.move_cost : data.rest_cost));
  if (life.health <= 0) life.end = "starved";
  perceiveAndEat(data, life);
}

const moved = (data, place, way) => place.map((value, axis) => single(value + single(single(data.max_step_length) * data.directions[way][axis])));

function perceiveAndEat(data, life) {
  const { trees } = data;
  let eaten = NONE;
  if (life.health > 0) {
    life.time += 1;
    life.regrows.forEach((time, tree) => {
      if (time <= life.time) { life.fruit[tree] = data.max_fruit; life.regrows[tree] = Infinity; }
    });
    const away = trees.places.map((place) => awayFrom(life.place, place));
    life.sees = look(data, life, away);
    life.distance = life.sees === NONE ? null : away[life.sees];
    if (life.sees !== NONE) life.seen.add(life.sees);
    life.amount = life.sees === NONE ? null : amountWord(life.fruit[life.sees]);
    life.smells.push(smellAt(life.place, { ...trees, amount_scents: life.fruit.map((count) => data.amounts[amountWord(count)]) }));
    eaten = nearest(away, (tree) => away[tree] <= single(data.eat_distance) && life.fruit[tree] > 0);
    if (eaten !== NONE) eat(data, life, eaten);
  }
  life.places.push(life.place);
  life.healths.push(life.health);
  life.eaten.push(eaten);
}

function eat(data, life, tree) {
  life.fruit[tree] -= 1;
  life.regrows[tree] = life.time + data.fruit_regrowth_steps;
  life.tasted.add(tree);
  const worth = data.trees.poisonous[tree] ? data.poison_health : data.edible_health;
  life.health = Math.min(Math.max(0, life.health + worth), data.max_health);
  if (life.health <= 0) life.end = "poisoned";
}

function awayFrom(here, there) {
  const [x, y] = [single(here[0] - there[0]), single(here[1] - there[1])];
  return single(Math.sqrt(single(y * y + single(x * x))));
}

/** The nearest tree in reach of the eyes and in the cone of sight. */
function look({ trees, eyes }, { place, heading }, away) {
  return nearest(away, (tree) => {
    if (away[tree] > single(eyes.max_sense_distance)) return false;
    const [x, y] = trees.places[tree].map((value, axis) => single(single(value - place[axis]) * single(heading[axis])));
    return single(x + y) > single(single(eyes.heading_tolerance) * away[tree]) || away[tree] === 0;
  });
}

function nearest(away, counts) {
  let found = NONE;
  away.forEach((one, tree) => { if (counts(tree) && (found === NONE || one < away[found])) found = tree; });
  return found;
}

/** Index of the word for an amount of fruit. */
const amountWord = (count) => (count <= 2 ? count : count <= 5 ? 3 : 4);

// --- what is shown -------------------------------------------------------------------------------

/** The life is kept, and goes on if actions have been added; else it is led again. */
export function prepare(data) {
  let life = begin(data);
  const lifeAfter = (actions) => {
    const goesOn = life.actions.length <= actions.length && life.actions.every((action, i) => action === actions[i]);
    if (!goesOn) life = begin(data);
    for (const action of actions.slice(life.actions.length)) act(data, life, action);
    return life;
  };
  return { ...data, lifeAfter };
}

export function compute(data, { actions, paper }) {
  const life = data.lifeAfter(actions);
  const colour = scentColours(data.palette, paper ?? data.colours.light.paper);
  const alive = life.health > 0;
  const smell = alive ? life.smells.at(-1) : life.smells[0].map(() => 0);
  const meals = life.eaten.filter((tree) => tree !== NONE);
  return {
    steps: life.healths.length - 1, alive, end: life.end,
    place: life.place, heading: life.heading, health: life.health,
    places: [...life.places], healths: [...life.healths], eaten: [...life.eaten], fruit: [...life.fruit],
    meals: meals.length, poisonous_meals: meals.filter((tree) => data.trees.poisonous[tree]).length,
    sees: alive ? life.sees : NONE, distance: alive ? life.distance : null, amount: alive ? life.amount : null,
    seen: [...life.seen], tasted: [...life.tasted],
    smell, colour: colour(smell), colours: life.smells.map(colour),
  };
}

export function draw(canvas, data, values, answer) {
  const reach = data.eyes.max_sense_distance;
  const map = values.map === "near"
    ? { kind: "map", weight: WEIGHT, half_width: NEARBY * reach, centre: answer.place, title: "What is near you" }
    : { kind: "map", weight: WEIGHT, half_width: data.half_width, title: values.map === "all" ? "All there is" : "What you have seen" };
  const chart = { kind: "chart", x: { low: 0, high: 1.03 * Math.max(longestOf(data), answer.steps), label: "time (steps)" }, y: { low: 0, high: 1.04 * data.max_health, label: "health (points)" }, title: `You, and: ${data.lives[values.beside].name}` };
  const wanted = values.map === "health" ? [chart] : canvas.width >= WIDE ? [map, chart] : [map];
  for (const panel of canvas.panels(wanted)) (panel.spec === map ? drawMap : drawHealth)(panel, data, values, answer);
}

function drawMap(plain, data, { map, beside, watched }, answer) {
  const { trees, eyes, lives } = data;
  const reach = eyes.max_sense_distance;
  const middle = Math.atan2(answer.heading[1], answer.heading[0]);
  const half = Math.acos(eyes.heading_tolerance);
  const rim = Array.from({ length: 13 }, (_, i) => middle + half * (i / 6 - 1));
  if (answer.alive) plain.region([answer.place, ...rim.map((angle) => [answer.place[0] + reach * Math.cos(angle), answer.place[1] + reach * Math.sin(angle)])], { fill: "leaf", alpha: 0.15 });
  if (map === "near") for (const radius of [reach, data.eat_distance]) plain.circle(answer.place, radius, { stroke: "line" });
  plain.line(answer.places, { colour: "soft", width: 1, alpha: 0.5 });
  answer.colours.forEach((colour, i) => {
    if (answer.places[i] === answer.places[i + 1]) return; // a rest: the last one is drawn
    plain.disc(answer.places[i], map === "near" ? 3.5 : 2, { fill: colour, stroke: "line", width: 0.5 });
  });
  const walked = lives[beside].path.slice(0, 1 + Math.floor(watched / data.path_every));
  if (watched > 0) {
    plain.line(walked, { colour: "series0", width: 1.5, alpha: 0.8 });
    plain.disc(walked.at(-1), 4, { fill: "series0", stroke: "paper" });
  }
  trees.places.forEach((place, tree) => drawTree(plain, data, answer, tree, place, map));
  plain.square(answer.place, 5, { fill: answer.alive ? "clay" : "soft", stroke: "paper" });
  const [x, y] = [plain.area.x + 8, plain.area.y + 14];
  plain.swatch(x, y, answer.colour);
  plain.words(x + 26, y, `smell, ${norm(answer.smell).toFixed(2)}`, { colour: "ink" });
}

/** A tree that was seen has a name; what it is worth is known of those that were tasted. */
function drawTree(plain, data, answer, tree, place, map) {
  const isKnown = map === "all" || answer.tasted.includes(tree);
  if (!isKnown && !answer.seen.includes(tree)) return;
  const alpha = isKnown && answer.fruit[tree] === 0 ? 0.35 : 1;
  if (!isKnown) plain.disc(place, 5, { fill: "paper", stroke: "ink", width: 1.5 });
  else if (data.trees.poisonous[tree]) plain.cross(place, 5.5, { fill: "poisonous", stroke: "paper", alpha });
  else plain.disc(place, 5.5, { fill: "edible", stroke: "paper", alpha });
  if (tree === answer.sees) plain.disc(place, 9, { stroke: "leaf", width: 2 });
  if (map === "near" && plain.holds(plain.at(place))) plain.text(place, data.trees.names[tree], { align: "center", shift: [0, -14] });
}

function drawHealth(time, data, { beside, watched }, answer) {
  const life = data.lives[beside];
  life.healths.forEach((healths, world) => {
    const look = world === life.shown ? { width: 1.8, alpha: 0.9 } : { width: 0.8, alpha: 0.35 };
    time.line(healths.map((health, i) => [Math.min(i * data.health_every, life.num_steps[world]), health]), { colour: "leaf", ...look });
  });
  if (life.healths.every((healths) => healths.at(-1) === 0)) time.line([[life.lifetime, 0], [life.lifetime, data.max_health]], { colour: "soft", width: 1, dash: [4, 3] });
  if (watched > 0) time.line([[watched, 0], [watched, data.max_health]], { colour: "series0", width: 1 });
  time.line(answer.healths.map((health, step) => [step, health]), { colour: "clay", width: 2.5 });
  answer.eaten.forEach((tree, step) => {
    if (tree === NONE) return;
    if (data.trees.poisonous[tree]) time.cross([step, answer.healths[step]], 4, { fill: "poisonous" });
    else time.disc([step, answer.healths[step]], 2.5, { fill: "edible" });
  });
}

/** How many were alive when looked at last, or how long all lived on average. */
function fate(data, { healths, lifetime }) {
  const alive = healths.filter((of) => of.at(-1) > 0).length;
  return alive ? `${alive} of ${healths.length} alive after ${longestOf(data)} steps` : `${lifetime.toFixed(0)} steps on average`;
}

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

export function say(data, { beside }, answer) {
  const other = data.lives[beside];
  const now = answer.alive ? `alive after ${counted(answer.steps, "step")}, ${answer.health} points` : `${answer.end} after ${counted(answer.steps, "step")}`;
  const sight = answer.sees === NONE ? "no tree" : `${data.trees.names[answer.sees]}, ${data.phrases[answer.amount]}, ${metres(answer.distance)} away`;
  return [
    ["you", now],
    [other.name, fate(data, other)],
    ["you ate", `${answer.meals - answer.poisonous_meals} of food, ${answer.poisonous_meals} of poison`],
    ["you see", answer.alive ? sight : "nothing"],
  ];
}

// --- steering ------------------------------------------------------------------------------------

const actionOf = (data, move, direction) => move * looksOf(data) + direction;
const walk = (data, direction) => actionOf(data, direction + 1, direction);

/** The direction that is nearest to a heading. */
function directionOf(data, heading) {
  const along = data.directions.map((one) => dot(one, heading));
  return along.indexOf(Math.max(...along));
}

/** Steps that lead from a place as near to another as they can, each one nearer. */
export function wayTo(data, from, to) {
  const actions = [];
  for (let here = from; ;) {
    const next = data.directions.map((_, direction) => moved(data, here, direction));
    const left = next.map((place) => distance(place, to));
    const best = left.indexOf(Math.min(...left));
    if (left[best] >= distance(here, to)) return actions;
    actions.push(walk(data, best));
    here = next[best];
  }
}

function takeActions({ prepared, current, change }, more) {
  const { actions } = current();
  if (prepared.lifeAfter(actions).health > 0) change({ actions: [...actions, ...more] });
}

const lookNow = ({ prepared, current }) => directionOf(prepared, prepared.lifeAfter(current().actions).heading);
const many = (context, action) => takeActions(context, new Array(context.current().pace).fill(action));

function buttons(label, entries) {
  const made = entries.map(([text, spoken, press]) => {
    const one = element("button", { type: "button", textContent: text });
    one.setAttribute("aria-label", spoken);
    one.addEventListener("click", press);
    Object.assign(one.style, { minWidth: "2.75rem", border: "1px solid" });
    return one;
  });
  const name = element("span", { textContent: label });
  name.style.flex = "0 0 3rem"; // so that rows begin alike
  return element("div", { className: "touch-row touch-steps" }, name, ...made);
}

const walkButtons = (label, context, entries) => buttons(label, entries.map(([text, spoken, direction]) => [text, `Walk ${spoken}`, () => many(context, walk(context.prepared, direction))]));

/** Buttons, and what is on the stage: a place for the keys to act on, and taps that say where to walk. */
function straight(spec, context) {
  const { canvas, stage, prepared, current } = context;
  const handle = element("div", { className: "touch-handle", tabIndex: 0 });
  handle.style.pointerEvents = "none"; // taps are meant for the map
  handle.setAttribute("role", "application");
  handle.setAttribute("aria-label", "You. Arrow keys walk, with shift they only turn your eyes, Space rests.");
  stage.append(handle);
  handle.addEventListener("keydown", (event) => {
    const direction = { ArrowRight: 0, ArrowUp: 2, ArrowLeft: 4, ArrowDown: 6 }[event.key];
    if (event.key === " ") many(context, actionOf(prepared, 0, lookNow(context)));
    else if (direction === undefined) return;
    else if (event.shiftKey) takeActions(context, [actionOf(prepared, 0, direction)]);
    else many(context, walk(prepared, direction));
    event.preventDefault();
  });
  let down = null;
  stage.addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; });
  stage.addEventListener("pointercancel", () => { down = null; });
  stage.addEventListener("pointerup", (event) => {
    if (!down || norm(minus(down, [event.clientX, event.clientY])) > STILL) return;
    const box = stage.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    const [map] = canvas.current;
    if (map.spec.kind !== "map" || !map.holds(at)) return;
    handle.focus({ preventScroll: true });
    takeActions(context, wayTo(prepared, prepared.lifeAfter(current().actions).place, map.from(at)));
  });
  return {
    row: walkButtons("Walk", context, [["←", "to the left", 4], ["↑", "up", 2], ["↓", "down", 6], ["→", "to the right", 0]]),
    follow(values) {
      const [map] = canvas.current;
      if (map.spec.kind !== "map") return;
      const [x, y] = map.at(prepared.lifeAfter(values.actions).place);
      handle.style.transform = `translate(${x}px, ${y}px)`;
    },
  };
}

const slanting = (spec, context) => ({
  row: walkButtons("Aslant", context, [["↖", "up and left", 3], ["↗", "up and right", 1], ["↙", "down and left", 5], ["↘", "down and right", 7]]),
  follow() {},
});

function resting(spec, context) {
  const turn = (by) => () => {
    const number = looksOf(context.prepared);
    takeActions(context, [actionOf(context.prepared, 0, (lookNow(context) + by + number) % number)]);
  };
  return {
    row: buttons("Stay", [
      ["↺", "Look more to the left", turn(1)],
      ["Rest", "Rest", () => many(context, actionOf(context.prepared, 0, lookNow(context)))],
      ["↻", "Look more to the right", turn(-1)],
    ]),
    follow() {},
  };
}

export default figure({ prepare, controls, compute, draw, say });
