// Observations go, by the rule of certified pruning or by hand. What is left tells the others.
import { figure } from "./toolkit/figure.mjs";
import { dot, metres, minus } from "./toolkit/numbers.mjs";

export const controls = (data) => [
  {
    kind: "slider", name: "tolerance", label: "ε, the tolerance", low: data.tolerances[0],
    high: data.tolerances[1], start: data.tolerance, scale: "log", digits: 3,
  },
  {
    kind: "time", name: "steps", label: "go by the rule, at most", low: 0,
    high: data.places.length, start: data.places.length, per_second: 20,
  },
  { kind: "spots", name: "gone", label: "Take away, or put back, the observation nearest to the square", places: data.places },
  { kind: "place", name: "asked", label: "The square asks the observation nearest to it", start: [0, 0], panel: 0, look: "square" },
];

// Of each observation its neighbours, their weights there, and the products of the steps from its
// smell to theirs: of these all errors are made.
export function prepare(data) {
  const near = data.places.map(([x, y], r) => {
    const rows = [];
    const weights = [];
    data.places.forEach(([u, v], t) => {
      const squared = (x - u) ** 2 + (y - v) ** 2;
      if (t === r || squared > data.match_threshold ** 2) return;
      rows.push(t);
      weights.push(Math.exp(-squared / (4 * data.sd ** 2)));
    });
    const steps = rows.map((t) => minus(data.scents[t], data.scents[r]));
    const products = steps.map((one) => Float64Array.from(steps, (other) => dot(one, other)));
    const squares = Float64Array.from(products, (row, j) => row[j]);
    return { rows: Int32Array.from(rows), weights: Float64Array.from(weights), products, squares };
  });
  near.forEach((one, r) => { one.back = one.rows.map((t) => near[t].rows.indexOf(r)); });
  // The order stays as it is while all but the tolerance is moved: the last one is kept.
  const prepared = { ...data, near };
  let [last, order] = [null, null];
  prepared.orderFor = (tolerance) => {
    if (tolerance !== last) [last, order] = [tolerance, orderOf(prepared, tolerance)];
    return order;
  };
  return prepared;
}

// What each read is, and what it would be without each of its neighbours; kept up to date as they
// go. Squares of errors, infinite where nothing is left to read from.
function audit({ near, margin }, kept, tolerance) {
  const limit = (tolerance * (1 - margin)) ** 2;
  const size = near.length;
  const [now, byOthers, cost] = [0, 0, 0].map(() => new Float64Array(size));
  const vetoes = new Int32Array(size);
  const along = near.map(({ rows, weights, products }) => {
    const sums = new Float64Array(rows.length); // of the steps to what is left, by weight, along each
    for (let l = 0; l < rows.length; l += 1) {
      if (kept[rows[l]] === 0) continue;
      for (let j = 0; j < rows.length; j += 1) sums[j] += weights[l] * products[l][j];
    }
    return sums;
  });
  const without = near.map(({ rows }) => new Float64Array(rows.length));
  const growth = near.map(({ rows }) => new Float64Array(rows.length)); // of the square, without j
  const vetoed = near.map(({ rows }) => new Uint8Array(rows.length));

  function read(r) {
    const { rows, weights, squares } = near[r];
    const [its, then, grows, forbids] = [along[r], without[r], growth[r], vetoed[r]];
    const gone = !kept[r];
    let [count, weight, square] = [0, 0, 0];
    for (let j = 0; j < rows.length; j += 1) {
      if (kept[rows[j]] === 0) continue;
      count += 1;
      weight += weights[j];
      square += weights[j] * its[j];
    }
    square = Math.max(square, 0);
    const whole = weight + (gone ? 0 : 1); // at its own place an observation counts in full
    byOthers[r] = count ? square / (weight * weight) : Infinity;
    now[r] = whole > 0 ? square / (whole * whole) : Infinity;
    for (let j = 0; j < rows.length; j += 1) {
      const [t, w] = [rows[j], weights[j]];
      cost[t] -= grows[j];
      vetoes[t] -= forbids[j];
      grows[j] = 0;
      forbids[j] = 0;
      if (kept[t] === 0) continue;
      if (gone && count === 1) then[j] = Infinity;
      else {
        const rest = whole - w;
        then[j] = Math.max(square - 2 * w * its[j] + w * w * squares[j], 0) / (rest * rest);
        grows[j] = then[j] - now[r];
      }
      forbids[j] = gone && then[j] > limit ? 1 : 0;
      cost[t] += grows[j];
      vetoes[t] += forbids[j];
    }
  }

  near.forEach((_, r) => read(r));
  return {
    now,
    byOthers,
    cost: (t) => cost[t] + byOthers[t] - now[t], // how much all squares together would grow
    reason(t) {
      if (!kept[t]) return "gone";
      if (byOthers[t] === Infinity) return "alone";
      if (byOthers[t] > limit) return "not told";
      return vetoes[t] > 0 ? "needed" : "may go";
    },
    take(t) {
      kept[t] = 0;
      read(t);
      near[t].rows.forEach((r, j) => {
        const at = near[t].back[j];
        const [its, weight, steps] = [along[r], near[r].weights[at], near[r].products[at]];
        for (let l = 0; l < its.length; l += 1) its[l] -= weight * steps[l];
        read(r);
      });
    },
    // Who among what has gone would be told worst without t.
    witness(t) {
      let [witness, error] = [-1, -Infinity];
      near[t].rows.forEach((r, j) => {
        const at = near[t].back[j];
        if (vetoed[r][at] && without[r][at] > error) [witness, error] = [r, without[r][at]];
      });
      return [witness, finite(error)];
    },
  };
}

// In which order they go: always that which may go and costs least.
function orderOf(prepared, tolerance) {
  const kept = new Uint8Array(prepared.places.length).fill(1);
  const state = audit(prepared, kept, tolerance);
  const order = [];
  for (;;) {
    let best = -1;
    let least = Infinity;
    for (let t = 0; t < kept.length; t += 1) {
      if (!kept[t] || state.reason(t) !== "may go") continue;
      const cost = state.cost(t);
      if (cost < least) [best, least] = [t, cost];
    }
    if (best < 0) return order;
    order.push(best);
    state.take(best);
  }
}

const finite = (square) => (Number.isFinite(square) ? Math.sqrt(square) : null); // null: nothing is read

export function compute(prepared, values) {
  const { places } = prepared;
  const order = prepared.orderFor(values.tolerance);
  const byRule = order.slice(0, values.steps);
  const kept = new Uint8Array(places.length).fill(1);
  for (const t of [...byRule, ...values.gone]) kept[t] = 0;
  const state = audit(prepared, kept, values.tolerance);
  const reasons = places.map((_, t) => state.reason(t));
  const witnesses = places.map((_, t) => (
    reasons[t] === "needed" ? state.witness(t) : [-1, null]
  ));
  let worst = -1;
  state.now.forEach((square, r) => {
    if (!kept[r] && (worst < 0 || square > state.now[worst])) worst = r;
  });
  let asked = 0;
  const far = ([x, y]) => (x - values.asked[0]) ** 2 + (y - values.asked[1]) ** 2;
  places.forEach((place, r) => { if (far(place) < far(places[asked])) asked = r; });
  return {
    byRule,
    canGo: order.length,
    kept: Array.from(kept),
    errors: Array.from(state.now, finite),
    errorsByOthers: Array.from(state.byOthers, finite),
    reasons,
    witnesses: witnesses.map(([witness]) => witness),
    witnessErrors: witnesses.map(([, error]) => error),
    worst,
    asked,
  };
}

function mark(panel, place, look) {
  if (look === "above") panel.cross(place, 4.5, { fill: "clay" });
  else if (look === "gone") panel.disc(place, 3, { stroke: "soft" });
  else if (look === "alone") panel.square(place, 4, { fill: "clay" });
  else panel.disc(place, 3.4, { fill: look === "may go" ? "leaf" : "ink" });
}

const KINDS = [["stays", "needed"], ["stands alone", "alone"], ["may go", "may go"], ["gone", "gone"], ["gone, error above ε", "above"]];

export function draw(canvas, data, values, answer) {
  const { places } = data;
  const { errors, reasons, witnesses, worst, asked } = answer;
  const gone = places.map((_, r) => r).filter((r) => !answer.kept[r]);
  const known = gone.map((r) => errors[r]).filter((error) => error !== null);
  const top = 1.2 * Math.max(values.tolerance, ...known);
  const [map, chart] = canvas.panels([
    { kind: "map", half_width: data.half_width, centre: [0, 0], title: `${places.length - gone.length} left` },
    {
      kind: "chart", title: "Errors of what has gone, sorted",
      x: { low: 0, high: places.length, label: "observations", scale: "linear" },
      y: { low: 0, high: top, label: "error", scale: "linear" },
    },
  ]);
  const isBad = (r) => errors[r] === null || errors[r] > values.tolerance;
  witnesses.forEach((r, t) => {
    if (r >= 0) map.line([places[t], places[r]], { colour: "series1", width: 1.2, alpha: 0.8 });
  });
  places.forEach((place, r) => {
    mark(map, place, reasons[r] === "gone" && isBad(r) ? "above" : reasons[r]);
  });
  if (worst >= 0) map.circle(places[worst], 0.035 * data.half_width, { stroke: "clay" });
  map.circle(places[asked], 0.05 * data.half_width, { stroke: "ink" });
  const sorted = [...gone].sort((a, b) => (errors[a] ?? Infinity) - (errors[b] ?? Infinity));
  chart.line([[0, values.tolerance], [places.length, values.tolerance]], { colour: "ink", dash: [4, 3] });
  chart.text([places.length, values.tolerance], "ε", { align: "right", colour: "ink", shift: [-2, -10] });
  KINDS.forEach(([words, look], i) => {
    const [x, y] = [chart.area.right - 130, chart.area.bottom - 86 + 18 * i];
    mark(chart, chart.from([x, y]), look);
    chart.words(x + 12, y, words);
  });
  sorted.forEach((r, i) => {
    const height = Math.min(errors[r] ?? top, top);
    if (isBad(r)) chart.cross([i + 1, height], 3.5, { fill: "clay" });
    else chart.disc([i + 1, height], 2, { fill: "soft" });
  });
}

const number = (error) => (error === null ? "nothing left within reach" : error.toFixed(3));

export function say(data, values, answer) {
  const { places } = data;
  const { asked, worst, reasons, witnesses } = answer;
  const may = reasons.filter((reason) => reason === "may go").length;
  const above = answer.errors.filter(
    (error, r) => !answer.kept[r] && (error === null || error > values.tolerance),
  ).length;
  const witness = witnesses[asked];
  const without = {
    "may go": "may go",
    alone: "stands alone",
    gone: `has gone, error ${number(answer.errors[asked])}`,
    "not told": `stays: the rest tells it with ${number(answer.errorsByOthers[asked])}`,
  };
  const far = witness < 0 ? 0 : Math.hypot(
    places[asked][0] - places[witness][0], places[asked][1] - places[witness][1],
  );
  return [
    ["left; may go", `${places.length - answer.kept.filter((one) => !one).length}; ${may}`],
    ["worst error of what has gone", worst < 0 ? "nothing has gone" : number(answer.errors[worst])],
    ["above ε", String(above)],
    ["nearest to the square", witness < 0 ? without[reasons[asked]]
      : `vetoed from ${metres(far)}: ${number(answer.witnessErrors[asked])} without it`],
  ];
}

export default figure({ controls, prepare, compute, draw, say });
