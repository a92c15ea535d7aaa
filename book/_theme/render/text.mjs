// Text, headings, lists, formulas.
import { fromHtml } from "hast-util-from-html";
import { toHtml } from "hast-util-to-html";
import { h } from "hastscript";
import { anchor, children, raw, render, unwrapped, wrap } from "./core.mjs";
import { valid } from "./formulas.mjs";
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
    h("div.formula", { role: "group", ariaLabel: `Equation ${node.enumerator ?? ""}`.trim() }, raw(inRows(valid(node.html ?? "")))),
    node.enumerator ? h("a.number", { href: `#${id}`, ariaLabel: `Link to equation ${node.enumerator}` }, `(${node.enumerator})`) : null);
}

const classes = (node) => node.properties?.className ?? [];
const isBlank = (node) => classes(node).includes("mspace") && parseFloat(/margin-right:\s*([\d.]+)em/.exec(node.properties.style ?? "")?.[1]) >= 1;

/**
 * Parts of a display that stand apart, with a `\quad` between them, become rows: where there is room they stand side by
 * side, and else one below the other. Within a row lines break after a relation, where KaTeX ends a `.base`.
 */
function inRows(html) {
  const tree = fromHtml(html, { fragment: true });
  const visual = find(tree, (node) => classes(node).includes("katex-html"));
  if (!visual || visual.children.some((child) => !classes(child).includes("base"))) return html;
  const rows = [[]];
  for (const base of visual.children) {
    const [strut, ...rest] = base.children; // it gives each part the height of the whole
    const parts = [[]];
    for (const node of rest) {
      if (isBlank(node)) parts.push([]);
      else parts.at(-1).push(node);
    }
    parts.forEach((part, index) => {
      if (index > 0) rows.push([]);
      if (part.length > 0) rows.at(-1).push({ ...base, children: [structuredClone(strut), ...part] });
    });
  }
  visual.children = rows.filter((row) => row.length > 0).map((row) => h("span.row", row));
  return toHtml(tree, { preferUnquoted: true });
}

function find(node, matches) {
  return matches(node) ? node : node.children?.map((child) => find(child, matches)).find(Boolean);
}

function list(node, context) {
  return h(node.ordered ? "ol" : "ul", { start: node.ordered && node.start > 1 ? node.start : undefined, class: node.spread ? undefined : "tight" }, children(node, context));
}

function listItem(node, context) {
  if (typeof node.checked !== "boolean") return h("li", children(unwrapped(node), context));
  const mark = h("span.mark", { role: "img", ariaLabel: node.checked ? "Done" : "To do" }, node.checked ? "☑" : "☐");
  return h("li.task", mark, " ", children(unwrapped(node), context));
}

// The engine evaluates no role in the caption of a code cell: better no page than the bare source.
function mystRole(node, context) {
  if (node.children?.some((child) => child.type === "mystRoleBody")) {
    throw new Error(`the engine leaves the role {${node.name}} unevaluated here; say it in the text instead`);
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
  inlineMath: (node) => raw(valid(node.html ?? "")),
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
  si: (node) => h("span.si", { title: node.alt }, [node.number, node.unit].filter(Boolean).join("\u202f")),
  chemicalFormula: (node) => h("span.chem", [...node.value.matchAll(/([A-Za-z)\]])(\d+)|\^\{?([\d]*[+-])\}?|[^]/g)].map(([all, before, low, high]) => (low ? [before, h("sub", low)] : high ? h("sup", high.replace("-", "−")) : all)).flat()),
  raw: (node) => {
    throw new Error(`raw ${node.lang ?? "text"} is for other documents than a website, and would be missing here: say it in MyST, a formula by {math}`);
  },
  mystRole,
};
