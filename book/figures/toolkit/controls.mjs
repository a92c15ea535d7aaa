// What can be moved: handles on a map, sliders, choices, switches, time; by pointer, touch and keys alike.
import { clamp, distance, signed, spokenPlace } from "./numbers.mjs";

const NEAR = 24; // pixels within which a tap means a spot
const STILL = 8; // pixels that a tap may move
const [STEP, LARGE] = [1 / 100, 1 / 10]; // of a map, by arrows, and with shift
const NOTCHES = 1000; // of a slider without whole numbers

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const START = { switch: () => false, button: () => 0, spots: () => [], trail: () => [], time: ({ low }) => low, choice: ({ options }) => options[0][0] };

/** What all controls stand at before anybody moves them. */
export const startsOf = (specs) => Object.fromEntries(specs.map((spec) => [spec.name, spec.start ?? START[spec.kind]()]));

/**
 * Make what belongs beside the stage (`elements`), and handles on it.
 *
 * `follow(values)` puts all of it where the values are; `stop()` ends what moves by itself.
 */
export function makeControls({ specs, prepared, canvas, stage, current, change }) {
  const starts = startsOf(specs);
  const makers = { slider, choice, switch: toggle, button, place, spots, time, trail: () => ({ follow() {} }) };
  const context = { specs, canvas, stage, current, change, starts, prepared };
  const made = specs.map((spec) => (spec.make ?? makers[spec.kind])(spec, context)); // a figure may bring its own
  const reset = element("button", { type: "button", className: "touch-reset", textContent: "As at first" });
  reset.addEventListener("click", () => { made.forEach((one) => one.stop?.()); change(starts); });
  listenToTaps(context);
  const hint = element("span", { className: "touch-hint", textContent: hintFor(specs) });
  return {
    elements: [element("div", { className: "touch-head" }, hint, reset), ...made.map((one) => one.row).filter(Boolean)],
    follow: (values) => made.forEach((one) => one.follow(values)),
    stop: () => made.forEach((one) => one.stop?.()),
  };
}

function hintFor(specs) {
  const own = specs.find((spec) => spec.hint);
  if (own) return own.hint;
  const has = (kind) => specs.some((spec) => spec.kind === kind);
  if (has("place")) return "Drag what is on the map, or use its arrow keys.";
  if (has("time")) return "Play it, or draw the slider.";
  return "Draw the sliders.";
}

const row = (spec, ...children) => element("div", { className: `touch-row touch-${spec.kind}` }, ...children);
const labelled = (spec, input) => element("label", { htmlFor: input.id }, ...written(spec.label));

/** Words in which the letter after a low line is a subscript. */
export const written = (words) => words.split(/_(\S)/).map((part, i) => (i % 2 ? element("sub", { textContent: part }) : part));
let ids = 0;
const newId = () => `touch-${(ids += 1)}`;

// --- rows below the stage ------------------------------------------------------------------------

function slider(spec, { current, change, starts }) {
  const { low, high, scale = "linear", unit = "", digits = 0 } = spec;
  const isWhole = scale === "whole";
  const fromNotch = (notch) => (isWhole ? notch : scale === "log" ? low * (high / low) ** (notch / NOTCHES) : low + (notch / NOTCHES) * (high - low));
  const toNotch = (value) => (isWhole ? value : Math.round(NOTCHES * (scale === "log" ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low))));
  const input = element("input", { type: "range", id: newId(), min: isWhole ? low : 0, max: isWhole ? high : NOTCHES, step: 1 });
  const output = element("output", { htmlFor: input.id });
  input.addEventListener("input", () => change({ [spec.name]: fromNotch(Number(input.value)) }));
  input.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (event.key === "Escape") change({ [spec.name]: starts[spec.name] });
    else if (way) {
      const notch = Math.max(1, Math.round((input.max - input.min) * (event.shiftKey ? LARGE : STEP)));
      change({ [spec.name]: fromNotch(clamp(toNotch(current()[spec.name]) + way * notch, Number(input.min), Number(input.max))) });
    } else return;
    event.preventDefault();
  });
  const write = spec.write ?? ((value) => `${signed(value, digits)}${unit ? ` ${unit}` : ""}`);
  return {
    row: row(spec, labelled(spec, input), input, output),
    follow(values) {
      input.value = toNotch(values[spec.name]);
      output.textContent = write(values[spec.name]);
      input.setAttribute("aria-valuetext", output.textContent);
    },
  };
}

function choice(spec, { change, starts }) {
  const input = element("select", { id: newId() }, ...spec.options.map(([value, text]) => element("option", { value, textContent: text })));
  input.addEventListener("change", () => change({ [spec.name]: spec.options[input.selectedIndex][0] }));
  input.addEventListener("keydown", (event) => { if (event.key === "Escape") change({ [spec.name]: starts[spec.name] }); });
  return {
    row: row(spec, labelled(spec, input), input),
    follow: (values) => { input.selectedIndex = spec.options.findIndex(([value]) => value === values[spec.name]); },
  };
}

function toggle(spec, { change, starts }) {
  const input = element("input", { type: "checkbox", id: newId() });
  input.addEventListener("change", () => change({ [spec.name]: input.checked }));
  input.addEventListener("keydown", (event) => { if (event.key === "Escape") change({ [spec.name]: starts[spec.name] }); });
  return { row: row(spec, input, labelled(spec, input)), follow: (values) => { input.checked = values[spec.name]; } };
}

function button(spec, { current, change }) {
  const input = element("button", { type: "button", textContent: spec.label });
  const sets = (values) => (typeof spec.sets === "function" ? spec.sets(values) : spec.sets);
  input.addEventListener("click", () => change({ [spec.name]: current()[spec.name] + 1, ...sets(current()) }));
  return { row: row(spec, input), follow() {} };
}

function time(spec, context) {
  const { current, change } = context;
  const inner = slider({ digits: 0, scale: "whole", ...spec }, context);
  const play = element("button", { type: "button", textContent: "Play" });
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let stopPlaying = null;
  const stop = () => { stopPlaying?.(); stopPlaying = null; play.textContent = "Play"; };
  const forward = (steps) => {
    const value = Math.min(spec.high, current()[spec.name] + steps);
    change({ [spec.name]: value });
    if (value >= spec.high) stop();
  };
  play.addEventListener("click", () => {
    if (stopPlaying) return stop();
    if (current()[spec.name] >= spec.high) change({ [spec.name]: spec.low });
    play.textContent = "Stop";
    if (calm.matches) {
      const timer = setInterval(() => forward(spec.per_second), 1000);
      stopPlaying = () => clearInterval(timer);
    } else {
      let [last, left, frame] = [performance.now(), 0, 0];
      const step = (now) => {
        left += ((now - last) / 1000) * spec.per_second;
        last = now;
        const whole = Math.floor(left);
        left -= whole;
        frame = requestAnimationFrame(step);
        if (whole > 0) forward(whole);
      };
      frame = requestAnimationFrame(step);
      stopPlaying = () => cancelAnimationFrame(frame);
    }
    return undefined;
  });
  inner.row.prepend(play);
  return { ...inner, stop };
}

// --- on the stage --------------------------------------------------------------------------------

const panelOf = (spec, canvas) => canvas.current[spec.panel ?? 0];

function place(spec, { canvas, stage, current, change, starts }) {
  const handle = element("div", { className: `touch-handle ${spec.look ?? "square"}`, tabIndex: 0 });
  handle.setAttribute("role", "slider");
  handle.setAttribute("aria-label", spec.label);
  stage.append(handle);
  const move = (wanted) => {
    const { ends } = panelOf(spec, canvas);
    const to = wanted.map((value, axis) => clamp(value, ends[axis].low, ends[axis].high));
    const way = spec.trail && stepsTowards(current()[spec.trail], current()[spec.name], to, spec);
    change({ [spec.name]: to, ...(way ? { [spec.trail]: way } : {}) });
  };
  const toPixels = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let grip = null;
  handle.addEventListener("pointerdown", (event) => {
    const at = panelOf(spec, canvas).at(current()[spec.name]);
    grip = toPixels(event).map((value, axis) => value - at[axis]);
    handle.setPointerCapture(event.pointerId);
  });
  handle.addEventListener("pointermove", (event) => {
    if (grip) move(panelOf(spec, canvas).from(toPixels(event).map((value, axis) => value - grip[axis])));
  });
  // A mouse leads what follows it without being pressed; a finger must hold it, or it could not scroll.
  if (spec.follows) stage.addEventListener("pointermove", (event) => {
    const at = toPixels(event);
    if (event.pointerType === "mouse" && !grip && panelOf(spec, canvas)?.holds(at)) move(panelOf(spec, canvas).from(at));
  });
  for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => { grip = null; });
  handle.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (event.key === "Escape") move(starts[spec.name]);
    else if (way) {
      const { ends } = panelOf(spec, canvas);
      const step = (ends[0].high - ends[0].low) * (event.shiftKey ? LARGE : STEP);
      move(current()[spec.name].map((value, axis) => value + way[axis] * step));
    } else return;
    event.preventDefault();
  });
  return {
    follow(values) {
      const panel = panelOf(spec, canvas);
      const [x, y] = panel.at(values[spec.name]);
      handle.style.transform = `translate(${x}px, ${y}px)`;
      const { low, high } = panel.ends[0];
      for (const [name, value] of [["valuemin", low], ["valuemax", high], ["valuenow", values[spec.name][0]]]) handle.setAttribute(`aria-${name}`, Math.round(value));
      handle.setAttribute("aria-valuetext", spokenPlace(values[spec.name]));
    },
  };
}

/** A walk that goes on to a place, by steps of a length; the oldest are forgotten when there are too many. */
function stepsTowards(walk, from, to, { spacing, most }) {
  const last = walk.at(-1) ?? from;
  const away = distance(last, to);
  const number = Math.floor(away / spacing);
  const steps = Array.from({ length: number }, (_, i) => last.map((value, axis) => value + ((to[axis] - value) * spacing * (i + 1)) / away));
  return number ? [...walk, ...steps].slice(-most) : walk;
}

const toggled = (list, index) => (list.includes(index) ? list.filter((one) => one !== index) : [...list, index].sort((a, b) => a - b));

function spots(spec, { specs, current, change }) {
  const owner = specs.find((one) => one.kind === "place");
  const input = element("button", { type: "button", textContent: spec.label });
  input.addEventListener("click", () => {
    const values = current();
    const away = spec.places.map((one) => distance(one, values[owner.name]));
    change({ [spec.name]: toggled(values[spec.name], away.indexOf(Math.min(...away))) });
  });
  return { row: owner ? row(spec, input) : null, follow() {} };
}

/** A tap on a spot takes it away or puts it back; elsewhere on a map it calls the nearest handle. */
function listenToTaps({ specs, canvas, stage, current, change }) {
  let down = null;
  stage.addEventListener("pointerdown", (event) => { down = event.target.closest(".touch-handle") ? null : [event.clientX, event.clientY]; });
  stage.addEventListener("pointerup", (event) => {
    if (!down || distance(down, [event.clientX, event.clientY]) > STILL) return;
    const box = stage.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    const nearest = (candidates) => candidates.map((one) => ({ ...one, away: distance(panelOf(one.spec, canvas).at(one.where), at) })).sort((a, b) => a.away - b.away)[0];
    const here = specs.filter((spec) => ["place", "spots"].includes(spec.kind) && panelOf(spec, canvas).holds(at));
    const spot = nearest(here.filter(({ kind }) => kind === "spots").flatMap((spec) => spec.places.map((where, index) => ({ spec, where, index }))));
    const values = current();
    if (spot && spot.away <= NEAR) {
      change({ [spot.spec.name]: toggled(values[spot.spec.name], spot.index) });
      return;
    }
    const handle = nearest(here.filter(({ kind }) => kind === "place").map((spec) => ({ spec, where: values[spec.name] })));
    if (handle) change({ [handle.spec.name]: panelOf(handle.spec, canvas).from(at) });
  });
}
