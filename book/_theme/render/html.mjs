// HTML that somebody else wrote, as a page may hold it: cleaned, or in a frame of its own.
import { fromHtml } from "hast-util-from-html";
import { defaultSchema, sanitize } from "hast-util-sanitize";
import { toString } from "hast-util-to-string";
import { h } from "hastscript";
import { raw } from "./core.mjs";
import { formula } from "./formulas.mjs";

const MORE = ["abbr", "address", "bdi", "bdo", "caption", "cite", "col", "colgroup", "dfn", "figcaption", "figure", "mark", "nav", "s", "small", "time", "u", "wbr"];
// What is no part of what is shown, or is put in another way.
const ABOUT = ["style", "title", "meta", "link", "base", "template"];

// Not trusted: no script, no handlers, no frames; what is dropped goes with all that it holds.
const schema = {
  ...defaultSchema,
  tagNames: [...defaultSchema.tagNames, ...MORE],
  attributes: { ...defaultSchema.attributes, "*": [...(defaultSchema.attributes["*"] ?? []), "className", "style", "scope"] },
  strip: ["script", ...ABOUT],
};
const known = new Set([...schema.tagNames, ...ABOUT]);

function* elements(node) {
  if (node.type === "element") yield node;
  for (const child of node.children ?? []) yield* elements(child);
  if (node.content) yield* elements(node.content); // of a template
}

const FORBIDDEN = /url\s*\(|image-set|expression|@import|position\s*:|-moz-binding|behavior\s*:/i;
const decoded = (css) => css.replace(/\\(?:([0-9a-f]{1,6})\s?|(.))/gis, (_, code, other) => (code ? String.fromCodePoint(Math.min(parseInt(code, 16), 0x10ffff)) : other));
const isForbidden = (css) => FORBIDDEN.test(decoded(css));

/** Elements without anything that a page would not let in; `prefix` is put before their names. */
export function cleaned(html, prefix = "user-content-") {
  const tree = sanitize(fromHtml(html, { fragment: true }), { ...schema, clobberPrefix: prefix });
  for (const { tagName, properties } of elements(tree)) {
    if (isForbidden(properties.style ?? "")) delete properties.style;
    if (tagName === "a" && properties.href?.startsWith("#")) properties.href = `#${prefix}${properties.href.slice(1)}`;
  }
  return tree.children;
}

/** Formulas that a cell's Markdown holds: `tools/kernel/markdown.py` marks them. */
function withFormulas(nodes) {
  return nodes.map((node) => {
    const classes = node.properties?.className ?? [];
    if (classes.includes("math")) return raw(formula(toString(node), classes.includes("block")));
    return node.children ? { ...node, children: withFormulas(node.children) } : node;
  });
}

/** Rules that hold inside an element alone; names in them get its prefix, as in the elements. */
function scoped(css, id) {
  const plain = css.replace(/\/\*.*?\*\//gs, "").replace(/<!--|-->/g, "");
  if (plain.split("{").length !== plain.split("}").length || plain.includes("<")) throw new Error("the style of an HTML output has a brace too many or too few, or a tag in it");
  let depth = 0;
  for (const [brace] of plain.matchAll(/[{}]/g)) {
    depth += brace === "{" ? 1 : -1;
    if (depth < 0) throw new Error("the style of an HTML output has a brace too many");
  }
  const allowed = plain.replace(/[^;{}]+;?/g, (part) => (isForbidden(part) ? "" : part));
  // What stands before a brace are selectors; colours, which begin like names, stand inside.
  return `#${id}{${allowed.replace(/[^;{}]+(?=\{)/g, (selector) => selector.replace(/#([\w-]+)/g, `#${id}-$1`)).trim()}}`;
}

// Output that needs a script, or shows what cleaning would take away, gets a frame of its own, an origin of its own, and no network.
const frameRules = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline'; img-src data: blob:; media-src data: blob:; font-src data:; worker-src blob:";
// The page around cannot look inside: the frame says how high it is (`script/frames.js`).
const telling = `<script>new ResizeObserver(()=>parent.postMessage({frameHeight:document.documentElement.scrollHeight},"*")).observe(document.body)</script>`;
export const framed = (html) => h("iframe.html", {
  title: "Output of the cell", sandbox: "allow-scripts", loading: "lazy",
  srcDoc: `<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${frameRules}"><title>Output</title><body>${html}${telling}`,
});

const LOADING = { script: "src", link: "href", img: "src", iframe: "src", source: "src", video: "src", audio: "src", embed: "src", object: "data" };

/** HTML output of a cell. A page may trust it; else it is cleaned, and its rules are put among the styles of the page. */
export function htmlOutput(html, context) {
  if (context.trusted) return h("div.html", {}, raw(html));
  const found = [...elements(fromHtml(html, { fragment: true }))];
  const strange = found.filter(({ tagName }) => !known.has(tagName));
  if (strange.length > 0) {
    for (const { tagName, properties } of found) {
      const address = String(properties[LOADING[tagName]] ?? "");
      if (/^(https?:)?\/\//i.test(address)) {
        throw new Error(`the HTML output of a cell loads <${tagName}> from ${address}, and the book loads nothing from elsewhere. Put it into the HTML itself (of plotly to_html(include_plotlyjs=True), of bokeh file_html(…, INLINE)), or lead there by a link`);
      }
    }
    return framed(html);
  }
  const id = `output-${(context.outputs.count += 1)}`;
  const css = found.filter(({ tagName }) => tagName === "style").map(toString).join("\n");
  if (css.trim() && !context.quoting) context.outputs.styles.push(scoped(css, id));
  return h("div.html", css.trim() ? { id } : {}, withFormulas(cleaned(html, `${id}-`)));
}

const PHRASES = new Set(["a", "abbr", "b", "bdi", "bdo", "br", "cite", "code", "del", "dfn", "em", "i", "img", "ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr"]);

/** HTML in the text of a page, or in a sentence, where it may be no block. */
export function htmlInText(html, isPhrase = false) {
  const odd = [...elements(fromHtml(html, { fragment: true }))].find(({ tagName }) => !known.has(tagName) || tagName === "style" || (isPhrase && !PHRASES.has(tagName)));
  if (odd) {
    const cure = isPhrase ? "a sentence has no room for it: end a code cell in it instead" : "show it by a directive, or by the output of a code cell";
    throw new Error(`<${odd.tagName}> cannot be shown here; ${cure}`);
  }
  return withFormulas(cleaned(html));
}
