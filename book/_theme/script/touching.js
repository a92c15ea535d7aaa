// Figures that can be touched. Each comes as two scripts, its module and its state, when it is near; a page from disk may load
// nothing else. It then lies over its picture, at the same size. If anything fails, the picture is what it was.
import { element } from "./dom.js";

const NEAR = "600px";
const FAILED = "This figure cannot be moved here. The picture shows how it begins.";

export function setUpFigures(home) {
  const places = document.querySelectorAll("main .touch[data-figure]");
  if (places.length === 0) return;
  const brought = new Map();
  globalThis.treeWorldFigures = { bring: (name, what) => brought.set(name, what) };
  const loading = new Map();
  const load = (name, address) => {
    if (!loading.has(address)) {
      loading.set(address, new Promise((resolve, reject) => {
        const script = element("script", { src: new URL(address, home).href, onload: resolve, onerror: reject });
        document.head.append(script);
      }).then(() => brought.get(name)));
    }
    return loading.get(address);
  };
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      const { figure, key, state } = target.dataset;
      Promise.all([load(figure, `assets/figures/${figure}.js`), load(key, state)])
        .then(([module, data]) => bringToLife(target, module, data), () => giveUp(target));
    }
  }, { rootMargin: `${NEAR} 0px` });
  places.forEach((place) => observer.observe(place));
}

function bringToLife(el, module, data) {
  const figure = el.closest("figure");
  el.addEventListener("figure-failed", () => giveUp(el));
  const picture = figure.querySelector("a:has(img)");
  const fit = () => {
    const [box, around] = [picture.getBoundingClientRect(), figure.getBoundingClientRect()];
    for (const [name, value] of [["top", box.top - around.top], ["left", box.left - around.left], ["width", box.width], ["height", box.height]]) el.style.setProperty(`--${name}`, `${value}px`);
  };
  const sizes = new ResizeObserver(fit);
  sizes.observe(picture);
  figure.classList.add("alive");
  fit();
  try {
    module.render({ model: modelOf({ data, values: {} }), el });
    if (!figure.classList.contains("alive")) return; // it failed at once
    el.querySelector(".touch-head").append(pictureButton(figure));
  } catch {
    giveUp(el);
  }
}

/** What a module is given to keep its values in, as anywidget says. */
function modelOf(values) {
  const listeners = new Map();
  return {
    get: (name) => values[name],
    set(name, value) {
      values[name] = value;
      listeners.get(`change:${name}`)?.forEach((listener) => listener());
    },
    save_changes() {},
    on: (name, listener) => listeners.set(name, [...(listeners.get(name) ?? []), listener]),
    off: (name, listener) => listeners.set(name, (listeners.get(name) ?? []).filter((one) => one !== listener)),
  };
}

function pictureButton(figure) {
  const button = element("button", { type: "button", textContent: "Show the picture" });
  button.addEventListener("click", () => {
    const rests = figure.classList.toggle("rests");
    button.textContent = rests ? "Touch it again" : "Show the picture";
  });
  return button;
}

function giveUp(el) {
  el.closest("figure").classList.remove("alive", "rests");
  el.replaceChildren(element("p", { className: "touch-failed", textContent: FAILED }));
}
