// The frame of a page: head, contents, text, references, footer.
import { imageSize } from "image-size";
import { toHtml } from "hast-util-to-html";
import { toString } from "hast-util-to-string";
import { h } from "hastscript";
import { pageAddress, render, sanitizeHtml } from "./render.mjs";

const escape = (value) => String(value ?? "").replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const html = (tree) => toHtml(tree, { allowDangerousHtml: true });

function visit(node, see) {
  see(node);
  node.children?.forEach((child) => visit(child, see));
}

// Matplotlib writes the resolution into its PNG files (chunk pHYs, in dots per metre), so a figure
// can be shown at the size at which it was drawn, however many dots it has.
function inchesWide(bytes, width) {
  const at = bytes.indexOf("pHYs");
  if (at === -1 || at > 4096 || bytes[at + 12] !== 1) return undefined;
  return width / (bytes.readUInt32BE(at + 4) * 0.0254);
}

async function loadFiles(tree, load) {
  const wanted = new Set();
  visit(tree, (node) => {
    if (node.type === "image" && node.url?.startsWith("/")) wanted.add(node.url);
    for (const item of Object.values(node.jupyter_data?.data ?? {})) if (item?.path) wanted.add(item.path);
  });
  const files = new Map();
  for (const where of wanted) {
    const bytes = await load(where);
    if (/\.(png|jpe?g|gif|webp|svg)$/.test(where)) {
      const { width, height } = imageSize(bytes);
      files.set(where, { width, height, inches: where.endsWith(".png") ? inchesWide(bytes, width) : undefined });
    } else {
      files.set(where, { text: bytes.toString("utf8") });
    }
  }
  return files;
}

function contents({ config, index, data, headings, context }) {
  const project = config.projects?.[0] ?? {};
  const pages = [{ slug: project.index ?? "index", title: index.frontmatter?.title ?? project.title, enumerator: "" }, ...(project.pages ?? [])];
  const entry = (page) => {
    if (!page.slug) return h("li.part", page.title);
    const current = page.slug === data.slug;
    const sections = current && headings.length > 1
      ? h("ol.sections", headings.map((heading) => h("li", h("a", { href: `#${heading.id}` }, heading.title))))
      : null;
    return h("li", h("a", { href: pageAddress(page.slug, context), ariaCurrent: current ? "page" : undefined }, h("span.number", page.enumerator ?? ""), h("span", page.title)), sections);
  };
  const written = pages.filter((page) => page.slug);
  const here = written.findIndex((page) => page.slug === data.slug);
  return { list: h("ol.contents", pages.map(entry)), previous: written[here - 1], next: written[here + 1] };
}

function footnotes(context) {
  if (context.footnotes.length === 0) return [];
  const order = [...context.footnoteUses.keys()];
  const sorted = [...context.footnotes].sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
  return [h("section.footnotes", { ariaLabel: "Footnotes" }, h("ol", sorted.map((note) => h("li", { id: `fn-${note.id}` }, note.body, " ", h("a", { href: `#fnref-${note.id}`, ariaLabel: "Back to the text" }, "↩")))))];
}

function references(data) {
  const cited = data.references?.cite;
  if (!cited?.order?.length) return [];
  // The engine opens references in a new window; a reader can decide that alone.
  const entry = (key) => h("li", { id: `ref-${key}` }, sanitizeHtml(cited.data[key].html ?? "").map(plainLink));
  return [h("section.references", h("h2", { id: "references" }, "References"), h("ol", [...cited.order].sort((a, b) => toString(entry(a)).localeCompare(toString(entry(b)))).map(entry)))];
}

function plainLink(node) {
  return node.tagName === "a" ? h("a", { href: node.properties.href, rel: "noreferrer" }, node.children) : node;
}

const mark = `<svg viewBox="0 0 32 32" aria-hidden="true"><path d="M16 19v10" stroke="var(--soft)" stroke-width="2.6" stroke-linecap="round"/><circle cx="16" cy="12" r="9" fill="var(--leaf)"/><circle cx="12.5" cy="10" r="1.7" fill="var(--clay)"/><circle cx="19.5" cy="13.5" r="1.7" fill="var(--clay)"/></svg>`;

// Before the first paint, or a dark page would flash. localStorage throws where it is forbidden.
const early = `try{const t=localStorage.getItem("tree-world-theme");if(t)document.documentElement.dataset.theme=t}catch{}`;

// The engine writes a redirect over the literal end tag of the head, which would break pages that
// are opened from disk. HTML lets us leave that tag out.
function document({ title, description, prefix, body, live }) {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<meta name="description" content="${escape(description)}">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="${prefix}assets/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${prefix}assets/katex.css">
<link rel="stylesheet" href="${prefix}assets/style.css">
<script>${early}</script>
<script src="${prefix}assets/script.js" defer${live ? ` data-live="${live}"` : ""}></script>
<body>
${body}
</body>
</html>
`;
}

/** The HTML of a page. `live` is the port of the engine's reload socket, or null in a built site. */
export async function page({ config, data, index, load, live }) {
  const slug = data.slug ?? "index";
  const context = {
    prefix: slug === "index" ? "" : "../".repeat(slug.split("/").length),
    source: data.location ?? slug,
    files: await loadFiles(data.mdast, load),
    footnotes: [],
    footnoteUses: new Map(),
  };
  const frontmatter = data.frontmatter ?? {};
  const bookTitle = config.projects?.[0]?.title ?? "";
  const text = render(data.mdast, context);

  const headings = [];
  visit(data.mdast, (node) => {
    if (node.type === "heading" && node.depth === 2) headings.push({ id: node.html_id ?? node.identifier, title: toString(h("span", node.children.flatMap((child) => render(child, { ...context, footnoteUses: new Map() }) ?? []))) });
  });
  const { list, previous, next } = contents({ config, index, data: { ...data, slug }, headings, context });
  const words = toString(h("div", text)).split(/\s+/).length;
  const chapter = frontmatter.enumerator && slug !== "index" ? `Chapter ${frontmatter.enumerator}` : "";
  const neighbour = (target, rel, word) => target ? `<a rel="${rel}" href="${pageAddress(target.slug, context)}"><small>${word}</small>${escape(target.title)}</a>` : "<span></span>";
  const home = pageAddress("index", context);

  return document({
    title: slug === "index" ? bookTitle : `${frontmatter.title} · ${bookTitle}`,
    description: frontmatter.description ?? config.projects?.[0]?.description ?? "",
    prefix: context.prefix,
    live,
    body: `<a class="skip" href="#text">Skip to the text</a>
<header class="bar">
<a class="brand" href="${home}">${mark}${escape(bookTitle)}</a>
<details class="menu"><summary>Contents</summary><nav aria-label="Contents, menu">${html(list)}</nav></details>
<button class="theme" type="button" hidden>Dark</button>
</header>
<div class="page">
<nav class="sidebar" aria-label="Contents">
<a class="brand" href="${home}">${mark}${escape(bookTitle)}</a>
${html(list)}
</nav>
<main id="text" tabindex="-1">
<div class="masthead">
${chapter ? `<p class="eyebrow">${chapter}</p>` : ""}
<h1>${escape(frontmatter.title)}</h1>
${frontmatter.description ? `<p class="lede">${escape(frontmatter.description)}</p>` : ""}
<p class="meta"><span>${Math.max(1, Math.round(words / 220))} min read</span></p>
</div>
${html(h("div", text).children)}
${html(footnotes(context))}
${html(references(data))}
<nav class="neighbours" aria-label="Previous and next">${neighbour(previous, "prev", "← Previous")}${neighbour(next, "next", "Next →")}</nav>
</main>
</div>`,
  });
}

/** What an author sees when a page cannot be made; `data-error` makes it findable. */
export function errorPage(pathname, error, live) {
  return document({
    title: "This page cannot be shown",
    description: "",
    prefix: "/",
    live,
    body: `<main class="error" data-error><h1>This page cannot be shown</h1><p><code>${escape(pathname)}</code></p><pre>${escape(error.message)}</pre></main>`,
  });
}
