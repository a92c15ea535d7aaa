// The whole book as one document for paper, which `tools/paper.py` prints. It lies beside the site and is no part of it.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fromHtml } from "hast-util-from-html";
import { toHtml } from "hast-util-to-html";
import { h } from "hastscript";
import sharp from "sharp";
import { about, footnotes, references, sectionsOf } from "./page.mjs";
import { pictureOf } from "./render/chapters.mjs";
import { paperFonts } from "./fonts.mjs";
import { spoken } from "./render/formulas.mjs";
import { isPicture } from "./render/pictures.mjs";
import { escape, quotedFigure, render, titled, titleText } from "./render/index.mjs";

const classes = (node) => [node.properties?.className ?? []].flat();
const has = (node, name) => classes(node).includes(name);
const html = (parts) => toHtml(h("div", parts).children, { allowDangerousHtml: true, preferUnquoted: true });

/** The name of a place in the document: that of the page, then that within the page. */
export const placeName = (slug, id) => (id ? `${slug}--${id}` : slug);

// What only a screen can do, or has no use on paper.
const dropped = (node) => (
  ["template", "script", "button", "summary"].includes(node.tagName)
  || ["anchor", "back", "touch", "cell-place", "stream-name", "take-away"].some((name) => has(node, name))
  || (node.tagName === "details" && ["folded", "output", "long"].some((name) => has(node, name)))
);

/** Pages that are looked up and not read are on the site alone; their front matter says so. */
const isLeftOut = (data) => data.frontmatter.site?.printed === false;
const printed = (book) => book.contents.filter(({ slug }) => book.pages.has(slug) && !isLeftOut(book.pages.get(slug)));
const leftOut = (book) => new Set([...book.pages.values()].filter(isLeftOut).map(({ slug }) => slug));

/** The address of a link within the document, or undefined if it leads out of it. */
function within(href, slug, without) {
  const [, where, id] = /^([^#]*)#?(.*)$/.exec(href);
  if (!where) return `#${placeName(slug, id)}`;
  const page = /^(?:(.+)\/)?index\.html$/.exec(where);
  return page && !without.has(page[1]) ? `#${placeName(page[1] ?? "index", id)}` : undefined;
}

/** A formula as it is seen, with what is said of it to who listens: its MathML would not be heard from a PDF. */
const drawn = (value) => value.replace(/<span class="?katex"?><span class="?katex-mathml"?>(.*?<\/math>)<\/span>/gs, (_, math) => `<span class="katex" role="img" aria-label="${escape(spoken(math))}">`);

/** Parts of a page for paper: names are those of the document, links lead within it. */
function onPaper(parts, slug, without = new Set()) {
  return parts.flatMap((node) => {
    if (node.type === "raw") {
      if (node.value.includes("katex")) return { ...node, value: drawn(node.value) };
      return /\b(id|href|src)=/.test(node.value) ? onPaper(fromHtml(node.value, { fragment: true }).children, slug, without) : node;
    }
    if (node.type !== "element") return node;
    if (dropped(node)) return [];
    const { id, href, loading, decoding, dataCard, tabIndex, target, ...properties } = node.properties;
    const children = onPaper(node.children, slug, without);
    if (id) properties.id = placeName(slug, id);
    if (node.tagName === "details") return { ...node, tagName: "div", properties, children };
    // Numbers are as black as names: each colour adds to the structure of a PDF, and so to its size.
    if (has(node, "k2")) return children;
    if (has(node, "hung") && children.length === 0) return [];
    if (has(node, "figure-list") || has(node, "numbered-list")) return { ...node, properties, children: children.map(inList) };
    if (node.tagName !== "a") return { ...node, properties, children };
    if (has(node, "enlarge")) return id ? h("span", { id: properties.id }, children) : children;
    const to = within(href, slug, without);
    if (to === undefined && !/^(https?|mailto):/.test(href)) return { ...node, tagName: "span", properties, children }; // a file of the site
    const link = { ...node, properties: { ...properties, href: to ?? href }, children };
    return to && has(node, "reference") ? [link, pageOf(to)] : link;
  });
}

/** Room for the number of the page on which a place is; `tools/paper.py` fills it, where that is another page. */
const pageOf = (to, always = false) => h(always ? "span.page-number" : "span.page-reference", { dataTo: to.slice(1) });

/** An item of a list of figures, tables or exercises: words alone, and the page. */
function inList(item) {
  const [link] = item.children;
  return { ...item, children: [entry(link.properties.href, link.children.filter((part) => !isPicture(part)))] };
}

/** A line of a list that leads to a place, with its page at the end. */
const entry = (to, parts) => h("a.entry", { href: to }, h("span.what", parts), pageOf(to, true));

// --- exercises -----------------------------------------------------------------------------------

/** Hints and solutions leave the text, and are gathered: `{ exercise, hint, solution }`. */
function withoutAnswers(parts, answers) {
  return parts.flatMap((node) => {
    if (node.type !== "element") return node;
    if (has(node, "solution")) {
      const answer = answers.at(-1);
      if (!answer) throw new Error("a solution stands before all exercises");
      answer.solution.push({ ...node, properties: { ...node.properties, className: ["answer-text"] } });
      return [];
    }
    if (!has(node, "exercise")) return { ...node, children: withoutAnswers(node.children, answers) };
    const [title, ...rest] = node.children;
    const answer = { exercise: node.properties.id, title: title.children, hint: rest.filter((child) => has(child, "hint")), solution: [] };
    answers.push(answer);
    const to = `#${answer.exercise}--answer`;
    return { ...node, children: [title, ...rest.filter((child) => !answer.hint.includes(child)), h("p.where", h("a", { href: to }, "Hint and solution"), pageOf(to))] };
  });
}

function solutions(slug, answers) {
  if (answers.length === 0) return [];
  return [h("section.solutions", h("h2", { id: placeName(slug, "solutions") }, "Hints and solutions"), answers.map(({ exercise, title, hint, solution }) => h("div.answer", { id: `${exercise}--answer` },
    h("p.title", withoutNames(title).map((part) => (has(part, "number") ? h("a.number", { href: `#${exercise}` }, part.children) : part)), pageOf(`#${exercise}`)),
    hint.map((one) => h("div.hint-text", h("span.word", "Hint. "), one.children)), solution)))];
}

const withoutNames = (parts) => parts.map((part) => (part.type === "element" ? { ...part, properties: { ...part.properties, id: undefined }, children: withoutNames(part.children) } : part));

// --- pages ---------------------------------------------------------------------------------------

function contextOf(book, data, used) {
  return {
    book, slug: data.slug, source: data.location ?? data.slug, prefix: "", paper: true, used,
    trusted: data.frontmatter.site?.trust_outputs === true,
    seconds: new Map(), // how long cells took is different every time
    cards: { has: () => true }, // and there are none
    footnotes: [], footnoteUses: new Map(), citations: new Map(), outputs: { count: 0, styles: [] },
  };
}

const numbered = (number, title) => [number ? [h("span.number", `${number}`), " "] : null, titled(title)].flat();

function sectionList(sections, slug) {
  return h("ol.sections", sections.map(({ id, number, title }) => h("li", entry(`#${placeName(slug, id)}`, onPaper([h("span", number ? [h("span.number", number), " "] : null, title)], slug)))));
}

/** How a chapter opens: a page of its own, with what it asks and gives, its sections, and a picture. */
function opening(data, context) {
  const { title, description, enumerator, site } = data.frontmatter;
  const figure = pictureOf(data);
  const picture = figure ? quotedFigure(figure, data, context).pictures : [];
  return h("header.opening", h("p.eyebrow", `Chapter ${enumerator}`), h("h1", { id: data.slug }, titled(title)),
    description ? h("p.lede", titled(description)) : null, about(site),
    h("div.picture", { ariaHidden: "true" }, onPaper(picture, data.slug)), sectionList(sectionsOf(data, context), data.slug));
}

function article(book, data, used, styles) {
  const context = contextOf(book, data, used);
  const { title, description, enumerator, site } = data.frontmatter;
  const text = render(data.mdast, context);
  const after = [footnotes(context), references(data, context)].flat();
  const seeds = site?.seed === undefined ? [] : [h("p.seeds", "Seeds: ", titled(site.seed), ".")];
  styles.push(...context.outputs.styles);
  const answers = [];
  const body = withoutAnswers(onPaper([...text, ...after], data.slug, leftOut(book)), answers);
  const head = enumerator ? opening(data, context) : h("header.plain", h("h1", { id: data.slug }, titled(title)), description ? h("p.lede", titled(description)) : null);
  const parts = onPaperOnce([...(enumerator ? [] : [head]), ...body, ...onPaper(seeds, data.slug), ...solutions(data.slug, answers)]);
  return [...(enumerator ? [head] : []), h("article", { class: enumerator ? "chapter" : "other", style: `page:${pageName(data.slug)}` }, parts)];
}

/** Paragraphs and what stands between them are children of the article: what is moved on paper is moved among them. */
const onPaperOnce = (parts) => parts.filter((part) => part.type !== "text" || part.value.trim());

const pageName = (slug) => `p-${slug}`;

/** The head of each page names its chapter; a browser knows no other way than a kind of page for each. */
function runningHeads(book) {
  return printed(book).map(({ slug, enumerator, title }) => {
    const name = titleText(title).replace(/[\\"]/g, "\\$&");
    return `@page ${pageName(slug)}:left { @top-left { content: "${enumerator ? `Chapter ${enumerator}` : book.title}" } }
@page ${pageName(slug)}:right { @top-right { content: "${name}" } }`;
  }).join("\n");
}

function cover(book, used) {
  const { authors, version, date } = book.imprint;
  const picture = book.pages.get("index") && frontPicture(book, used);
  const { machine, ...versions } = book.colophon;
  return [
    h("section.cover", h("div.band", h("h1", { id: "cover" }, book.title), h("p.promise", titled(promise(book)))), h("div.picture", { ariaHidden: "true" }, picture),
      h("p.imprint", [authors?.join(", "), version && `Version ${version}`, date].filter(Boolean).join(" · "))),
    h("section.imprint", h("p", book.title, version ? `. Version ${version}` : "", date ? `, ${date}.` : ".", " Text and code are under the MIT licence."),
      Object.keys(versions).length ? h("p", `Computed with ${Object.entries(versions).map(([name, of]) => `${name}\u00a0${of}`).join(", ")}`, machine ? ` (${machine}).` : ".") : null,
      h("p", "Code that only prepares a number or a picture is not printed. It stands on the pages of the book and in its notebooks. A small ", h("span.page-reference.shown", "p. 12"), " after a reference says on which page of this document its goal is.")),
  ];
}

const promise = (book) => book.pages.get("index")?.frontmatter.description ?? book.description;

/** The first picture of the front page. */
function frontPicture(book, used) {
  const data = book.pages.get("index");
  const parts = onPaper(render(data.mdast, contextOf(book, data, used)), "index");
  const find = (node) => (node.tagName === "img" ? node : node.children?.map(find).find(Boolean));
  return parts.map(find).filter(Boolean).slice(0, 1);
}

function contentsOf(book) {
  const lines = book.contents.flatMap((page) => {
    if (!page.slug) return [h("li.part", titled(page.title))];
    const data = book.pages.get(page.slug);
    if (!data || page.slug === "index" || isLeftOut(data)) return [];
    const sections = page.enumerator ? sectionsOf(data, contextOf(book, data, new Set())) : [];
    return [h("li", entry(`#${page.slug}`, numbered(page.enumerator, page.title)), sections.length ? sectionList(sections, page.slug) : null)];
  });
  return h("nav.contents-page", h("h1", { id: "contents" }, "Contents"), h("ol.contents-list", lines));
}

/** The document, and the pictures in it. */
export function paper(book) {
  const used = new Set();
  const styles = [];
  const parts = [...cover(book, used), contentsOf(book), ...printed(book).flatMap(({ slug }) => article(book, book.pages.get(slug), used, styles))];
  const text = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escape(book.title)}</title>
<meta name="author" content="${escape((book.imprint.authors ?? []).join(", "))}">
<link rel="stylesheet" href="../html/assets/katex.css">
<link rel="stylesheet" href="../html/assets/style.css">
<link rel="stylesheet" href="paper.css">
<style>
${[runningHeads(book), ...styles].join("\n")}
</style>
</head>
<body class="paper">
${parts.map((part) => html([part])).join("\n")}
</body>
</html>
`;
  return { text, used };
}

const PAPER = [251, 250, 246]; // says tree_world/plotting/style.py

/** A figure that was drawn on the paper of the site, for white paper: as if one looked at it through white light. */
const onWhite = (bytes) => sharp(bytes).flatten({ background: "#fff" }).linear(PAPER.map((value) => 255 / value), [0, 0, 0]).webp({ lossless: true, effort: 4 }).toBuffer();

/** Write the document with its style and its pictures into a folder; the document's text. */
export async function writePaper(book, folder, cached) {
  const { text, used } = paper(book);
  await rm(folder, { recursive: true, force: true });
  await mkdir(path.join(folder, "build"), { recursive: true });
  for (const where of used) {
    const file = book.files.get(where);
    const name = file?.name ?? where;
    const bytes = file?.bytes ?? (await book.load(where));
    await writeFile(path.join(folder, `build${name}`), file?.inches ? await cached(`white-${path.basename(name)}`, () => onWhite(bytes)) : bytes);
  }
  const style = await readFile(path.join(import.meta.dirname, "paper.css"), "utf8");
  await writeFile(path.join(folder, "paper.css"), style);
  await paperFonts(path.join(folder, "fonts"), text + style, cached);
  await writeFile(path.join(folder, "index.html"), text);
  return text;
}
