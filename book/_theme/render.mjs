// From the engine's syntax tree to HTML: one function for each kind of node.
// A function takes (node, context) and returns hast: an element, a list, or nothing.
import { fromHtml } from "hast-util-from-html";
import { defaultSchema, sanitize } from "hast-util-sanitize";
import { h } from "hastscript";
import { imageSize } from "image-size";
import { find, visit } from "./book.mjs";
import { highlight, languageName } from "./highlight.mjs";

const place = ({ source, line }) => `(${source}${line ? `, line ${line}` : ""})`;

/** A node that the theme does not know. The message names its kind and its place in the source. */
export class UnknownNode extends Error {
  constructor(node, context) {
    super(`no function in render.mjs for a node of kind "${node.type}" ${place(context)}`);
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

const children = (node, context) => tied(node.children ?? []).flatMap((child) => render(child, context) ?? []);

// What must not be parted at the end of a line: a number and its unit, a mean and its interval.
const unit = "(?:[%±×]|(?:m|km|s|ms|min|h|MB|GB|TB|GB/s|Gflop/s|points|steps)(?![\\w-]))";
const afterNumber = new RegExp(`(?<=\\d) (?=${unit})`, "g");
const afterValue = new RegExp(`^ (?=${unit})`);
const unbroken = (value) => value.replace(/ ([±×]) /g, "\u00a0$1\u00a0").replace(afterNumber, "\u00a0");

/** To the browser a formula is a box, beside which lines may break: not so before a full stop. */
function tied(siblings) {
  const marks = siblings.map((node, index) => {
    const next = siblings[index + 1];
    const short = node.type === "inlineMath" && node.value.length < 40; // a long one must break in itself
    return short && next?.type === "text" ? /^(?:-\w+)?[.,;:!?)\]’”]*/.exec(next.value)[0] : "";
  });
  return siblings.map((node, index) => {
    if (marks[index]) return { type: "tied", children: [node, { type: "text", value: marks[index] }] };
    if (marks[index - 1]) return { ...node, value: node.value.slice(marks[index - 1].length) };
    const follows = ["inlineExpression", "inlineMath"].includes(siblings[index - 1]?.type);
    return follows && node.type === "text" ? { ...node, value: node.value.replace(afterValue, "\u00a0") } : node;
  });
}

const wrap = (tag, properties) => (node, context) => h(tag, properties ?? {}, children(node, context));
const raw = (value) => ({ type: "raw", value });
const text = (node) => node.value ?? (node.children ?? []).map(text).join("");
const hasClass = (node, name) => (node.class ?? "").split(/\s+/).includes(name);
const anchor = (node) => node.html_id ?? node.identifier;

// --- addresses: every one is relative to the page ------------------------------------------------

export const pageAddress = (slug, context) => `${context.prefix}${slug === "index" ? "" : `${slug}/`}index.html`;

const slugOf = (url) => url.split("#")[0].replace(/^\/|\/$/g, "") || "index";

function internalAddress(url, context) {
  const fragment = url.split("#")[1];
  return pageAddress(slugOf(url), context) + (fragment ? `#${fragment}` : "");
}

/** Address of a file of the book; the build may know it under another name (see build.mjs). */
function fileAddress(url, context) {
  context.used.add(url);
  return `${context.prefix}build${context.book.files.get(url)?.name ?? url}`;
}

function link(node, context) {
  if (node.internal) return h("a", { href: internalAddress(node.url, context) }, children(node, context));
  if (node.static) return h("a", { href: fileAddress(node.url, context), download: true }, children(node, context));
  const external = /^[a-z]+:/i.test(node.url ?? "");
  return h("a", { href: node.url, rel: external ? "noreferrer" : undefined }, children(node, context));
}

function crossReference(node, context) {
  const target = anchor(node);
  const elsewhere = node.url ? internalAddress(node.url, context) : "";
  const card = node.url ? cardOf(node, context) : undefined;
  return h("a", { class: "reference", href: `${elsewhere}${target ? `#${target}` : ""}`, dataCard: card }, children(node, context));
}

// --- cards: what a reference to another page shows, without going there ----------------------------

/** Put the target of a reference among the cards of this page; the name of the card. */
function cardOf(node, context) {
  const slug = slugOf(node.url);
  const target = anchor(node) ?? "";
  const name = `card-${slug}-${target}`;
  if (!context.cards.has(name)) {
    const data = context.book.pages.get(slug);
    const found = data && targetOf(data, target);
    if (!found) return undefined;
    context.cards.set(name, null); // a card may refer to itself
    context.cards.set(name, quoted(found.flatMap((part) => render(part, insideCard(data, context)) ?? [])));
  }
  return name;
}

/** A node to show for a label; of a section its heading and the paragraph after it. */
function targetOf(data, target) {
  const flow = data.mdast.children.flatMap((block) => (block.type === "block" ? block.children : block));
  const at = flow.findIndex((node) => anchor(node) === target);
  if (at === -1) return find(data, target) && [find(data, target)];
  if (flow[at].type !== "heading") return [flow[at]];
  return [flow[at], flow.slice(at + 1).find((node) => node.type === "paragraph")].filter(Boolean);
}

const insideCard = (data, context) => ({ ...context, source: data.location, quoting: true, footnotes: [], footnoteUses: new Map(), seconds: data.seconds });

/** A copy to be shown elsewhere: without names, links, and places for the keyboard to stop. */
function quoted(parts) {
  return parts.flatMap((part) => {
    // The source of a formula is for those who copy it.
    if (part.type === "raw") return raw(part.value.replace(/<annotation\b.*?<\/annotation>/gs, ""));
    if (part.type !== "element") return part;
    const { id, tabIndex, ariaLabel, role, ...properties } = part.properties;
    if (part.tagName === "details" || properties.className?.includes("anchor")) return [];
    const link = part.tagName === "a";
    if (link) for (const name of ["href", "rel", "dataCard"]) delete properties[name];
    return { ...part, tagName: link ? "span" : part.tagName, properties, children: quoted(part.children) };
  });
}

// --- headings, mathematics -----------------------------------------------------------------------

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

// --- code cells and what they print --------------------------------------------------------------

function source(node) {
  return h("pre", highlight(node.value ?? "", node.lang));
}

/** Code and outputs in one frame, or folded under a summary; with the time that the cell took. */
function frame(parts, node, folded, context) {
  const seconds = context.seconds?.get(node);
  const time = seconds >= 0.05 ? h("span.time", { title: "Time of this cell" }, duration(seconds)) : null;
  if (folded) return h("details.cell.folded", { id: node.cellId }, h("summary", folded, time), parts);
  const name = languageName(node.lang);
  return h("div.cell", { id: node.cellId }, name || time ? h("div.cell-head", h("span", name), time) : null, parts);
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
  else if (hidden(input) || node.visibility === "hide") cell.push(frame([source(input)], input, "Show code", context), ...foldedTexts.map((part) => h("div.cell.alone", part)));
  else cell.push(frame([source(input), ...foldedTexts], input, null, context));
  const shown = [...cell, ...images.map((image) => h("figure", enlargeable(image))), ...others.flatMap((child) => render(child, context))];
  // Where code is not shown, a number leads to what stands in its place.
  if (removed(input) && input?.cellId) shown.unshift(h("span.cell-place", { id: input.cellId }));
  return shown;
}

/** What a kernel printed may come in several messages, as time would have it: those of one stream are one text. */
function joinedStreams(nodes) {
  const found = [];
  for (const node of nodes) {
    const [data, last] = [node.jupyter_data, found.at(-1)?.jupyter_data];
    if (data?.output_type === "stream" && last?.output_type === "stream" && data.name === last.name) {
      found[found.length - 1] = { ...found.at(-1), jupyter_data: { ...last, text: joined(last.text) + joined(data.text) } };
    } else found.push(node);
  }
  return found;
}

function outputs(node, context) {
  return joinedStreams(node.children ?? []).flatMap((child) => render(child, context));
}

// Notebook output is not trusted: no script, no handlers, no frames.
const outputSchema = {
  ...defaultSchema,
  attributes: { ...defaultSchema.attributes, "*": [...(defaultSchema.attributes["*"] ?? []), "className", "style", "scope"] },
};
const safeStyle = (tree) => {
  const visit = (node) => {
    if (/url\s*\(|expression|@import|position\s*:/i.test(node.properties?.style ?? "")) delete node.properties.style;
    node.children?.forEach(visit);
  };
  visit(tree);
  return tree;
};
export const sanitizeHtml = (html) => safeStyle(sanitize(fromHtml(html, { fragment: true }), outputSchema)).children;

// Output that needs a script gets a frame of its own, an origin of its own, and no network.
const frameRules = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:";
const framed = (html) => h("iframe.html", {
  title: "Output of the cell", sandbox: "allow-scripts", loading: "lazy",
  srcDoc: `<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${frameRules}"><title>Output</title><body>${html}`,
});

function htmlOutput(html, context) {
  if (context.trusted) return h("div.html", {}, raw(html));
  return /<script\b/i.test(html) ? framed(html) : h("div.html", sanitizeHtml(html));
}

const ansi = /\u001b\[[0-9;]*[A-Za-z]/;
const joined = (value) => (Array.isArray(value) ? value.join("") : value ?? "");

/** Text as a terminal shows it, with the colours that it asks for. */
function terminal(kind, string) {
  return h("pre", { class: kind }, ansi.test(string) ? highlight(string, "ansi") : string);
}

function output(node, context) {
  const data = node.jupyter_data ?? {};
  if (data.output_type === "stream") {
    const pre = terminal(data.name === "stderr" ? "stderr" : "stdout", joined(data.text));
    return data.name === "stderr" ? [h("p.stream-name", "standard error"), pre] : pre;
  }
  if (data.output_type === "error") {
    const trace = [data.traceback ?? []].flat().join("\n") || `${data.ename}: ${data.evalue}`;
    return terminal(["traceback", node.expected ? "expected" : "unexpected"], trace);
  }
  const bundle = data.data ?? {};
  const image = Object.keys(bundle).find((type) => type.startsWith("image/"));
  const content = (type) => joined(bundle[type].content ?? context.book.files.get(bundle[type].path)?.text);
  if (image && bundle[image].path) return plot(bundle, image, node.alt ?? "", context);
  if (image) {
    const { width, height } = imageSize(Buffer.from(content(image))); // short SVG comes without a file
    return h("img.plot", { src: `data:${image},${encodeURIComponent(content(image))}`, width, height, alt: node.alt ?? "" });
  }
  if (bundle["text/html"]) return htmlOutput(content("text/html"), context);
  if (bundle["text/plain"]) return terminal("result", content("text/plain"));
  throw new Error(`no way to show an output that is only ${Object.keys(bundle).join(", ") || "empty"} ${place(context)}`);
}

/** What a sentence has computed. The script tells where it comes from, by its place in the list of the page. */
function inlineExpression(node, context) {
  const value = children(node, context);
  return context.quoting || node.number === undefined ? value : h("samp", { dataN: node.number }, value);
}

// --- pictures, figures, tables -------------------------------------------------------------------

/** An image with its size, so that the text below does not jump when it arrives. */
function picture(url, properties, context) {
  const local = url?.startsWith("/");
  const file = context.book.files.get(url);
  const size = file?.width ? { width: file.width, height: file.height } : {};
  return h("img", { src: local ? fileAddress(url, context) : url, loading: "lazy", decoding: "async", ...size, ...properties });
}

/** A figure that a cell drew. The kernel draws it twice: as PNG for light, and as WebP for dark. */
function plot(bundle, type, alt, context) {
  const inches = context.book.files.get(bundle[type].path)?.inches;
  const style = inches ? `--inches:${inches.toFixed(2)}` : undefined;
  const dark = type === "image/png" && bundle["image/webp"]?.path;
  const light = picture(bundle[type].path, { alt, class: ["plot", dark ? "for-light" : ""].filter(Boolean), style }, context);
  return dark ? h("span.themed", light, picture(dark, { alt, class: ["plot", "for-dark"], style }, context)) : light;
}

const isPicture = (part) => part.tagName === "img" || (part.properties?.className ?? []).includes("themed");

/** A picture that can be looked at by itself: a plain link, which the script opens in place. */
function enlargeable(part) {
  if (!isPicture(part)) return part;
  const { src } = (part.tagName === "img" ? part : part.children[0]).properties;
  return h("a.enlarge", { href: src }, part);
}

function image(node, context) {
  const style = node.width ? `width:${node.width}` : undefined;
  return picture(node.url, { alt: node.alt ?? "", ...(style ? { style } : {}) }, context);
}

function container(node, context) {
  const id = anchor(node);
  const captions = node.children.filter((child) => child.type === "caption" || child.type === "legend");
  const input = node.children.find((child) => child.type === "code" && child.executable);
  const body = node.children.filter((child) => !captions.includes(child) && child !== input);
  const caption = h("figcaption", captions.flatMap((child) => render(child, context)),
    input ? frame([source(input)], input, "Code", context) : null);
  const parts = body.flatMap((child) => render(child, context) ?? []).map(context.quoting ? (part) => part : enlargeable);
  const first = node.kind === "table" ? [caption, parts] : [parts, caption];
  return h("figure", { id, class: [node.kind, ...(node.class ?? "").split(/\s+/)].filter(Boolean) }, first);
}

function captionNumber(node, context) {
  return [h("span.number", text(node).replace(/:$/, "").concat(".")), " "];
}

function table(node, context) {
  const rows = node.children ?? [];
  const isHeader = (row) => row.children.length > 0 && row.children.every((cell) => cell.header);
  const body = rows.findIndex((row) => !isHeader(row));
  const cut = body === -1 ? rows.length : body;
  const row = (cellScope) => (line) => h("tr", line.children.map((cell) => tableCell(cell, context, cellScope)));
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

// --- lists, notes, exercises ---------------------------------------------------------------------

function list(node, context) {
  return h(node.ordered ? "ol" : "ul", { start: node.ordered && node.start > 1 ? node.start : undefined, class: node.spread ? undefined : "tight" }, children(node, context));
}

// A paragraph that is all there is to an item or a cell needs no element of its own.
const unwrapped = (node) => (node.children?.length === 1 && node.children[0].type === "paragraph" ? node.children[0] : node);

function listItem(node, context) {
  return h("li", children(unwrapped(node), context));
}

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

function exercise(node, context) {
  const { title, body } = titled(node, "", context);
  const number = node.enumerator ? `Exercise ${node.enumerator}` : "Exercise";
  return h("div.exercise", { id: anchor(node) }, h("p.title", number, title[0] ? [" · ", title] : null), body);
}

function solution(node, context) {
  const { body } = titled(node, "", context);
  return h("details.solution", { id: anchor(node) }, h("summary", "Solution"), body);
}

function proof(node, context) {
  const { title, body } = titled(node, "", context);
  const kind = node.kind ?? "proof";
  const number = `${kind[0].toUpperCase()}${kind.slice(1)}${node.enumerator ? ` ${node.enumerator}` : ""}`;
  return h("div", { class: ["proof", kind], id: anchor(node) }, h("p.title", number, title[0] ? [" · ", title] : null), body);
}

// --- citations, footnotes ------------------------------------------------------------------------

function cite(node, context) {
  return h("a.citation", { href: `#ref-${node.identifier}` }, children(node, context));
}

function citeGroup(node, context) {
  const narrative = node.kind === "narrative";
  const parts = (node.children ?? []).flatMap((child, index) => [index ? (narrative ? ", " : "; ") : "", render(child, context)]);
  return narrative ? parts : ["(", ...parts, ")"].flat();
}

function footnoteReference(node, context) {
  const number = node.enumerator ?? node.identifier;
  const count = context.footnoteUses.get(node.identifier) ?? 0;
  context.footnoteUses.set(node.identifier, count + 1);
  return h("sup.footnote", h("a", { id: `fnref-${node.identifier}${count ? `-${count + 1}` : ""}`, href: `#fn-${node.identifier}`, ariaLabel: `Footnote ${number}` }, number));
}

function footnoteDefinition(node, context) {
  context.footnotes.push({ id: node.identifier, number: node.enumerator, body: children(node, context) });
  return null;
}

// The engine evaluates no role in the caption of a code cell: better no page than the bare source.
function mystRole(node, context) {
  if (node.children?.some((child) => child.type === "mystRoleBody")) {
    throw new Error(`the engine leaves the role {${node.name}} unevaluated here; say it in the text instead ${place(context)}`);
  }
  return children(node, context);
}

// --- tabs, cards ---------------------------------------------------------------------------------

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

const internalOrNot = (url, context) => (url.startsWith("/") ? internalAddress(url, context) : url);

function iframe(node) {
  return h("iframe", { src: node.src, title: node.title ?? "Embedded page", loading: "lazy", sandbox: "allow-scripts" });
}

// --- the list of figures -----------------------------------------------------------------------------

/** A `{div}` of the class `list-of-figures` is filled with all figures of the book, one of `frontispiece` with one. */
function div(node, context) {
  if (hasClass(node, "frontispiece")) return frontispiece(node, context);
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

/** The pictures and the caption of a figure that stands elsewhere, and where that is. */
function quotedFigure(figure, data, context) {
  const parts = quoted(figure.children.filter((child) => child.type !== "code").flatMap((child) => render(child, insideCard(data, context)) ?? []));
  return {
    address: `${pageAddress(data.slug, context)}#${anchor(figure)}`,
    pictures: parts.filter(isPicture),
    caption: parts.filter((part) => !isPicture(part)).flatMap((part) => (part.tagName === "p" ? part.children : part)),
  };
}

/** The figure that is named beside the class, `{div}` of the class `frontispiece fig-name`: it leads to its chapter. */
function frontispiece(node, context) {
  const label = node.class.split(/\s+/).find((name) => name !== "frontispiece");
  for (const data of context.book.pages.values()) {
    const figure = find(data, label);
    if (figure?.type !== "container") continue;
    const { address, pictures, caption } = quotedFigure(figure, data, context);
    return h("figure.frontispiece", h("a", { href: address }, pictures), h("figcaption", h("p", caption)));
  }
  throw new Error(`there is no figure ${label} for a frontispiece ${place(context)}`);
}

// --- the table of kinds --------------------------------------------------------------------------

export const kinds = {
  // flow
  root: children,
  block: (node, context) => (node.kind === "notebook-code" || node.children?.some((c) => c.type === "outputs") ? codeCell(node, context) : children(node, context)),
  paragraph: wrap("p"),
  heading, math, code, outputs, output, container, image, table, list, listItem, admonition, details, exercise, solution, proof,
  mathGroup: children,
  caption: children,
  legend: wrap("div.legend"),
  captionNumber,
  blockquote: wrap("blockquote"),
  thematicBreak: () => h("hr"),
  aside: wrap("div.margin", { role: "note" }),
  definitionList: wrap("dl"),
  definitionTerm: wrap("dt"),
  definitionDescription: wrap("dd"),
  glossary: wrap("div.glossary"),
  footnoteDefinition, footnoteReference,
  tabSet, tabItem, card, iframe,
  grid: wrap("div.grid"),
  cardTitle: wrap("p.title"),
  header: wrap("div.card-header"),
  footer: wrap("div.card-footer"),
  linkBlock: (node, context) => h("p", h("a", { href: internalOrNot(node.url, context) }, node.title ?? children(node, context))),
  mermaid: (node, context) => code({ ...node, lang: "mermaid" }, context), // as text: a drawing would take a megabyte of script
  html: (node) => sanitizeHtml(node.value ?? ""),
  div,
  embed: children,
  include: children,
  mystTarget: () => null,
  comment: () => null,
  bibliography: () => null,
  // phrasing
  text: (node) => ({ type: "text", value: unbroken(node.value) }),
  emphasis: wrap("em"),
  strong: wrap("strong"),
  inlineCode: (node) => h("code", node.value),
  inlineMath: (node) => raw(node.html ?? ""),
  tied: (node, context) => h("span.tied", node.children.map((child) => render(child, context))),
  inlineExpression, link, crossReference, cite, citeGroup,
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
  mystDirective: children,
  mystRole,
};
