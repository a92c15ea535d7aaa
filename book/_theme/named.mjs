// Names of the library in the code of cells, which lead to their entries in the reference; `tools/named.py` says where they
// stand.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { h } from "hastscript";
import { internalAddress } from "./render/addresses.mjs";

let known = { changed: 0, pages: {} };

/** The list as it is now: an author's server outlives it. */
function pages() {
  const file = process.env.BOOK_NAMES;
  if (!file || !existsSync(file)) return {};
  const changed = statSync(file).mtimeMs;
  if (changed !== known.changed) known = { changed, pages: JSON.parse(readFileSync(file, "utf8")) };
  return known.pages;
}

/** A `<code>` whose names of the library are links. */
export function named(code, value, context) {
  const cells = pages()[(context.source ?? "").replace(/^\//, "")];
  const places = cells?.[createHash("sha256").update(value).digest("hex").slice(0, 8)];
  if (!places || context.quoting || context.paper) return code;
  let at = 0;
  const linked = (node) => {
    if (node.type !== "text") return [{ ...node, children: node.children.flatMap(linked) }];
    const start = at;
    at += [...node.value].length;
    const letters = [...node.value];
    const parts = [];
    let done = 0;
    for (const [begin, end, address] of places) {
      if (begin < start || end > at) continue; // a name never lies in two tokens
      parts.push(text(letters, done, begin - start), h("a", { href: internalAddress(address, context) }, letters.slice(begin - start, end - start).join("")));
      done = end - start;
    }
    return [...parts, text(letters, done)].filter((part) => part.value !== "");
  };
  return { ...code, children: code.children.flatMap(linked) };
}

const text = (letters, from, to) => ({ type: "text", value: letters.slice(from, to).join("") });
