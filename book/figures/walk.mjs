// A walk whose steps drift: where the body is and believes to be, how sure it is, and what a smell tells it.
import { Panel, ellipseOf } from "./toolkit/canvas.mjs";
import { figure } from "./toolkit/figure.mjs";
import { norm, signed } from "./toolkit/numbers.mjs";

const ONE_DEVIATION = 1 - Math.exp(-0.5); // the share that an ellipse of one deviation holds
const VIEWS = [12, 25, 50, 100, 200, 400, 800]; // metres: half the width of the map of what is near
const BAR = 34; // pixels, of half the bar of the steepest slope

/** The matrix L Lᵀ, from the three numbers of L. */
const squared = ([l, m, n]) => [[l * l, l * m], [l * m, m * m + n * n]];

/** How far each belief is off, and the longer half axis of what it claims. */
function seriesOf({ errors, factors }, share) {
  return { off: errors.map(norm), claimed: factors.map((three) => ellipseOf(squared(three), share).axes[0]) };
}

export function prepare(data) {
  const walks = data.walks.map((walk) => ({
    ...walk,
    steepest: Math.max(...walk.slopes.map((three) => ellipseOf(squared(three), ONE_DEVIATION).axes[0])),
    series: { believed: seriesOf(walk.believed, data.share), reckoned: seriesOf(walk.reckoned, data.share) },
  }));
  return { ...data, walks };
}

export const controls = (data) => [
  { kind: "choice", name: "walk", label: "the body", options: data.walks.map(({ name }, i) => [String(i), name]), start: "0" },
  { kind: "time", name: "moment", label: "moment", low: 1, high: data.moments, start: data.moments, per_second: 12 },
  { kind: "switch", name: "forget", label: "forget the correction", start: false },
];

export function compute(data, { walk, moment, forget }) {
  const run = data.walks[Number(walk)];
  const at = moment - 1;
  const { errors, factors } = forget ? run.reckoned : run.believed;
  const [error, [l, m, n]] = [errors[at], factors[at]];
  const covariance = squared(factors[at]);
  const { axes, angle } = ellipseOf(covariance, data.share);
  const off = norm(error);
  // The truth lies L⁻¹ error away, in deviations.
  const away = [error[0] / l, (error[1] - (m * error[0]) / l) / n];
  const slope = ellipseOf(squared(run.slopes[at]), ONE_DEVIATION);
  return {
    step: moment * run.every,
    place: run.true[at],
    believed: run.true[at].map((value, axis) => value + error[axis]),
    covariance,
    off,
    axes,
    angle,
    held: away[0] ** 2 + away[1] ** 2 <= -2 * Math.log(1 - data.share),
    told: !forget && run.told[at] === 1,
    slopes: forget ? null : slope.axes,
    steep: forget ? null : slope.angle,
    view: VIEWS.find((half) => half >= 1.15 * Math.max(off, axes[0])) ?? VIEWS.at(-1),
  };
}

/** A map of all, one of what is near, a graph; where there is little room the last two. */
function panelsFor(canvas, [map, near, chart]) {
  if (canvas.width >= 560) return canvas.panels([map, near, chart]);
  const { width, height } = canvas;
  const panels = [near, chart].map((spec, i) => new Panel(canvas, spec, [0.5 * i * width, 0, 0.5 * width, height]));
  for (const panel of panels) panel.axes();
  return [null, ...panels];
}

function drawNear(near, data, run, answer) {
  const { place, believed, slopes, steep } = answer;
  near.trees(data.trees);
  near.ellipse(believed, answer.covariance, data.share, { stroke: "series0", fill: "series0", alpha: 0.16, width: 1.5 });
  if (slopes) slopes.forEach((slope, i) => { // along them smells change
    const turn = steep + (i * Math.PI) / 2;
    const half = (slope / run.steepest) * BAR / near.pixels(1);
    const [x, y] = [half * Math.cos(turn), half * Math.sin(turn)];
    near.line([[believed[0] - x, believed[1] - y], [believed[0] + x, believed[1] + y]], { colour: "clay", width: 3 });
  });
  near.line([place, believed], { colour: "ink", width: 1, dash: [3, 3] });
  near.disc(believed, 4, { fill: "series0", stroke: "paper" });
  near.square(place, 4, { fill: "ink", stroke: "paper" });
}

export function draw(canvas, data, values, answer) {
  const run = data.walks[Number(values.walk)];
  const { errors } = values.forget ? run.reckoned : run.believed;
  const { off, claimed } = values.forget ? run.series.reckoned : run.series.believed;
  const highest = 1.05 * Math.max(...off, ...claimed);
  const [map, near, chart] = panelsFor(canvas, [
    { kind: "map", half_width: data.half_width, title: "The whole land" },
    { kind: "map", half_width: answer.view, centre: answer.place.map(Math.round), title: "Around the body" },
    {
      kind: "chart",
      title: "Error and claim (m)",
      x: { low: 0, high: data.moments * run.every, label: "time (steps)" },
      y: { low: 0, high: highest },
    },
  ]);
  if (map) {
    const so_far = run.true.slice(0, values.moment);
    map.trees(data.trees, 4);
    map.line(so_far, { colour: "ink", width: 1, alpha: 0.6 });
    map.line(so_far.map(([x, y], i) => [x + errors[i][0], y + errors[i][1]]), { colour: "series0", width: 1.2, dash: [5, 2] });
    map.disc(answer.believed, 4, { fill: "series0", stroke: "paper" });
    map.square(answer.place, 4, { fill: "ink", stroke: "paper" });
  }
  drawNear(near, data, run, answer);
  const points = (values_) => values_.map((value, i) => [(i + 1) * run.every, value]);
  chart.line(points(claimed), { colour: "series0", width: 1.2, dash: [4, 2] });
  chart.line(points(off), { colour: "ink", width: 1.2 });
  chart.line([[answer.step, 0], [answer.step, highest]], { colour: "line", width: 1 });
  chart.disc([answer.step, answer.axes[0]], 3.5, { fill: "series0", stroke: "paper" });
  chart.square([answer.step, answer.off], 3.5, { fill: "ink", stroke: "paper" });
}

export function say(data, values, answer) {
  const written = (length) => signed(length, length < 100 ? 1 : 0);
  return [
    ["after step", `${answer.step.toLocaleString("en")}; its place is ${answer.told ? "" : "not "}told`],
    ["off by", `${written(answer.off)} m`],
    [`half axes, ${signed(100 * data.share)} %`, `${answer.axes.map(written).join(" and ")} m; the body is ${answer.held ? "inside" : "outside"}`],
    ["smell changes by", answer.slopes ? `${answer.slopes.map((slope) => signed(slope, 4)).join(" and ")} per m` : "is forgotten"],
  ];
}

export default figure({ prepare, controls, compute, draw, say });
