// The front page's way into the book: each chapter with its question, a picture, and how long it takes.
import { h } from "hastscript";
import { anchorOf, find, minutesToRead, visit } from "../book.mjs";
import { pageAddress } from "./addresses.mjs";
import { quotedFigure } from "./references.mjs";
import { titled } from "./titles.mjs";

/** Chapters as cards; other pages in a list, below the name of their part. */
export function chapters(context) {
  const shown = [];
  let list;
  for (const entry of context.book.contents.slice(1)) {
    if (!entry.slug) shown.push(h("h2", titled(entry.title)));
    const data = context.book.pages.get(entry.slug);
    if (!data) list = undefined;
    else {
      const kind = entry.enumerator ? "chapters" : "others";
      if (list?.properties.className[0] !== kind) shown.push(list = h(`ol.${kind}`));
      list.children.push(entry.enumerator ? card(entry, data, context) : other(entry, data, context));
    }
  }
  return shown;
}

const title = (entry, context) => h("a", { href: pageAddress(entry.slug, context) }, titled(entry.title));

function other(entry, data, context) {
  return h("li", title(entry, context), data.frontmatter.description ? h("span", titled(data.frontmatter.description)) : null);
}

function card(entry, data, context) {
  const figure = pictureOf(data);
  return h("li",
    h("div.picture", figure ? wide(quotedFigure(figure, data, context).pictures[0]) : null),
    h("div", h("p.title", h("span.number", entry.enumerator), " ", title(entry, context)),
      h("p", titled(data.frontmatter.description)), h("p.minutes", `${minutesToRead(data)} min`)));
}

/** Of a picture that gives way to a narrow one only what it gives way from: a card has one shape. */
function wide(part) {
  if (part?.tagName === "picture") return part.children.at(-1);
  return part && { ...part, children: part.children?.map(wide) };
}

/** The figure that the chapter names, or its first. */
export function pictureOf(data) {
  const named = data.frontmatter.site?.picture;
  if (named) return find(data, named);
  let first;
  visit(data.mdast, (node) => { if (!first && node.type === "container" && node.kind === "figure" && anchorOf(node)) first = node; });
  return first;
}
