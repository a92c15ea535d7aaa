// The server of the theme, for authors: the engine starts it, keeps it, and tells open pages to reload.
// It serves the content itself on CONTENT_CDN_PORT.
import { readFile, readdir, stat } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { downloads, NotFound, openBook } from "./book.mjs";
import { movedPages } from "./moved.mjs";
import { errorPage, numbersAddress, numbersScript, page } from "./page.mjs";
import { searchIndex } from "./search.mjs";

const { HOST = "localhost", PORT = "3000", CONTENT_CDN_PORT = "3100", BOOK_CONTENT, TREE_WORLD_CELL_TIMES } = process.env;
const content = `http://localhost:${CONTENT_CDN_PORT}`;
const types = {
  ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp",
  ".jpg": "image/jpeg", ".gif": "image/gif", ".woff2": "font/woff2", ".json": "application/json", ".md": "text/markdown",
};

/** What the engine has written last, as text: it changes whenever the book does. */
async function stateOfContent() {
  const folder = path.join(BOOK_CONTENT, "content");
  const files = [path.join(BOOK_CONTENT, "config.json"), ...(await readdir(folder)).sort().map((name) => path.join(folder, name))];
  const stamps = files.map(async (file) => {
    const { mtimeMs, size } = await stat(file);
    return `${file} ${mtimeMs} ${size}`;
  });
  const times = TREE_WORLD_CELL_TIMES && stat(TREE_WORLD_CELL_TIMES).then(({ mtimeMs }) => mtimeMs, () => "");
  return (await Promise.all([...stamps, times])).join("\n");
}

const kept = { state: null, book: null };

/** The book, opened anew only when the engine has written something since. */
async function currentBook() {
  const state = BOOK_CONTENT ? await stateOfContent().catch(() => null) : null;
  if (state === null) return openBook(content);
  if (state !== kept.state) {
    const book = openBook(content);
    Object.assign(kept, { state, book });
    book.catch(() => { if (kept.book === book) kept.state = null; });
  }
  return kept.book;
}

async function answer(pathname) {
  if (pathname === "/assets/search-index.js") return searchIndex(await currentBook());
  if (pathname.startsWith("/assets/numbers/")) {
    const data = [...(await currentBook()).pages.values()].find(({ slug }) => pathname === `/${numbersAddress(slug)}`);
    if (!data) throw new NotFound(`There is no ${pathname}.`);
    return numbersScript(data);
  }
  if (pathname.startsWith("/assets/states/")) {
    const state = [...(await currentBook()).pages.values()].flatMap(({ states }) => states).find(({ address }) => pathname === `/${address}`);
    if (!state) throw new NotFound(`There is no ${pathname}.`);
    return state.text;
  }
  if (pathname.startsWith("/assets/")) {
    const folder = path.join(import.meta.dirname, "public");
    const file = path.join(folder, pathname);
    if (!file.startsWith(folder + path.sep)) throw new NotFound(`There is no ${pathname}.`);
    return readFile(file).catch(() => { throw new NotFound(`There is no ${pathname}.`); });
  }
  const book = await currentBook();
  if (pathname.startsWith("/build/")) {
    const where = pathname.slice("/build".length);
    if (!/^\/[^/\\]+$/.test(where)) throw new NotFound(`There is no ${pathname}.`);
    return book.load(where);
  }
  if (pathname.startsWith("/downloads/")) {
    const taken = [...book.pages.values()].flatMap((data) => data.taken).find(({ address }) => pathname === `/${address}`);
    if (taken) return taken.text;
    const wanted = [...book.pages.values()].flatMap(downloads).find((file) => pathname === `/downloads/${file.name}`);
    if (!wanted) throw new NotFound(`There is no ${pathname}.`);
    return readFile(wanted.source);
  }
  const slug = pathname.replace(/(^|\/)index\.html$/, "").replace(/^\/|\/$/g, "") || "index";
  const gone = process.env.BOOK_MOVED && !book.pages.has(slug)
    && movedPages(book, new Map([...book.pages.keys()].map((each) => [each, page(book, each, null).html]))).get(slug);
  if (gone) return gone;
  if (!book.pages.has(slug)) throw new NotFound(`The engine has no page "${slug}". Is it in the contents of myst.yml, and did its cells run?`);
  return page(book, slug, CONTENT_CDN_PORT).html;
}

/** The path that is asked for, or null if that is no address. */
function pathOf(request) {
  try {
    const pathname = decodeURIComponent(new URL(request.url, "http://theme").pathname);
    return pathname.includes("\0") ? null : pathname;
  } catch {
    return null;
  }
}

async function respond(request, response) {
  const send = (status, type, body, headers = {}) => {
    response.writeHead(status, { "content-type": type.startsWith("text/") ? `${type}; charset=utf-8` : type, "content-length": Buffer.byteLength(body), "cache-control": "no-cache", ...headers });
    response.end(request.method === "HEAD" ? undefined : body);
  };
  if (request.method !== "GET" && request.method !== "HEAD") return send(405, "text/plain", "Only GET and HEAD are answered.\n", { allow: "GET, HEAD" });
  const pathname = pathOf(request);
  if (pathname === null) return send(400, "text/plain", "This is no address.\n");
  try {
    const isFile = /^\/(assets|build|downloads)\//.test(pathname);
    return send(200, isFile ? types[path.extname(pathname)] ?? "application/octet-stream" : "text/html", await answer(pathname));
  } catch (error) {
    if (!(error instanceof NotFound)) console.error(`Cannot render ${pathname}: ${error.message}`);
    return send(error instanceof NotFound ? 404 : 500, "text/html", errorPage(pathname, error, CONTENT_CDN_PORT));
  }
}

const server = http.createServer((request, response) => {
  respond(request, response).catch((error) => {
    console.error(`Cannot answer ${request.url}: ${error.message}`);
    response.destroy();
  });
});
// Whatever goes wrong with one request, the others are still answered.
process.on("uncaughtException", (error) => {
  if (!server.listening) throw error;
  console.error(`Cannot answer: ${error.message}`);
});

server.listen(Number(PORT), HOST, () => console.log(`Theme ready at http://${HOST}:${PORT}`));
