// What the keyboard needs, and a narrow page: tabs that arrows move between, tables that become rows, and boxes that scroll
// only if they must, and say so.
import { element } from "./dom.js";

/** Tabs are written one below the other, and become tabs here. */
export function setUpTabs() {
  document.querySelectorAll(".tabs").forEach((tabs, set) => {
    const panels = [...tabs.querySelectorAll(":scope > .tab")];
    const list = element("div", { className: "tab-list" });
    list.setAttribute("role", "tablist");
    const choose = (chosen) => buttons.forEach((button, index) => {
      button.setAttribute("aria-selected", String(index === chosen));
      button.tabIndex = index === chosen ? 0 : -1;
      panels[index].hidden = index !== chosen;
    });
    const buttons = panels.map((panel, index) => {
      const title = panel.querySelector(":scope > .title");
      const button = element("button", { type: "button", id: `tab-${set}-${index}`, textContent: title.textContent });
      button.setAttribute("role", "tab");
      button.addEventListener("click", () => choose(index));
      panel.id ||= `tab-panel-${set}-${index}`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", button.id);
      button.setAttribute("aria-controls", panel.id);
      title.remove();
      return button;
    });
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
      choose(next);
      buttons[next].focus();
    });
    list.append(...buttons);
    tabs.prepend(list);
    tabs.classList.add("ready");
    choose(0);
  });
}

/** A box that is too narrow for what it holds fades where it is cut, and is a stop for the keyboard; others are neither. */
export function setUpBoxes() {
  const boxes = [...document.querySelectorAll("main pre, main .formula, main .table-scroll, main div.html")];
  const widths = new Map();
  const fade = (box) => {
    const hidden = box.scrollWidth - box.clientWidth;
    const passed = Math.abs(box.scrollLeft);
    box.classList.toggle("cut-left", passed > 1);
    box.classList.toggle("cut-right", hidden - passed > 1);
    if (hidden > 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  };
  const fit = (box) => {
    const table = box.matches(".table-scroll") && box.querySelector(":scope > table");
    if (table && widths.get(box) !== box.clientWidth) {
      widths.set(box, box.clientWidth);
      box.classList.remove("fits");
      unstack(table);
      if (box.clientWidth < NARROW && box.scrollWidth > box.clientWidth + 1 && canStack(table)) stack(table);
      box.classList.toggle("fits", box.scrollWidth <= box.clientWidth + 1);
    }
    fade(box);
  };
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => fit(entry.target)));
  for (const box of boxes) {
    observer.observe(box);
    box.addEventListener("scroll", () => fade(box), { passive: true });
  }
  document.fonts?.ready.then(() => {
    widths.clear();
    boxes.forEach(fit);
  });
}

// --- tables as rows ------------------------------------------------------------------------------

const ROLES = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TH: "rowheader", TD: "cell" };
const LEAST_COLUMNS = 3;
const NARROW = 600; // dots, from which on a table is easier to read as it is, though it scrolls

/** One line of names above, and one cell for each in every row. */
function canStack(table) {
  const [names, ...more] = table.tHead?.rows ?? [];
  if (!names || more.length > 0 || names.cells.length < LEAST_COLUMNS) return false;
  return [...table.rows].every((row) => row.cells.length === names.cells.length);
}

/** Each row becomes a block, headed by its first cell, in which each other cell stands beside the name of its column. */
function stack(table) {
  const names = [...table.tHead.rows[0].cells];
  for (const row of table.tBodies[0].rows) {
    [...row.cells].slice(1).forEach((cell, index) => {
      const label = element("span", { className: "label" }, ...names[index + 1].cloneNode(true).childNodes);
      label.setAttribute("aria-hidden", "true"); // the name of the column is read anyway
      label.querySelectorAll("[id]").forEach((named) => named.removeAttribute("id"));
      cell.prepend(label);
    });
  }
  table.classList.add("stacked");
  // To the ear it stays a table, which what is displayed as blocks would not.
  for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, th, td")]) part.setAttribute("role", ROLES[part.tagName]);
  for (const name of names) if (name.tagName === "TH") name.setAttribute("role", "columnheader");
}

function unstack(table) {
  if (!table.classList.contains("stacked")) return;
  table.classList.remove("stacked");
  table.querySelectorAll(".label").forEach((label) => label.remove());
  for (const part of [table, ...table.querySelectorAll("[role]")]) part.removeAttribute("role");
}
