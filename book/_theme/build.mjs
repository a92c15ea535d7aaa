// Writes the whole book as a folder of files. The engine runs this with BUILD_DIRECTORY and CONTENT_CDN.
import { cp, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";
import sharp from "sharp";
import { downloads, openBook, visit } from "./book.mjs";
import { subsetFonts } from "./fonts.mjs";
import { movedPages } from "./moved.mjs";
import { citationFiles } from "./cite.mjs";
import { numbersAddress, numbersScript, page } from "./page.mjs";
import { writePaper } from "./paper.mjs";
import { besidePages } from "./published.mjs";
import { searchIndex } from "./search.mjs";
import { ownRepository } from "./source.mjs";

const { BUILD_DIRECTORY: target, CONTENT_CDN: content, BOOK_CACHE: cache, BOOK_PAPER: forPaper } = process.env;
const paper = "#fbfaf6";

async function write(name, bytes) {
  const file = path.join(target, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, bytes);
}

/** The result of a slow conversion; kept, as names hold a digest of what went in. */
async function cached(name, make) {
  const file = cache && path.join(cache, "images", name);
  if (file && existsSync(file)) return readFile(file);
  const bytes = await make();
  if (file) {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }
  return bytes;
}

/** Figures become WebP, to the last dot the same, wherever that is smaller. */
async function compress(book) {
  for (const [where, file] of book.files) {
    if (!where.endsWith(".png")) continue;
    const name = where.replace(/\.png$/, ".webp");
    const original = await book.load(where);
    const bytes = await cached(name, () => sharp(original).webp({ lossless: true, effort: 5 }).toBuffer());
    if (bytes.length < original.length) Object.assign(file, { name, bytes });
  }
}

/** The address of the first figure of a page or, if it has none, of the book. */
function firstPlot(book, data) {
  for (const { mdast } of [data, ...book.contents.map((entry) => book.pages.get(entry.slug)).filter(Boolean)]) {
    let first;
    visit(mdast, (node) => { first ??= node.jupyter_data?.data?.["image/png"]?.path; });
    if (first) return first;
  }
  return undefined;
}

/** Pictures for those who share a page: its first figure on paper, in the shape that they are shown in. */
async function drawPictures(book) {
  const names = new Map();
  for (const data of book.pages.values()) {
    const plot = firstPlot(book, data);
    if (!plot) continue;
    const name = `shared${plot}`;
    names.set(data, name);
    const shape = { width: 1120, height: 550, fit: "contain", background: paper };
    const border = { top: 40, bottom: 40, left: 40, right: 40, background: paper };
    const draw = async () => sharp(await book.load(plot)).flatten({ background: paper }).resize(shape).extend(border).png({ palette: true }).toBuffer();
    await write(name, await cached(name, draw));
  }
  book.picture = (data) => names.get(data);
}

/** What a reader may see, and what the script or the style writes. */
async function makeFontsSmall(texts) {
  const assets = path.join(target, "assets");
  const figures = (await readdir(path.join(assets, "figures"))).map((name) => path.join("figures", name));
  const own = await Promise.all(["script.js", "style.css", ...figures].map((name) => readFile(path.join(assets, name), "utf8")));
  await subsetFonts(path.join(assets, "fonts"), [...texts, ...own].join(""), cached);
}

async function build() {
  const book = await openBook(content);
  const missing = book.contents.filter((entry) => entry.slug && !book.pages.has(entry.slug));
  if (missing.length > 0) throw new Error(`The engine has no page ${missing.map((entry) => entry.slug).join(", ")}.`);
  await compress(book);
  await drawPictures(book);
  await cp(path.join(import.meta.dirname, "public"), target, { recursive: true });
  const used = new Set();
  const html = new Map();
  for (const slug of book.pages.keys()) {
    const made = page(book, slug, null);
    made.used.forEach((where) => used.add(where));
    html.set(slug, made.html);
  }
  const moved = movedPages(book, html);
  for (const [slug, text] of moved) await write(`${slug}/index.html`, text);
  for (const [slug, data] of book.pages) {
    await write(slug === "index" ? "index.html" : `${slug}/index.html`, html.get(slug));
    if (data.numbers.length) await write(numbersAddress(slug), numbersScript(data));
    for (const { address, text } of [...data.states, ...data.taken]) await write(address, text);
    for (const file of downloads(data)) await write(`downloads/${file.name}`, await readFile(file.source));
  }
  for (const where of used) {
    const file = book.files.get(where);
    await write(`build${file?.name ?? where}`, file?.bytes ?? (await book.load(where)));
  }
  const index = searchIndex(book);
  await write("assets/search-index.js", index);
  const beside = { ...besidePages(book), ...Object.fromEntries(Object.entries(citationFiles(ownRepository())).map(([name, text]) => [`downloads/${name}`, text])) };
  for (const [name, text] of Object.entries(beside)) await write(name, text);
  await makeFontsSmall([...html.values(), ...Object.values(beside), ...moved.values(), index, ...[...book.pages.values()].flatMap((data) => [numbersScript(data), ...data.states.map(({ text }) => text)])]);
  if (forPaper) await writePaper(book, forPaper, cached);
}

await build().catch((error) => {
  console.error(`Cannot render the book: ${error.message}`);
  process.exit(1);
});
