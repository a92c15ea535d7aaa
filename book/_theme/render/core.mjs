// From the engine's syntax tree to HTML: a function for each kind of node, of which each file here has those of one subject.
// A function takes (node, context) and returns hast: an element, a list, or nothing.
import { h } from "hastscript";
import { refuseUnknown } from "./properties.mjs";
import { tied, unbracketed } from "./typography.mjs";

/** Functions by the kind of node; `index.mjs` puts them in, subject by subject. */
export const kinds = {};

const place = ({ source, line }) => `(${source}${line ? `, line ${line}` : ""})`;

export function render(node, context) {
  // Not every node knows its line; then that of the node around it will do.
  const here = node.position ? { ...context, line: node.position.start.line } : context;
  try {
    const kind = kinds[node.type];
    if (!kind) throw new Error(`no function in render/ for a node of kind "${node.type}"`);
    refuseUnknown(node);
    return named(dressed(kind(node, here), node), node, here);
  } catch (error) {
    if (!error.placed) Object.assign(error, { message: `${error.message} ${place(here)}`, placed: true }); // of the innermost node
    throw error;
  }
}

/** Classes that an author gives are on the element, whatever its kind. */
function dressed(made, node) {
  const wanted = (node.class ?? "").split(/\s+/).filter(Boolean);
  const [only, ...others] = [made ?? []].flat();
  if (wanted.length === 0 || only?.type !== "element" || others.length > 0) return made;
  const has = [only.properties.className ?? []].flat();
  return { ...only, properties: { ...only.properties, className: [...new Set([...has, ...wanted])] } };
}

// What speaks of a place has the place's name.
const SPEAKING = new Set(["crossReference", "captionNumber", "cite", "footnoteReference", "footnoteDefinition", "mystTarget"]);

/** Whatever has a name is found by it: the name is on its first element or, where that has another, on a mark before it. */
function named(made, node, context) {
  const id = SPEAKING.has(node.type) ? undefined : node.html_id;
  if (!id || context.quoting) return made;
  const parts = [made ?? []].flat();
  if (parts.some((part) => isNamed(part, id))) return made;
  const [first, ...others] = parts;
  if (first?.type === "element" && first.properties.id === undefined) return [{ ...first, properties: { ...first.properties, id } }, ...others];
  return [h("span.place", { id }), ...parts];
}

const isNamed = (part, id) => part.properties?.id === id || Boolean(part.children?.some((child) => isNamed(child, id)));

export const children = (node, context) => tied(unbracketed(node.children ?? [])).flatMap((child) => render(child, context) ?? []);

export const wrap = (tag, properties) => (node, context) => h(tag, properties ?? {}, children(node, context));
export const raw = (value) => ({ type: "raw", value });
export const escape = (value) => String(value ?? "").replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
export const text = (node) => node.value ?? (node.children ?? []).map(text).join("");
export const hasClass = (node, name) => (node.class ?? "").split(/\s+/).includes(name);
export { anchorOf as anchor } from "../book.mjs";

// A paragraph that is all there is to an item or a cell needs no element of its own.
export const unwrapped = (node) => (node.children?.length === 1 && node.children[0].type === "paragraph" && !node.children[0].html_id ? node.children[0] : node);
