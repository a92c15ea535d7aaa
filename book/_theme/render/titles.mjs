// Titles, descriptions and seeds come from the front matter as they were typed. They may hold formulas, code and emphasis.
import { fromHtml } from "hast-util-from-html";
import { h } from "hastscript";
import { raw } from "./core.mjs";
import { formula, spoken } from "./formulas.mjs";

const MARKS = /\\([$`*])|\$((?:\\.|[^$\\])+)\$|`([^`]+)`|\*\*(?=\S)([^*]+)(?<=\S)\*\*|\*(?=\S)([^*]+)(?<=\S)\*/g;

function pieces(typed, see) {
  const found = [];
  let at = 0;
  for (const [all, mark, tex, code, strong, emphasis] of typed.matchAll(MARKS)) {
    const start = typed.indexOf(all, at);
    found.push(typed.slice(at, start), mark ?? see({ tex, code, strong, emphasis }));
    at = start + all.length;
  }
  return [...found, typed.slice(at)].filter((part) => part !== "");
}

/** What was typed, for the page. */
export const titled = (typed) => pieces(`${typed ?? ""}`, ({ tex, code, strong, emphasis }) => (
  tex ? raw(formula(tex)) : code ? h("code", code) : strong ? h("strong", strong) : h("em", emphasis)
)).map((part) => (typeof part === "string" ? { type: "text", value: part } : part));

/** What was typed, where only letters can stand: in the name of a window, in the search. */
export const titleText = (typed) => pieces(`${typed ?? ""}`, ({ tex, code, strong, emphasis }) => (tex ? spoken(formula(tex)) : code ?? strong ?? emphasis)).join("");

/** The letters of elements, formulas among them. */
export const lettersOf = (parts) => parts.map((part) => (
  part.type === "raw" ? (part.value.includes("<math") ? spoken(part.value) : lettersOf(fromHtml(part.value, { fragment: true }).children)) : part.value ?? lettersOf(part.children ?? [])
)).join("");
