// The frame of a page: head, contents, text, references, colophon, neighbours.
import { toHtml } from "hast-util-to-html";
import { toString } from "hast-util-to-string";
import { h } from "hastscript";
import { anchorOf, downloads, minutesToRead, visit } from "./book.mjs";
import { published } from "./cite.mjs";
import { FIRST } from "./fonts.mjs";
import { edition, foot } from "./foot.mjs";
import { head } from "./head.mjs";
import { movedPlaces } from "./moved.mjs";
import { cleaned, duration, escape, pageAddress, quoted, render, titled, titleText } from "./render/index.mjs";

const html = (tree) => toHtml(tree, { allowDangerousHtml: true });

// --- contents ------------------------------------------------------------------------------------

export function sectionsOf(data, context) {
  const sections = [];
  visit(data.mdast, (node) => {
    if (node.type !== "heading" || node.depth !== 2) return;
    const quiet = { ...context, quoting: true, footnotes: [], footnoteUses: new Map(), cards: new Map() };
    const words = node.children.filter((child) => child.type !== "footnoteReference");
    sections.push({ id: anchorOf(node), number: node.enumerator, title: quoted(words.flatMap((child) => render(child, quiet) ?? [])) });
  });
  return sections;
}

function contents({ book, data, context }) {
  const sections = sectionsOf(data, context);
  const entry = (page) => {
    if (!page.slug) return h("li.part", titled(page.title));
    const current = page.slug === data.slug;
    const below = page.level > 2;
    const isAbove = !below && book.contents[book.contents.indexOf(page) + 1]?.level > 2; // whose sections are those pages
    const inner = current && !isAbove && sections.length > 1
      ? h("ol.sections", sections.map((section) => h("li", h("a", { href: `#${section.id}` }, section.number ? h("span.number", section.number) : null, h("span", section.title)))))
      : null;
    return h(below ? "li.below" : "li", h("a", { href: pageAddress(page.slug, context), ariaCurrent: current ? "page" : undefined }, h("span.number", page.enumerator ?? ""), h("span", titled(page.title))), inner);
  };
  // The name of the book above the list leads to its first page.
  return { list: h("ol.contents", book.contents.slice(1).filter(isShown(book, data)).map(entry)), ...neighboursOf(book, data) };
}

/** Pages below another page, as those of the reference, are named there, and on each other. */
function isShown({ contents: all }, { slug }) {
  const above = (at) => { while (all[at]?.level > 2) at -= 1; return all[at]; };
  const here = above(all.findIndex((page) => page.slug === slug));
  return (page) => !(page.level > 2) || above(all.indexOf(page)) === here;
}

/** The first page leads to the last of the chapters, and that back to the first; pages at the back lead to each other. */
function neighboursOf(book, data) {
  const pages = book.contents.filter((page) => page.slug);
  const [first] = pages;
  const last = Math.max(0, pages.findLastIndex((page) => page.enumerator));
  const chapters = pages.slice(0, last + 1);
  const row = chapters.some((page) => page.slug === data.slug) ? chapters : pages.slice(last + 1);
  const here = row.findIndex((page) => page.slug === data.slug);
  const isLast = row === chapters && here > 0 && here === row.length - 1;
  return { previous: row[here - 1], next: isLast ? { ...first, word: "The last chapter ends here" } : row[here + 1] };
}

// --- what follows the text -----------------------------------------------------------------------

export function footnotes(context) {
  if (context.footnotes.length === 0) return [];
  const order = [...context.footnoteUses.keys()];
  const sorted = [...context.footnotes].sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
  return [h("section.footnotes", { ariaLabel: "Footnotes" }, h("ol", sorted.map((note) => h("li", { id: `fn-${note.id}` }, note.body, " ", h("a.back", { href: `#fnref-${note.id}`, ariaLabel: "Back to the text" }, "↩")))))];
}

export function references(data, context) {
  const cited = data.references?.cite;
  if (!cited?.order?.length) return [];
  // The engine opens references in a new window; a reader can decide that alone.
  const entry = (key) => h("li", { id: `ref-${key}` }, cleaned(cited.data[key].html ?? "").map(plainLink), backToText(key));
  const backToText = (key) => {
    const places = context.citations.get(key) ?? [];
    return h("span.back", places.map((place, index) => [" ", h("a", { href: `#${place}`, ariaLabel: `Back to the text, citation ${index + 1} of ${places.length}` }, places.length === 1 ? "↩" : `↩${index + 1}`)]).flat());
  };
  return [h("section.references", h("h2", { id: "references" }, "References"), h("ol", [...cited.order].sort((a, b) => toString(entry(a)).localeCompare(toString(entry(b)))).map(entry)))];
}

function plainLink(node) {
  return node.tagName === "a" ? h("a", { href: node.properties.href, rel: "noreferrer" }, node.children) : node;
}

/** What a page was made with, so that a reader can make it again. */
function colophon(book, data, live) {
  const { machine, ...versions } = book.colophon;
  let cells = 0;
  visit(data.mdast, (node) => { if (node.type === "code" && node.executable) cells += 1; });
  if (cells === 0 || Object.keys(versions).length === 0) return [];
  const spent = total(data);
  const seed = data.frontmatter.site?.seed;
  return [h("section.colophon", h("h2", { id: "colophon" }, "Colophon"), h("p",
    `Computed with ${Object.entries(versions).map(([name, version]) => `${name}\u00a0${version}`).join(", ")}`, machine ? ` (${machine}). ` : ". ",
    seed === undefined ? "Every random draw takes its seed in the cell that makes it. " : ["Seeds: ", titled(seed), ". "],
    spent === undefined ? null : `The ${cells} cells took ${duration(spent)} in all. A cell that has not changed is not run again, and keeps the time of the run that made it.`),
    // What is known only afterwards is filled in by `tools/colophons.py`; while a page is edited, nothing is.
    live ? null : h("p.confirmed", "Its numbers are ", h("em", "not yet confirmed"), "."), edition(live))];
}

function total(data) {
  return data.seconds.size === 0 ? undefined : [...data.seconds.values()].reduce((sum, seconds) => sum + seconds, 0);
}

/** Where to begin; and who made which edition of the book, and when. */
function start(book, context) {
  const first = book.contents.find((page) => page.enumerator);
  return first ? h("a.start", { href: pageAddress(first.slug, context) }, "Start reading") : null;
}

function imprint({ authors, version, date }) {
  const parts = [authors?.join(", "), version && `Version ${version}`, date].filter(Boolean);
  return parts.length ? [h("p.imprint", parts.join(" · "))] : [];
}

/** What a chapter asks of its readers, and what it gives them. */
export function about({ asks, gives } = {}) {
  const verb = gives && gives[0].toLowerCase() + gives.slice(1);
  const entries = [["You need", asks], ["Afterwards you can", verb]].filter(([, text]) => text);
  return entries.length ? [h("dl.about", entries.map(([word, text]) => h("div", h("dt", word), h("dd", text))))] : [];
}

// --- the page ------------------------------------------------------------------------------------

const mark = `<svg viewBox="0 0 32 32" aria-hidden="true"><path d="M16 19v10" stroke="var(--soft)" stroke-width="2.6" stroke-linecap="round"/><circle cx="16" cy="12" r="9" fill="var(--leaf)"/><circle cx="12.5" cy="10" r="1.7" fill="var(--clay)"/><circle cx="19.5" cy="13.5" r="1.7" fill="var(--clay)"/></svg>`;
const lens = `<svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="7" cy="7" r="4.6"/><path d="m10.5 10.5 4 4"/></svg>`;
const searchButton = `<button class="search" type="button">${lens}<span>Search the book</span> <kbd>/</kbd></button>`;

// Before the first paint, or a dark page would flash, and buttons come late. localStorage throws where it is forbidden.
export const early = `document.documentElement.classList.add("scripted");try{const t=localStorage.getItem("tree-world-theme");if(t)document.documentElement.dataset.theme=t}catch{}`;

// Fonts that each page begins with come at once; but from disk a browser takes them from the stylesheet alone.
const preload = (prefix) => `;if(location.protocol!=="file:")for(const f of ${JSON.stringify(FIRST)})document.head.append(Object.assign(document.createElement("link"),{rel:"preload",as:"font",type:"font/woff2",crossOrigin:"",href:"${prefix}assets/fonts/"+f}))`;

function document({ title, bookTitle, description, prefix, picture, told = "", body, live, styles = [] }) {
  // Whoever shares a page wants its whole address: BOOK_URL says where the book will be, if anybody knows.
  const home = published();
  const image = picture && (home ? new URL(picture, home).href : prefix + picture);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title === bookTitle ? title : `${title} · ${bookTitle}`)}</title>
<meta name="description" content="${escape(description)}">
<meta property="og:type" content="article">
<meta property="og:site_name" content="${escape(bookTitle)}">
<meta property="og:title" content="${escape(title)}">
<meta property="og:description" content="${escape(description)}">${image ? `
<meta property="og:image" content="${escape(image)}">
<meta name="twitter:card" content="summary_large_image">` : ""}${told ? `
${told}` : ""}
<meta name="color-scheme" content="light dark">
<link rel="icon" href="${prefix}assets/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${prefix}assets/katex.css">
<link rel="stylesheet" href="${prefix}assets/style.css">${styles.length ? `
<style>${styles.join("\n")}</style>` : ""}
<script>${early}${preload(prefix)}</script>
<script src="${prefix}assets/script.js" defer${live ? ` data-live="${live}"` : ""}></script>
</head>
<body>
${body}
</body>
</html>
`;
}

/** What the head of each printed page says. */
function printedHead(book, slug, number, title) {
  const quotedText = (text) => `"${text.replace(/[\\"<]/g, "\\$&")}"`;
  const name = slug === "index" ? "" : [number, titleText(title)].filter(Boolean).join("\u2002");
  return `@page{@top-left{content:${quotedText(book.title)}}@top-right{content:${quotedText(name)}}}`;
}

/** The HTML of a page, and the files it shows. `live` is the port of the reload socket, if there is one. */
export function page(book, slug, live) {
  const data = book.pages.get(slug);
  const context = {
    book,
    prefix: slug === "index" ? "" : "../".repeat(slug.split("/").length),
    slug,
    source: data.location ?? slug,
    seconds: data.seconds,
    trusted: data.frontmatter.site?.trust_outputs === true,
    footnotes: [],
    footnoteUses: new Map(),
    citations: new Map(),
    cards: new Map(),
    outputs: { count: 0, styles: [] },
    used: new Set(),
  };
  const { title, description, enumerator } = data.frontmatter;
  const text = render(data.mdast, context);
  const notes = footnotes(context);
  const { list, previous, next } = contents({ book, data, context });
  const spent = total(data);
  const made = colophon(book, data, live);
  const files = slug === "index" ? [] : downloads(data);
  const meta = [
    slug === "index" ? start(book, context) : null,
    enumerator ? h("span", `${minutesToRead(data)} min read`) : null,
    spent === undefined ? null : h("span", "ran in ", h("a", { href: "#colophon" }, duration(spent))),
    files.map((file) => h("a", { href: `${context.prefix}downloads/${file.name}`, download: file.name }, file.label, h("span", { ariaHidden: "true" }, "\u00a0↓"))),
  ];
  const neighbour = (target, rel, word) => target ? `<a rel="${rel}" href="${pageAddress(target.slug, context)}"><small>${target.word ?? word}</small>${html(titled(target.title))}</a>` : "<span></span>";
  const home = pageAddress("index", context);
  const brand = `<a class="brand" href="${home}">${mark}<span>${escape(book.title)}</span></a>`;
  // Where the reader is, told on a narrow screen; the script adds the section.
  const here = slug === "index" ? "" : `<p class="here"><span class="chapter">${enumerator ? `<span class="number">${escape(enumerator)}</span> ` : ""}${html(titled(title))}</span><span class="section" hidden></span></p>`;
  const cards = [...context.cards].map(([name, parts]) => `<template id="${name}">${html(parts ?? [])}</template>`);

  const body = `<a class="skip" href="#text">Skip to the text</a>
<header class="bar">
${brand}
${here}
${searchButton}
<button class="theme" type="button" aria-label="Switch colours">◐</button>
<details class="menu"><summary aria-label="Contents"><span>Contents</span></summary><nav aria-label="Contents, menu">${html(list)}</nav></details>
<div class="progress" aria-hidden="true"></div>
</header>
<div class="page">
<nav class="sidebar" aria-label="Contents">
${brand}
${searchButton}
${html(list)}
</nav>
<main id="text" tabindex="-1"${movedAttribute(slug, context)}${data.numbers.length ? ` data-numbers="${numbersAddress(slug)}"` : ""}>
<div class="masthead">
${enumerator && slug !== "index" ? `<p class="eyebrow">Chapter ${escape(enumerator)}</p>` : ""}
<h1>${html(titled(title))}</h1>
${description ? `<p class="lede">${html(titled(description))}</p>` : ""}
${slug === "index" ? html(imprint(book.imprint)) : ""}
<p class="meta">${html(h("p", meta).children)}</p>
${html(about(data.frontmatter.site))}
</div>
${html(h("div", text).children)}
${html(notes)}
${html(references(data, context))}
${html(made)}
${html(foot(book, data, context, { hasColophon: made.length > 0, live }))}
<nav class="neighbours" aria-label="Previous and next">${neighbour(previous, "prev", "← Previous")}${neighbour(next, "next", "Next →")}</nav>
</main>
</div>
${cards.join("\n")}`;
  const styles = [...context.outputs.styles, printedHead(book, slug, enumerator, title)];
  const options = { title: slug === "index" ? book.title : titleText(title), bookTitle: book.title, description: titleText(description ?? book.description), styles };
  return { html: document({ ...options, prefix: context.prefix, picture: book.picture?.(data), told: head(book, data, { previous, next }, context), body, live }), used: context.used };
}

function movedAttribute(slug, context) {
  const places = movedPlaces(slug, context.prefix);
  return Object.keys(places).length ? ` data-moved="${escape(JSON.stringify(places))}"` : "";
}

/** Where the list of a page's computed numbers lies: a script, which a page from disk may load, and only if it is asked for. */
export const numbersAddress = (slug) => `assets/numbers/${slug}.js`;
export const numbersScript = (data) => `globalThis.pageNumbers=${JSON.stringify(data.numbers)};\n`;

/** What an author sees when a page cannot be made; `data-error` makes it findable. */
export function errorPage(pathname, error, live) {
  return document({
    title: "This page cannot be shown", bookTitle: "", description: "", prefix: "/", live,
    body: `<main class="error" data-error><h1>This page cannot be shown</h1>
<p><code>${escape(pathname)}</code></p>
<pre>${escape(error.message)}</pre>
<p>The page comes back by itself when the source is mended and saved.</p></main>`,
  });
}
