// A figure that can be touched, as an anywidget module: from what can be moved to what is seen and said.
import { Canvas } from "./canvas.mjs";
import { element, makeControls, startsOf, written } from "./controls.mjs";

const SAID_AFTER = 600; // milliseconds of rest, so that nobody hears every step of a slider

/**
 * Put together what a host can render.
 *
 * `controls(data)` lists what can be moved, `compute(data, values)` is everything that is drawn or said as a number,
 * `draw(canvas, data, values, answer)` draws it, `say(data, values, answer)` lists read-outs as pairs of words.
 * `prepare(data)`, if there is one, is done once; the others are given what it returns.
 */
export function figure(parts) {
  return { ...parts, render: ({ model, el }) => render(parts, model, el) };
}

/** The answer for some values; what they leave out is as at first. */
export function answerFor(parts, data, values) {
  const prepared = preparedFor(parts, data);
  return parts.compute(prepared, { ...startsOf(parts.controls(prepared)), ...values });
}

export const preparedFor = ({ prepare = (data) => data }, data) => prepare(data);

function render(parts, model, el) {
  const { controls, compute, draw, say } = parts;
  const data = model.get("data");
  const prepared = preparedFor(parts, data);
  const specs = controls(prepared);
  const starts = startsOf(specs);
  el.classList.add("touch");
  const picture = element("canvas", { ariaHidden: "true" });
  const stage = element("div", { className: "touch-stage" }, picture);
  const told = element("dl", { className: "touch-told" });
  const spoken = element("p", { className: "touch-spoken" });
  spoken.setAttribute("aria-live", "polite");
  const canvas = new Canvas(picture, data.colours);

  const current = () => ({ ...starts, ...model.get("values") });
  const change = (changed) => {
    model.set("values", { ...current(), ...changed });
    model.save_changes();
    show();
  };
  const made = makeControls({ specs, prepared, canvas, stage, current, change });
  const bar = element("div", { className: "touch-bar" }, ...made.elements);
  el.append(stage, bar, told, spoken);

  let [waiting, saying, failed, first] = [0, 0, false, true];
  const show = () => { waiting ||= requestAnimationFrame(() => { waiting = 0; paint(); }); };
  function paint() {
    if (failed) return;
    const { width, height } = stage.getBoundingClientRect();
    if (width < 50 || height < 50) return; // not shown, as on paper
    try {
      const scheme = isDark(el) ? "dark" : "light";
      const values = { ...current(), paper: data.colours[scheme].paper };
      const answer = compute(prepared, values);
      for (const kind of ["edible", "poisonous"]) stage.style.setProperty(`--${kind}`, data.colours[scheme][kind]);
      canvas.begin(width, height, scheme);
      draw(canvas, prepared, values, answer);
      const pairs = say(prepared, values, answer);
      made.follow(values);
      told.replaceChildren(...pairs.map(([name, value]) => element("div", {}, element("dt", {}, ...written(name)), element("dd", { textContent: value }))));
      clearTimeout(saying);
      if (!first) saying = setTimeout(() => { spoken.textContent = pairs.map((pair) => pair.join(": ").replaceAll("_", " ")).join("; "); }, SAID_AFTER);
      first = false;
    } catch (error) {
      failed = true;
      el.dispatchEvent(new CustomEvent("figure-failed", { detail: error, bubbles: true }));
    }
  }

  const sizes = new ResizeObserver(show);
  sizes.observe(stage);
  const schemes = new MutationObserver(show);
  schemes.observe(document.documentElement, { attributes: true });
  const preference = matchMedia("(prefers-color-scheme: dark)");
  preference.addEventListener("change", show);
  model.on("change:values", show);
  paint();
  // A canvas takes a font that has not come yet for another one, and is not drawn again by itself.
  Promise.all([400, 600].map((weight) => document.fonts.load(canvas.font(12, weight)))).then(show, () => {});
  return () => {
    sizes.disconnect();
    schemes.disconnect();
    preference.removeEventListener("change", show);
    model.off("change:values", show);
    cancelAnimationFrame(waiting);
    clearTimeout(saying);
    made.stop();
    el.replaceChildren();
  };
}

/** Whether text is light here, so that the ground is dark. */
function isDark(el) {
  const parts = getComputedStyle(el).color.match(/[\d.]+/g).map(Number);
  return parts[0] + parts[1] + parts[2] > 1.5 * 255;
}
