// Works that are cited: names and years that tell them apart, and what the engine leaves of LaTeX.
import { fromHtml } from "hast-util-from-html";
import { toString } from "hast-util-to-string";
import { visit } from "../book.mjs";

const YEAR = /\b(\d{4})(?![\da-z])/;
const textOf = (node) => node.value ?? (node.children ?? []).map(textOf).join("");

/** Works by the same authors of the same year get letters, in the order of the references: 2020a, 2020b. */
export function tellCitations(data) {
  const cited = data.references?.cite;
  if (!cited?.order?.length) return;
  for (const key of cited.order) refuseLatex(key, cited.data[key]?.html ?? "", data.location);
  const nodes = [];
  visit(data.mdast, (node) => { if (node.type === "cite" && cited.data[node.label]) nodes.push(node); });
  const alike = new Map();
  for (const node of nodes) {
    const words = textOf(node).replace(/[(),\s]+/g, " ").trim();
    if (YEAR.test(words)) alike.set(words, new Set([...(alike.get(words) ?? []), node.label]));
  }
  for (const keys of alike.values()) {
    if (keys.size < 2) continue;
    const inOrder = [...keys].sort((a, b) => toString(fromHtml(cited.data[a].html)).localeCompare(toString(fromHtml(cited.data[b].html))));
    inOrder.forEach((key, index) => {
      const letter = String.fromCharCode("a".charCodeAt(0) + index);
      cited.data[key] = { ...cited.data[key], html: cited.data[key].html.replace(YEAR, `$1${letter}`) };
      for (const node of nodes) if (node.label === key) visit(node, (part) => { if (part.type === "text") part.value = part.value.replace(YEAR, `$1${letter}`); });
    });
  }
}

function refuseLatex(key, html, source) {
  const tree = fromHtml(html, { fragment: true });
  let fault = /\\[A-Za-z]+|[{}]/.exec(toString(tree))?.[0];
  visit(tree, (node) => { if (node.tagName === "a" && /\s|%20/.test(node.properties.href ?? "")) fault ??= "an address with a blank"; });
  if (fault) throw new Error(`the reference ${key} holds ${fault}, which the engine has left of LaTeX: write the letter itself in the bibliography, and ~ in an address as %7E (${source})`);
}
