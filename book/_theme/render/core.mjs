// From the engine's syntax tree to HTML: a function for each kind of node, of which each file here has those of one subject.
// A function takes (node, context) and returns hast: an element, a list, or nothing.
import { h } from "hastscript";
import { tied } from "./typography.mjs";

/** Functions by the kind of node; `index.mjs` puts them in, subject by subject. */
export const kinds = {};

export const place = ({ source, line }) => `(${source}${line ? `, line ${line}` : ""})`;

/** A node that the theme does not know. The message names its kind and its place in the source. */
export class UnknownNode extends Error {
  constructor(node, context) {
    super(`no function in render/ for a node of kind "${node.type}" ${place(context)}`);
    this.name = "UnknownNode";
  }
}

export function render(node, context) {
  // Not every node knows its line; then that of the node around it will do.
  const here = node.position ? { ...context, line: node.position.start.line } : context;
  const kind = kinds[node.type];
  if (!kind) throw new UnknownNode(node, here);
  return kind(node, here);
}

export const children = (node, context) => tied(node.children ?? []).flatMap((child) => render(child, context) ?? []);

export const wrap = (tag, properties) => (node, context) => h(tag, properties ?? {}, children(node, context));
export const raw = (value) => ({ type: "raw", value });
export const escape = (value) => String(value ?? "").replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
export const text = (node) => node.value ?? (node.children ?? []).map(text).join("");
export const hasClass = (node, name) => (node.class ?? "").split(/\s+/).includes(name);
export { anchorOf as anchor } from "../book.mjs";

// A paragraph that is all there is to an item or a cell needs no element of its own.
export const unwrapped = (node) => (node.children?.length === 1 && node.children[0].type === "paragraph" ? node.children[0] : node);
