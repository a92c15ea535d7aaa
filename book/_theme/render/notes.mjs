// Notes, exercises, tabs, cards: boxes beside or within the text.
import { h } from "hastscript";
import { internalOrNot } from "./addresses.mjs";
import { anchor, children, hasClass, render, wrap } from "./core.mjs";

function titled(node, defaultTitle, context) {
  const title = node.children?.find((child) => child.type === "admonitionTitle" || child.type === "summary");
  const rest = (node.children ?? []).filter((child) => child !== title);
  return { title: title ? children(title, context) : [defaultTitle], body: rest.flatMap((child) => render(child, context) ?? []) };
}

function admonition(node, context) {
  const kind = node.kind ?? "note";
  const { title, body } = titled(node, kind[0].toUpperCase() + kind.slice(1), context);
  const classes = ["admonition", kind, ...(node.class ?? "").split(/\s+/)].filter(Boolean);
  if (hasClass(node, "dropdown")) return h("details", { class: classes, open: node.open }, h("summary", title), body);
  return h("div", { class: classes, role: "note", ariaLabel: kind }, node.simple ? null : h("p.title", title), body);
}

function details(node, context) {
  const { title, body } = titled(node, "More", context);
  return h("details.dropdown", { open: node.open }, h("summary", title), body);
}

export const levels = ["easy", "medium", "hard"];

function exercise(node, context) {
  const { title, body } = titled(node, "", context);
  const number = node.enumerator ? `Exercise ${node.enumerator}` : "Exercise";
  const level = levels.find((name) => hasClass(node, name));
  return h("div.exercise", { id: anchor(node) }, h("p.title", ownAddress(node, number), title[0] ? [" · ", title] : null, level ? h("span.level", level) : null), body);
}

function solution(node, context) {
  const { body } = titled(node, "", context);
  return h("details.solution", { id: anchor(node) }, h("summary", "Solution"), body);
}

function proof(node, context) {
  const { title, body } = titled(node, "", context);
  const kind = node.kind ?? "proof";
  const number = `${kind[0].toUpperCase()}${kind.slice(1)}${node.enumerator ? ` ${node.enumerator}` : ""}`;
  return h("div", { class: ["proof", kind], id: anchor(node) }, h("p.title", ownAddress(node, number), title[0] ? [" · ", title] : null), body);
}

const ownAddress = (node, number) => (anchor(node) ? h("a.number", { href: `#${anchor(node)}` }, number) : number);

function tabSet(node, context) {
  // Shown one below the other: readable without a script, on paper, and to the ear.
  return h("div.tabs", children(node, context));
}

function tabItem(node, context) {
  return h("div.tab", h("p.title", node.title ?? ""), children(node, context));
}

function card(node, context) {
  const inner = children(node, context);
  return h("div.card", node.url ? h("a", { href: internalOrNot(node.url, context) }, inner) : inner);
}

function iframe(node) {
  if (/^(https?:)?\/\//.test(node.src ?? "")) throw new Error(`a frame would load ${node.src}, and the book loads nothing from elsewhere: lead there by a link`);
  return h("iframe", {
    style: node.width ? `width:${/^[\d.]+$/.test(node.width) ? `${node.width}px` : node.width}` : undefined, class: node.align ? [`put-${node.align}`] : undefined,
    src: node.src, title: node.title ?? "Embedded page", loading: "lazy", sandbox: "allow-scripts" });
}

export const kinds = {
  admonition, details, exercise, solution, proof, tabSet, tabItem, card, iframe,
  // In the margin, with or without a title: `{aside}`, `{margin}`, `{sidebar}`, `{topic}`.
  aside: wrap("div.margin", { role: "note" }),
  admonitionTitle: wrap("p.title"),
  "grid-item": wrap("div.grid-item"),
  grid: (node, context) => {
    const columns = Math.max(...[node.columns ?? 1].flat());
    return h("div.grid", { style: columns > 1 ? `--columns:${columns}` : undefined }, children(node, context));
  },
  anywidget: () => {
    throw new Error(`a widget needs a kernel or a script from elsewhere, and a page of this book has neither: show it by HTML that holds all it needs, in the output of a code cell`);
  },
  cardTitle: wrap("p.title"),
  header: wrap("div.card-header"),
  footer: wrap("div.card-footer"),
};
