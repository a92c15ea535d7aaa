// References to other places of the book, and the cards that show what stands there.
import { h } from "hastscript";
import { find, isReference } from "../book.mjs";
import { fileAddress, internalAddress, internalOrNot, pageAddress, slugOf } from "./addresses.mjs";
import { anchor, children, raw, render, text } from "./core.mjs";
import { isTouchable } from "./outputs.mjs";
import { isPicture } from "./pictures.mjs";

function link(node, context) {
  if (node.internal) return h("a", { href: internalAddress(node.url, context), title: node.title }, children(node, context));
  if (node.static) return h("a", { href: fileAddress(node.url, context), download: true }, children(node, context));
  const external = /^[a-z]+:/i.test(node.url ?? "");
  return h("a", { href: node.url, title: node.title, rel: external ? "noreferrer" : undefined }, children(node, context));
}

function crossReference(node, context) {
  const target = anchor(node);
  const elsewhere = node.url ? internalAddress(node.url, context) : "";
  const card = node.url ? cardOf(node, context) : undefined;
  const words = node.kind === "heading" ? headingOf(node, target, context) ?? node : node;
  return h("a", { class: "reference", href: `${elsewhere}${target ? `#${target}` : ""}`, dataCard: card }, children(words, context));
}

/** The heading that a table of contents repeats as text, formulas as they were typed. */
function headingOf(node, target, context) {
  const data = context.book.pages.get(node.url ? slugOf(node.url) : context.slug);
  const heading = data && find(data, target);
  return heading?.type === "heading" && text(heading) === text(node) ? heading : undefined;
}

/** Put the target of a reference among the cards of this page; the name of the card. */
function cardOf(node, context) {
  const slug = slugOf(node.url);
  const target = anchor(node) ?? "";
  const name = `card-${slug}-${target}`;
  if (!context.cards.has(name)) {
    const data = context.book.pages.get(slug);
    // Pages of the reference name each other so often that they would become as long as all of it.
    const found = data && !(isReference(data) && isReference(context.book.pages.get(context.slug))) && targetOf(data, target);
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

export const insideCard = (data, context) => ({ ...context, slug: data.slug, source: data.location, quoting: true, footnotes: [], footnoteUses: new Map(), seconds: data.seconds });

/** A copy to be shown elsewhere: without names, links, and places for the keyboard to stop. */
export function quoted(parts) {
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

/** The pictures and the caption of a figure that stands elsewhere, and where that is. */
export function quotedFigure(figure, data, context) {
  const parts = quoted(figure.children.filter((child) => !["code", "hungCells"].includes(child.type)).flatMap((child) => render(child, insideCard(data, context)) ?? []));
  return {
    address: `${pageAddress(data.slug, context)}#${anchor(figure)}`,
    pictures: parts.filter(isPicture),
    caption: parts.filter((part) => !isPicture(part) && !isTouchable(part)).flatMap((part) => (part.tagName === "p" ? part.children : part)),
  };
}

export const kinds = {
  link, crossReference,
  linkBlock: (node, context) => h("p", h("a", { href: internalOrNot(node.url, context) }, node.title ?? children(node, context))),
};
