// Text, headings, lists, formulas.
import { h } from "hastscript";
import { anchor, children, place, raw, render, unwrapped, wrap } from "./core.mjs";
import { unbroken } from "./typography.mjs";

function heading(node, context) {
  const id = anchor(node);
  const number = node.enumerator ? h("span.number", node.enumerator) : null;
  // In a sentence the number needs a space; to the eye the stylesheet sets the distance.
  return h(`h${Math.min(node.depth, 6)}`, { id }, number, number ? " " : null, children(node, context),
    id ? h("a.anchor", { href: `#${id}`, ariaLabel: "Link to this section" }, "#") : null);
}

function math(node) {
  const id = anchor(node);
  return h("div.equation", { id },
    h("div.formula", { role: "group", ariaLabel: `Equation ${node.enumerator ?? ""}`.trim() }, raw(node.html ?? "")),
    node.enumerator ? h("a.number", { href: `#${id}`, ariaLabel: `Link to equation ${node.enumerator}` }, `(${node.enumerator})`) : null);
}

function list(node, context) {
  return h(node.ordered ? "ol" : "ul", { start: node.ordered && node.start > 1 ? node.start : undefined, class: node.spread ? undefined : "tight" }, children(node, context));
}

function listItem(node, context) {
  return h("li", children(unwrapped(node), context));
}

// The engine evaluates no role in the caption of a code cell: better no page than the bare source.
function mystRole(node, context) {
  if (node.children?.some((child) => child.type === "mystRoleBody")) {
    throw new Error(`the engine leaves the role {${node.name}} unevaluated here; say it in the text instead ${place(context)}`);
  }
  return children(node, context);
}

export const kinds = {
  paragraph: wrap("p"),
  heading, math, list, listItem,
  mathGroup: children,
  blockquote: wrap("blockquote"),
  thematicBreak: () => h("hr"),
  definitionList: wrap("dl"),
  definitionTerm: wrap("dt"),
  definitionDescription: wrap("dd"),
  glossary: wrap("div.glossary"),
  text: (node) => ({ type: "text", value: unbroken(node.value) }),
  emphasis: wrap("em"),
  strong: wrap("strong"),
  inlineCode: (node) => h("code", node.value),
  inlineMath: (node) => raw(node.html ?? ""),
  tied: (node, context) => h("span.tied", node.children.map((child) => render(child, context))),
  break: () => h("br"),
  subscript: wrap("sub"),
  superscript: wrap("sup"),
  delete: wrap("del"),
  underline: wrap("u"),
  smallcaps: wrap("span.smallcaps"),
  keyboard: wrap("kbd"),
  abbreviation: (node, context) => h("abbr", { title: node.title }, children(node, context)),
  span: wrap("span"),
  si: (node) => `${node.number ?? ""}\u202f${node.unit ?? ""}`,
  mystRole,
};
