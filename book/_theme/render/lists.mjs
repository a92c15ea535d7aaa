// Lists for the back of the book: what has a number, in the order of the chapters.
import { h } from "hastscript";
import { visit } from "../book.mjs";
import { pageAddress } from "./addresses.mjs";
import { anchor, hasClass, render } from "./core.mjs";
import { levels } from "./notes.mjs";
import { insideCard, quoted } from "./references.mjs";
import { titled } from "./titles.mjs";

/** For each chapter that has some, its title and a list of what `entry` makes of them. */
function byChapter(context, isWanted, entry) {
  return context.book.contents.flatMap((page) => {
    const data = context.book.pages.get(page.slug);
    const found = [];
    if (data) visit(data.mdast, (node) => { if (node.enumerator && anchor(node) && isWanted(node)) found.push(node); });
    if (found.length === 0) return [];
    const items = found.map((node) => h("li", h("a", { href: `${pageAddress(data.slug, context)}#${anchor(node)}` }, entry(node, data))));
    return [h("h2", page.enumerator ? [h("span.number", page.enumerator), " "] : null, titled(page.title)), h("ol.numbered-list", items)];
  });
}

/** The words of a node, to stand in a link. */
function words(node, data, context) {
  const parts = node ? quoted([render(node, insideCard(data, context)) ?? []].flat()) : [];
  return parts.flatMap((part) => (part.tagName === "p" ? part.children : part));
}

function tables(_, context) {
  const caption = (node, data) => words(node.children.find((child) => child.type === "caption"), data, context);
  return byChapter(context, (node) => node.type === "container" && node.kind === "table", caption);
}

/** Of an exercise how hard it is, and how it begins. */
function exercises(_, context) {
  return byChapter(context, (node) => node.type === "exercise", (node, data) => {
    const level = levels.find((name) => hasClass(node, name));
    const first = node.children.find((child) => child.type === "paragraph");
    return [h("span.number", `Exercise ${node.enumerator}.`), " ", words(first, data, context), level ? h("span.level", level) : null];
  });
}

/** By the class of the `{div}` that they fill. */
export const lists = { "list-of-tables": tables, "list-of-exercises": exercises };
