// Figures and tables with their captions, and the pages that quote them.
import { h } from "hastscript";
import { find, visit } from "../book.mjs";
import { pageAddress } from "./addresses.mjs";
import { fold } from "./cells.mjs";
import { anchor, children, hasClass, render, text, unwrapped, wrap } from "./core.mjs";
import { chapters } from "./chapters.mjs";
import { editions } from "./editions.mjs";
import { lists } from "./lists.mjs";
import { enlargeable } from "./pictures.mjs";
import { isTouchable, touchable } from "./outputs.mjs";
import { quotedFigure } from "./references.mjs";

// A `{div}` that the theme fills, by its class.
const filled = { ...editions, ...lists };

function container(node, context) {
  const id = anchor(node);
  const captions = node.children.filter((child) => child.type === "caption" || child.type === "legend");
  // What was computed before it for nothing else, and the cell that made it.
  const before = node.children.find((child) => child.type === "hungCells");
  const input = node.children.find((child) => child.type === "code" && child.executable);
  const cells = [...(before?.children ?? []), input].filter(Boolean);
  const body = node.children.filter((child) => !captions.includes(child) && child !== before && child !== input);
  const code = cells.length ? fold(cells, "Code", context) : null;
  const isBare = node.kind === "quote" && captions.length === 0; // of nobody
  const caption = isBare ? null : h("figcaption", captions.flatMap((child) => render(child, { ...context, numbered: id })), node.kind === "table" ? null : [taken(node, context), code]);
  const shown = body.flatMap((child) => render(child, context) ?? []).map(context.quoting ? (part) => part : enlargeable);
  // What can be touched lies over the picture of its cell, and follows it.
  const [pictures, touched] = [shown.filter((part) => !isTouchable(part)), shown.filter(isTouchable)];
  if (touched.length && !pictures.length) throw new Error(`figure ${id} can be touched, but has no picture for paper. Draw one in its cell`);
  const parts = [...pictures, ...(context.quoting ? [] : touched)];
  const first = node.kind === "table" ? [caption, parts, taken(node, context), code] : [parts, caption];
  return h(isBare ? "div" : "figure", { id, class: [node.kind, ...(node.class ?? "").split(/\s+/)].filter(Boolean) }, first);
}

/** Files of a figure or table, to take along. */
function taken(node, context) {
  if (!node.taken || context.quoting) return null;
  const size = (bytes) => `${Math.max(1, Math.round(bytes / 1000))} kB`;
  return h("p.taken", node.taken.map(({ word, label, address, bytes }) => [h("a", { href: context.prefix + address, download: true, ariaLabel: label, title: size(bytes) }, word), " "]));
}

/** The number of a figure or table is its own address, to be shared. */
function captionNumber(node, context) {
  const number = text(node).replace(/:$/, "").concat(".");
  return [context.numbered ? h("a.number", { href: `#${context.numbered}` }, number) : h("span.number", number), " "];
}

function table(node, context) {
  const rows = node.children ?? [];
  const isHeader = (row) => row.children.length > 0 && row.children.every((cell) => cell.header);
  const body = rows.findIndex((row) => !isHeader(row));
  const cut = body === -1 ? rows.length : body;
  const row = (cellScope) => (line) => h("tr", { id: line.symbol?.id }, line.children.map((cell) => tableCell(cell, context, cellScope)));
  return h("div.table-scroll", h("table", cut ? h("thead", rows.slice(0, cut).map(row("col"))) : null, h("tbody", rows.slice(cut).map(row("row")))));
}

function tableCell(cell, context, scope) {
  const empty = (cell.children ?? []).length === 0;
  const isHeader = cell.header && !empty;
  return h(isHeader ? "th" : "td", {
    scope: isHeader ? scope : undefined, class: cell.align ? `align-${cell.align}` : undefined,
    colSpan: cell.colspan, rowSpan: cell.rowspan,
  }, children(unwrapped(cell), context));
}

/** A `{div}` of the class `list-of-figures` is filled with all figures of the book, `list-of-chapters` with its chapters, those of `lists.mjs` with more, `frontispiece` with one figure. */
function div(node, context) {
  if (hasClass(node, "frontispiece")) return frontispiece(node, context);
  if (hasClass(node, "list-of-chapters")) return context.paper ? null : chapters(context); // paper has its contents
  const name = Object.keys(filled).find((each) => hasClass(node, each));
  if (name) return filled[name](node, context);
  if (!hasClass(node, "list-of-figures")) return h("div", { class: node.class }, children(node, context));
  return context.book.contents.flatMap((entry) => {
    const data = context.book.pages.get(entry.slug);
    const figures = [];
    if (data) visit(data.mdast, (inner) => { if (inner.type === "container" && inner.kind === "figure" && inner.enumerator) figures.push(inner); });
    if (figures.length === 0) return [];
    return [h("h2", entry.enumerator ? [h("span.number", entry.enumerator), " "] : null, entry.title),
      h("ol.figure-list", figures.map((figure) => figureEntry(figure, data, context)))];
  });
}

function figureEntry(figure, data, context) {
  const { address, pictures, caption } = quotedFigure(figure, data, context);
  return h("li", h("a", { href: address }, pictures, h("span", caption)));
}

/** The figure that is named beside the class, `{div}` of the class `frontispiece fig-name`: it leads to its chapter. */
function frontispiece(node, context) {
  const label = node.class.split(/\s+/).find((name) => name !== "frontispiece");
  for (const data of context.book.pages.values()) {
    const figure = find(data, label);
    if (figure?.type !== "container") continue;
    const { address, pictures, caption } = quotedFigure(figure, data, context);
    const touched = [];
    visit(figure, (inner) => { if (inner.touch) touched.push(touchable(inner.touch)); });
    return h("figure.frontispiece", h("a", { href: address }, pictures), touched, h("figcaption", h("p", caption)));
  }
  throw new Error(`there is no figure ${label} for a frontispiece`);
}

export const kinds = {
  container, table, captionNumber, div,
  caption: children,
  legend: wrap("div.legend"),
};
