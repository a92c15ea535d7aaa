// Code cells, and what a sentence has computed.
import { h } from "hastscript";
import { highlight, languageName } from "../highlight.mjs";
import { named } from "../named.mjs";
import { children, render } from "./core.mjs";
import { foldedOutputs, outputs } from "./outputs.mjs";
import { enlargeable, isPicture } from "./pictures.mjs";

export function source(node, context) {
  const code = named(highlight(node.value ?? "", node.lang), node.value ?? "", context);
  if (!node.showLineNumbers && !node.emphasizeLines?.length) return h("pre", code);
  return h("pre", { ...code, children: inLines(code.children, node) });
}

/** Lines of code, of which some are numbered or marked. A number is for the eye: who copies the code gets none. */
function inLines(parts, { showLineNumbers, startingLineNumber = 1, emphasizeLines = [] }) {
  const lines = split(parts);
  const width = `${startingLineNumber + lines.length - 1}`.length;
  return lines.flatMap((line, index) => [index ? "\n" : "", h("span", {
    class: ["line", emphasizeLines.includes(index + 1) ? "emphasised" : ""].filter(Boolean),
    dataLine: showLineNumbers ? `${startingLineNumber + index}`.padStart(width) : undefined,
  }, line)]).map((part) => (typeof part === "string" ? { type: "text", value: part } : part));
}

/** Nodes, cut at the ends of lines. */
function split(nodes) {
  const lines = [[]];
  for (const node of nodes) {
    const pieces = node.type === "text" ? node.value.split("\n").map((value) => (value ? [{ type: "text", value }] : [])) : split(node.children).map((children) => (children.length ? [{ ...node, children }] : []));
    lines.at(-1).push(...pieces[0]);
    lines.push(...pieces.slice(1));
  }
  return lines;
}

/** Code and outputs in one frame, or folded under a summary; with the time that the cell took. */
export function frame(parts, node, folded, context) {
  const seconds = context.seconds?.get(node);
  const time = seconds >= 0.05 ? h("span.time", { title: "Time of this cell" }, duration(seconds)) : null;
  if (folded) return h("details.cell.folded", { id: node.cellId }, h("summary", folded, time), parts);
  const name = node.filename ?? languageName(node.lang);
  return h("div.cell", { id: node.cellId }, name || time ? h("div.cell-head", h("span", name), time) : null, parts);
}

/** The code of one thing or more behind one mark; each cell keeps its own name. */
export function fold(cells, word, context) {
  if (cells.length === 1) return frame([source(cells[0], context)], cells[0], word, context);
  const seconds = cells.map((cell) => context.seconds?.get(cell) ?? 0).reduce((sum, each) => sum + each, 0);
  const time = seconds >= 0.05 ? h("span.time", { title: "Time of these cells" }, duration(seconds)) : null;
  return h("details.cell.folded", h("summary", word, time), cells.map((cell) => h("div.part", { id: cell.cellId }, source(cell, context))));
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
  return frame([source(node, context)], node, null, context);
}

/** A code cell: the engine gives a block that holds a `code` and an `outputs` node. */
function codeCell(node, context) {
  const input = node.children.find((child) => child.type === "code");
  const output = node.children.find((child) => child.type === "outputs");
  const before = node.children.find((child) => child.type === "hungCells");
  const others = node.children.filter((child) => ![input, output, before].includes(child));
  const hidden = (part) => part?.visibility === "hide";
  const removed = (part) => !part || part.visibility === "remove" || node.visibility === "remove";
  const printed = removed(output) ? [] : outputs(output, context);
  // Pictures stand free below the cell, but go under its fold, if it has one.
  const images = hidden(output) ? [] : printed.filter(isPicture);
  const texts = printed.filter((part) => !images.includes(part));
  const below = texts.length === 0 ? [] : [hidden(output) ? foldedOutputs(texts) : h("div.outputs", texts)];
  const rest = [...images.map((image) => h("figure", enlargeable(image))), ...(node.visibility === "remove" ? [] : others.flatMap((child) => render(child, context)))];
  if (hidden(node)) return frame([input && source(input, context), ...below, ...rest], input ?? node, "Show cell", context);
  const cell = [];
  if (removed(input)) cell.push(...below.map((part) => h("div.cell", part)));
  else if (hidden(input)) cell.push(fold([...(before?.children ?? []), input], "Code", context), ...below.map((part) => h("div.cell.alone", part)));
  else cell.push(frame([source(input, context), ...below], input, null, context));
  const shown = [...cell, ...rest];
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
  block: (node, context) => (node.kind === "notebook-code" || node.children?.some((c) => c.type === "outputs") ? codeCell(node, context) : node.class ? h("div", children(node, context)) : children(node, context)),
  code, hungCells, inlineExpression,
  mermaid: (node, context) => code({ ...node, lang: "mermaid" }, context), // as text: a drawing would take a megabyte of script
};
