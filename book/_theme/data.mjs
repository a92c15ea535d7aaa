// What readers can take from a page: each figure as SVG and as numbers, each table as CSV. The kernel draws and lists what a
// figure shows (`tools/kernel/figures.py`); here it gets a name, and a line that says how to cite it.
import { createHash } from "node:crypto";
import { anchorOf, visit } from "./book.mjs";
import { csvOf } from "./csv.mjs";

export const SVG = "image/svg+xml+paper";
export const NUMBERS = "text/csv+numbers";

/** Each numbered figure and table learns which files there are of it (`taken`), and the page has all of them, with their text. */
export async function tellTaken(data, { title, imprint, files, load }) {
  data.taken = [];
  const containers = [];
  visit(data.mdast, (node) => { if (node.type === "container" && ["figure", "table"].includes(node.kind) && node.enumerator && anchorOf(node)) containers.push(node); });
  for (const node of containers) {
    const name = `${node.kind === "table" ? "Table" : "Figure"} ${node.enumerator}`;
    const citation = cited(name, title, imprint, `${data.slug}/#${anchorOf(node)}`);
    const made = node.kind === "table" ? tableFile(node, name, citation) : await figureFiles(node, name, citation, { files, load });
    if (!made.length) continue;
    node.taken = made.map(({ text, ...file }) => ({ ...file, bytes: Buffer.byteLength(text) }));
    data.taken.push(...made);
  }
}

/** Which part of which edition it is, and how to say so. */
function cited(name, title, { authors = [], version, date = "" }, place) {
  const year = date.split(" ").at(-1);
  const home = process.env.BOOK_URL?.replace(/\/?$/, "/");
  const who = [authors.join(", "), year && `(${year})`].filter(Boolean).join(" ");
  const work = [title, version && `version ${version}`].filter(Boolean).join(", ");
  return `${title}, ${name}${version ? `, version ${version}` : ""}. Cite as: ${[who, work, name].filter(Boolean).join(", ")}.${home ? ` ${home}${place}` : ""}`;
}

function tableFile(node, name, citation) {
  const tables = node.children.filter((child) => child.type === "table");
  if (tables.length !== 1) return [];
  return [{ word: "CSV", label: `${name} as CSV`, address: `downloads/tables/${anchorOf(node)}.csv`, text: `# ${citation}\n${csvOf(tables[0])}` }];
}

async function figureFiles(node, name, citation, { files, load }) {
  let bundle;
  visit(node, ({ jupyter_data: given }) => { if (given?.data?.[SVG]) bundle ??= given.data; });
  if (!bundle) return [];
  const svg = await svgOf(bundle[SVG], { files, load });
  const numbers = bundle[NUMBERS] && (files.get(bundle[NUMBERS].path)?.text ?? bundle[NUMBERS].content);
  const address = `downloads/figures/${anchorOf(node)}`;
  const made = [{ word: "SVG", label: `${name} as SVG`, address: `${address}.svg`, text: svg.replace(/<!DOCTYPE[^>]*>\s*/, "").replace("<svg ", `<!-- ${citation.replaceAll("--", "- -")} -->\n<svg `) }];
  if (numbers) made.push({ word: "data (CSV)", label: `${name}, data (CSV)`, address: `${address}.csv`, text: `# ${citation}\n${numbers}` });
  return made;
}

/** A short file the engine keeps in the tree; it gets a name as others have. */
async function svgOf(given, { files, load }) {
  if (given.path) return (await load(given.path)).toString("utf8");
  given.path = `/${createHash("sha256").update(given.content).digest("hex").slice(0, 32)}.svg`;
  files.set(given.path, { bytes: Buffer.from(given.content) });
  return given.content;
}
