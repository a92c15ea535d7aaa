// Code cells, and what a sentence has computed.
import { h } from "hastscript";
import { highlight, languageName } from "../highlight.mjs";
import { children, render } from "./core.mjs";
import { outputs } from "./outputs.mjs";
import { enlargeable, isPicture } from "./pictures.mjs";

export function source(node) {
  return h("pre", highlight(node.value ?? "", node.lang));
}

/** Code and outputs in one frame, or folded under a summary; with the time that the cell took. */
export function frame(parts, node, folded, context) {
  const seconds = context.seconds?.get(node);
  const time = seconds >= 0.05 ? h("span.time", { title: "Time of this cell" }, duration(seconds)) : null;
  if (folded) return h("details.cell.folded", { id: node.cellId }, h("summary", folded, time), parts);
  const name = languageName(node.lang);
  return h("div.cell", { id: node.cellId }, name || time ? h("div.cell-head", h("span", name), time) : null, parts);
}

/** The code of one thing or more behind one mark; each cell keeps its own name. */
export function fold(cells, word, context) {
  if (cells.length === 1) return frame([source(cells[0])], cells[0], word, context);
  const seconds = cells.map((cell) => context.seconds?.get(cell) ?? 0).reduce((sum, each) => sum + each, 0);
  const time = seconds >= 0.05 ? h("span.time", { title: "Time of these cells" }, duration(seconds)) : null;
  return h("details.cell.folded", h("summary", word, time), cells.map((cell) => h("div.part", { id: cell.cellId }, source(cell))));
}

/** Cells that show nothing, and no figure or table bears. The first of a chapter says how much it is. */
function hungCells(node, context) {
  const lines = (cell) => cell.value.split("\n").length;
  if (!node.children.some((cell) => cell.isSetUp)) return h("div.hung", fold(node.children, "Code", context));
  const count = node.children.map(lines).reduce((sum, each) => sum + each, 0);
  return fold(node.children, `Set-up, ${count} line${count === 1 ? "" : "s"}`, context);
}

export const duration = (seconds) => (seconds < 10 ? `${seconds.toFixed(1)} s` : seconds < 120 ? `${seconds.toFixed(0)} s` : `${(seconds / 60).toFixed(1)} min`);

function code(node, context) {
  return frame([source(node)], node, null, context);
}

/** A code cell: the engine gives a block that holds a `code` and an `outputs` node. */
function codeCell(node, context) {
  const input = node.children.find((child) => child.type === "code");
  const output = node.children.find((child) => child.type === "outputs");
  const others = node.children.filter((child) => child !== input && child !== output);
  const hidden = (part) => (part?.visibility ?? "show") === "hide";
  const removed = (part) => !part || part.visibility === "remove" || node.visibility === "remove";
  const printed = removed(output) ? [] : outputs(output, context);
  const images = printed.filter(isPicture);
  const texts = printed.filter((part) => !isPicture(part));
  const shownTexts = texts.length === 0 ? [] : [h("div.outputs", texts)];
  const foldedTexts = hidden(output) && texts.length ? [h("details.output", h("summary", "Output"), shownTexts)] : shownTexts;
  const cell = [];
  if (removed(input)) cell.push(...foldedTexts.map((part) => h("div.cell", part)));
  else if (hidden(input) || node.visibility === "hide") cell.push(frame([source(input)], input, "Code", context), ...foldedTexts.map((part) => h("div.cell.alone", part)));
  else cell.push(frame([source(input), ...foldedTexts], input, null, context));
  const shown = [...cell, ...images.map((image) => h("figure", enlargeable(image))), ...others.flatMap((child) => render(child, context))];
  // Where code is not shown, a number leads to what stands in its place.
  if (removed(input) && input?.cellId) shown.unshift(h("span.cell-place", { id: input.cellId }));
  return shown;
}

/** What a sentence has computed. The script tells where it comes from, by its place in the list of the page. */
function inlineExpression(node, context) {
  const value = children(node, context);
  return context.quoting || node.number === undefined ? value : h("samp", { dataN: node.number }, value);
}

export const kinds = {
  block: (node, context) => (node.kind === "notebook-code" || node.children?.some((c) => c.type === "outputs") ? codeCell(node, context) : children(node, context)),
  code, hungCells, inlineExpression,
  mermaid: (node, context) => code({ ...node, lang: "mermaid" }, context), // as text: a drawing would take a megabyte of script
};
