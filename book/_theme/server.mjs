// The server of the theme. The engine starts it, fetches every page from it (MODE=static) or leaves
// it running for the reader (MODE=app), and serves the content itself on CONTENT_CDN_PORT.
import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { errorPage, page } from "./page.mjs";

const { HOST = "localhost", PORT = "3000", CONTENT_CDN_PORT = "3100", MODE = "app" } = process.env;
const content = `http://localhost:${CONTENT_CDN_PORT}`;
const types = {
  ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp",
  ".jpg": "image/jpeg", ".gif": "image/gif", ".woff2": "font/woff2", ".json": "application/json", ".md": "text/markdown",
};
const typeOf = (name) => types[path.extname(name)] ?? "application/octet-stream";

class NotFound extends Error {}

async function fetchContent(where) {
  const response = await fetch(content + where);
  if (!response.ok) throw new NotFound(`The engine has no ${where}.`);
  return response;
}

async function renderPage(slug) {
  const [config, data] = await Promise.all([
    fetchContent("/config.json").then((response) => response.json()),
    fetchContent(`/content/${slug}.json`).then((response) => response.json()),
  ]);
  const index = slug === "index" ? data : await fetchContent("/content/index.json").then((r) => r.json());
  const load = async (where) => Buffer.from(await (await fetchContent(where)).arrayBuffer());
  return page({ config, data, index, load, live: MODE === "app" ? CONTENT_CDN_PORT : null });
}

async function answer(pathname) {
  const fixed = {
    "/robots.txt": ["text/plain", "User-agent: *\nAllow: /\n"],
    "/myst-theme.css": ["text/css", "/* The styles are in assets/style.css. */\n"],
    // A site with relative addresses does not know where it is served, so its map has no entries.
    "/sitemap.xml": ["application/xml", '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"/>\n'],
    "/sitemap_style.xsl": ["application/xml", '<?xml version="1.0"?>\n<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>\n'],
  }[pathname];
  if (fixed) return fixed;
  if (pathname === "/favicon.ico") return ["image/svg+xml", await readFile(path.join(import.meta.dirname, "favicon.svg"))];
  if (pathname.startsWith("/assets/")) {
    const file = path.join(import.meta.dirname, "public", path.normalize(pathname));
    return [typeOf(file), await readFile(file).catch(() => { throw new NotFound(`There is no ${pathname}.`); })];
  }
  if (pathname.startsWith("/build/")) {
    const response = await fetchContent(pathname.slice("/build".length));
    return [typeOf(pathname), Buffer.from(await response.arrayBuffer())];
  }
  if (pathname.endsWith(".json")) {
    return ["application/json", await (await fetchContent(`/content${pathname}`)).text()];
  }
  const slug = pathname.replace(/(^|\/)index\.html$/, "").replace(/^\/|\/$/g, "") || "index";
  return ["text/html", await renderPage(slug)];
}

const server = http.createServer(async (request, response) => {
  const pathname = decodeURIComponent(new URL(request.url, "http://theme").pathname);
  try {
    const [type, body] = await answer(pathname);
    response.writeHead(200, { "content-type": type.startsWith("text/") ? `${type}; charset=utf-8` : type, "cache-control": "no-cache" });
    response.end(body);
  } catch (error) {
    const missing = error instanceof NotFound;
    if (!missing) console.error(`Cannot render ${pathname}: ${error.message}`);
    response.writeHead(missing ? 404 : 500, { "content-type": "text/html; charset=utf-8" });
    response.end(errorPage(pathname, error, MODE === "app" ? CONTENT_CDN_PORT : null));
  }
});

server.listen(Number(PORT), HOST, () => console.log(`Theme ready at http://${HOST}:${PORT}`));
