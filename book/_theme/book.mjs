// The book as the engine serves it: settings, pages, the files they show, how long cells took, and
// which cell a computed number comes from.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { imageSize } from "image-size";
import { tellTaken } from "./data.mjs";
import { hangCells } from "./folding.mjs";
import { tellCitations } from "./render/bibliography.mjs";
import { formula, parsed } from "./render/formulas.mjs";
import { isNameless } from "./render/names.mjs";
import { tellStates } from "./touch.mjs";

/** What is asked for does not exist. */
export class NotFound extends Error {}

export function visit(node, see) {
  see(node);
  node.children?.forEach((child) => visit(child, see));
}

/**
 * Read everything from the engine's content server.
 *
 * The result has `title`, `description`, `contents` (pages and titles of parts, in order), `pages`
 * (by slug), `files` (by address, with sizes), `colophon`, and `load` for the bytes of a file.
 */
export async function openBook(address) {
  const load = async (where) => {
    const response = await fetch(address + where);
    if (!response.ok) throw new NotFound(`The engine has no ${where}.`);
    return Buffer.from(await response.arrayBuffer());
  };
  const json = async (where) => JSON.parse(await load(where));
  const project = (await json("/config.json")).projects[0];
  const first = { slug: project.index ?? "index", title: project.title };
  const contents = [first, ...(project.pages ?? [])];
  const pages = new Map();
  await Promise.all(contents.filter((entry) => entry.slug).map(async ({ slug }) => {
    // A page that the engine could not read has no tree; the others can still be shown.
    const data = await json(`/content/${slug}.json`).catch(() => null);
    if (data) pages.set(slug, { ...data, slug });
  }));
  first.title = pages.get(first.slug)?.frontmatter.title ?? first.title;
  const times = await cellTimes();
  for (const data of pages.values()) {
    data.seconds = timesOfPage(data, times);
    tellOutputs(data);
    tellSymbols(data);
  }
  for (const data of pages.values()) {
    tellValues(data);
    tellCitations(data);
  }
  await tellNumbers([...pages.values()]);
  for (const data of pages.values()) hangCells(data.mdast);
  const files = await filesOf(pages.values(), load);
  for (const data of pages.values()) await tellStates(data, files);
  const book = {
    title: project.title ?? "", description: project.description ?? "", contents, pages, load, files,
    colophon: JSON.parse(process.env.BOOK_COLOPHON ?? "{}"),
    imprint: JSON.parse(process.env.BOOK_IMPRINT ?? "{}"),
  };
  for (const data of pages.values()) await tellTaken(data, book);
  return book;
}

/** The name of a node in addresses. */
export const anchorOf = (node) => node.html_id ?? node.identifier;

/** The node with a label, or undefined. */
export function find(data, identifier) {
  let found;
  visit(data.mdast, (node) => { if (!found && anchorOf(node) === identifier) found = node; });
  return found;
}

/** What the options of a cell say of its outputs is written down at each output. */
function tellOutputs(data) {
  visit(data.mdast, (block) => {
    if (block.type !== "block" || !block.data) return;
    const { alt, tags = [] } = block.data;
    visit(block, (node) => { if (node.type === "output") Object.assign(node, { alt, expected: tags.includes("raises-exception") }); });
  });
}

/** Rows of a table of symbols get a name, by which a search can lead to them. */
function tellSymbols(data) {
  const seen = new Map();
  visit(data.mdast, (table) => {
    if (table.type !== "table" || textOf(table.children[0]?.children[0]) !== "Symbol") return;
    for (const row of table.children.slice(1)) {
      const formula = formulaIn(row.children[0]);
      if (!formula) continue;
      const names = formula.value.match(/[A-Za-z]+/g) ?? [];
      const id = ["symbol", ...names].join("-");
      seen.set(id, (seen.get(id) ?? 0) + 1);
      row.symbol = { id: seen.get(id) > 1 ? `${id}-${seen.get(id)}` : id, names: names.join(" ") };
    }
  });
}

/** How long it takes to read the text of a page, without its code, at 220 words a minute. */
export function minutesToRead(data) {
  let words = 0;
  visit(data.mdast, (node) => { if (node.type === "text") words += node.value.split(/\s+/).filter(Boolean).length; });
  return Math.max(1, Math.round(words / 220));
}

/** What a sentence has computed is shown in its richest form; the engine takes the plainest. */
function tellValues(data) {
  visit(data.mdast, (node) => {
    if (node.type !== "inlineExpression" || node.result?.status !== "ok") return;
    const { "text/html": html, "text/latex": latex, "text/plain": plain = "" } = node.result.data;
    if (html) node.children = [{ type: "html", value: html, phrase: true }];
    else if (latex) node.children = parsed(latex).map((part) => (part.formula ? { type: "inlineMath", value: part.formula, html: formula(part.formula) } : { type: "text", value: part.text }));
    else if (node.children?.every((child) => child.type === "text")) {
      if (isNameless(plain)) throw new Error(`${node.value} is ${plain}, which says nothing to a reader: compute a number or a text (${data.location})`);
      node.children = unquoted(plain).split("\n").flatMap((value, index) => [...(index ? [{ type: "break" }] : []), { type: "text", value }]);
    }
  });
}

const ESCAPES = { n: "\n", t: "\t", r: "\r", a: "", b: "", f: "", v: "" };

/** A text, of which Python has written the literal. */
function unquoted(written) {
  const literal = /^(["'])(.*)\1$/s.exec(written);
  return literal ? literal[2].replace(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/gi, (_, x, u, U, one) => (one ? ESCAPES[one] ?? one : String.fromCodePoint(parseInt(x ?? u ?? U, 16)))) : written;
}

const textOf = (node) => node?.value ?? (node?.children ?? []).map(textOf).join("");
const formulaIn = (node) => (node.type === "inlineMath" ? node : node.children?.map(formulaIn).find(Boolean));

// --- where numbers come from ---------------------------------------------------------------------

/**
 * Each cell gets a name (`cellId`) that stays while its code does, and each computed number its place in the page's
 * list `numbers`: of its expression and the name of the cell that it comes from, if there is one.
 */
async function tellNumbers(pages) {
  const steps = pages.map((data) => {
    const seen = new Map();
    const [found, cells, expressions] = [[], [], []];
    visit(data.mdast, (node) => {
      if (node.type === "code" && node.executable) {
        const digest = createHash("sha256").update(node.value ?? "").digest("hex").slice(0, 8);
        seen.set(digest, (seen.get(digest) ?? 0) + 1);
        node.cellId = `cell-${digest}${seen.get(digest) > 1 ? `-${seen.get(digest)}` : ""}`;
        cells.push(node.cellId);
        found.push({ cell: node.value ?? "" });
      } else if (node.type === "inlineExpression") {
        node.number = expressions.length;
        expressions.push(node.value);
        found.push({ expression: node.value });
      }
    });
    return { found, cells, expressions };
  });
  const origins = await originsOf(JSON.stringify(steps.map(({ found }) => found)), steps);
  pages.forEach((data, index) => {
    const { cells, expressions } = steps[index];
    data.numbers = expressions.map((expression, number) => [expression, cells[origins[index]?.[number]] ?? null]);
  });
}

const answered = new Map();

/** Python knows what a cell binds: `tools/bindings.py` is asked once for all pages, and again when one changes. */
async function originsOf(question, steps) {
  const [program, ...options] = JSON.parse(process.env.BOOK_BINDINGS ?? "[]");
  if (!program || steps.every(({ expressions }) => expressions.length === 0)) return [];
  if (!answered.has(question)) {
    answered.clear();
    answered.set(question, await new Promise((resolve, reject) => {
      const child = execFile(program, options, { maxBuffer: 1e8 }, (error, printed) => {
        if (error) reject(new Error(`where numbers come from could not be found: ${error.message}`));
        else resolve(JSON.parse(printed));
      });
      child.stdin.on("error", () => {}); // then the program has failed, which is told above
      child.stdin.end(question);
    }));
  }
  return answered.get(question);
}

// --- files ---------------------------------------------------------------------------------------

const known = new Map(); // names of files hold a digest of what is in them

async function filesOf(pages, load) {
  const wanted = new Set();
  for (const data of pages) {
    visit(data.mdast, (node) => {
      if (node.type === "image" && node.url?.startsWith("/")) wanted.add(node.url);
      // What is long the engine keeps in files: of streams and errors the text, of others each kind of content.
      for (const item of [node.jupyter_data, ...Object.values(node.jupyter_data?.data ?? {})]) if (item?.path) wanted.add(item.path);
    });
  }
  await Promise.all([...wanted].map(async (where) => {
    if (!known.has(where)) known.set(where, describe(where, await load(where)));
  }));
  return new Map([...wanted].map((where) => [where, { ...known.get(where) }]));
}

function describe(where, bytes) {
  if (!/\.(png|jpe?g|gif|webp|svg)$/.test(where)) return { text: bytes.toString("utf8") };
  const { width, height } = imageSize(bytes);
  return { width, height, inches: where.endsWith(".png") ? inchesWide(bytes, width) : undefined };
}

// Matplotlib writes the resolution into its PNG files (chunk pHYs, in dots per metre), so a figure
// can be shown at the size at which it was drawn, however many dots it has.
function inchesWide(bytes, width) {
  const at = bytes.indexOf("pHYs");
  if (at === -1 || at > 4096 || bytes[at + 12] !== 1) return undefined;
  return width / (bytes.readUInt32BE(at + 4) * 0.0254);
}

/** Whether a page is made from docstrings (`tools/reference.py`): its headings are names of the library. */
export const isReference = (data) => data.frontmatter.site?.reference === true;

/** What readers can take with them: the source of a page, and its executed notebook. */
export function downloads(data) {
  const root = process.env.BOOK_ROOT;
  if (!root || !data.location || isReference(data)) return [];
  const source = path.join(root, data.location);
  const { dir, name } = path.parse(source);
  return [
    { label: "Notebook", source: path.join(dir, "notebooks", `${name}.ipynb`), name: `${name}.ipynb` },
    { label: "Markdown", source, name: path.basename(source) },
  ].filter((file) => existsSync(file.source));
}

// --- times of cells ------------------------------------------------------------------------------

async function cellTimes() {
  const file = process.env.TREE_WORLD_CELL_TIMES;
  const lines = file && existsSync(file) ? (await readFile(file, "utf8")).split("\n") : [];
  return new Map(lines.filter(Boolean).map((line) => [line.split(" ")[0], Number(line.split(" ")[1])]));
}

/** Seconds by code node. A cell is known by all code up to it, as `tools/kernel/cell_times.py` says. */
function timesOfPage(data, times) {
  const digest = createHash("sha256");
  const seconds = new Map();
  visit(data.mdast, (node) => {
    if (node.type !== "code" || !node.executable || !node.value) return;
    digest.update(`${node.value}\0`);
    const time = times.get(digest.copy().digest("hex"));
    if (time !== undefined) seconds.set(node, time);
  });
  return seconds;
}
