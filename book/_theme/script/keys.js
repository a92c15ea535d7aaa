// Keys that move through the book, and a list of them.
import { element } from "./dom.js";

const KEYS = [
  ["←", "the page before"],
  ["→", "the page after"],
  ["/", "search"],
  ["t", "light or dark"],
  ["?", "this list"],
  ["Esc", "close what lies over the page"],
];

export function setUpKeys() {
  const close = element("button", { type: "button", className: "close", textContent: "Close" });
  const rows = KEYS.map(([key, does]) => element("tr", {}, element("th", { scope: "row" }, element("kbd", {}, key)), element("td", {}, does)));
  const dialog = element("dialog", { className: "keys" }, element("div", { className: "head" }, element("h2", {}, "Keys"), close), element("table", {}, element("tbody", {}, ...rows)));
  dialog.setAttribute("aria-label", "Keys");
  document.body.append(dialog);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  const neighbour = (rel) => document.querySelector(`.neighbours a[rel="${rel}"]`)?.click();
  const actions = {
    ArrowLeft: () => neighbour("prev"),
    ArrowRight: () => neighbour("next"),
    t: () => document.querySelector("button.theme")?.click(),
    "?": () => dialog.showModal(),
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    // Keys belong first to what has the focus: what is typed in, what scrolls, tabs.
    const own = event.target.closest?.("input, textarea, select, [contenteditable], [role=tab], video, audio");
    const scrolls = event.key.startsWith("Arrow") && event.target.closest?.("main [tabindex='0']");
    if (own || scrolls || !Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  });
}
