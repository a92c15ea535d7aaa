// Citations and footnotes.
import { h } from "hastscript";
import { children, render } from "./core.mjs";

function cite(node, context) {
  const key = node.identifier;
  if (context.quoting) return h("a.citation", { href: `#ref-${key}` }, children(node, context));
  const places = context.citations.get(key) ?? [];
  const id = `cite-${key}-${places.length + 1}`; // so that the reference can lead back here
  context.citations.set(key, [...places, id]);
  return h("a.citation", { id, href: `#ref-${key}` }, children(node, context));
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

export const kinds = { cite, citeGroup, footnoteDefinition, footnoteReference, bibliography: () => null };
