// What a site has beside its pages: a map for search engines, and the page that a server shows where there is none.
import { toHtml } from "hast-util-to-html";
import { published, wholeAddress } from "./cite.mjs";
import { early } from "./page.mjs";
import { escape, pageAddress, titled } from "./render/index.mjs";

/** The files by name: `sitemap.xml` only where the book's address is known, for a map holds whole ones. */
export function besidePages(book) {
  const files = { "404.html": missing(book), "robots.txt": "User-agent: *\nAllow: /\n" };
  if (!published()) return files;
  const places = [...book.pages.keys()].map((slug) => `<url><loc>${escape(wholeAddress(slug))}</loc></url>`);
  return {
    ...files,
    "robots.txt": `${files["robots.txt"]}Sitemap: ${published()}sitemap.xml\n`,
    "sitemap.xml": `<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n${places.join("\n")}\n</urlset>\n`,
  };
}

// A server shows the page at whatever address was asked for, at any depth. Where the book begins is known from its address, if
// that is known, or is the first folder above, from the inside, that holds the book's script. Then links are put right, and
// the book's own style and script come, with search and colours. From disk the page is where it is.
const findHome = (known) => `(async()=>{
const known=${JSON.stringify(known ?? "")};
let home=location.protocol==="file:"?new URL(".",location).href:known&&location.href.startsWith(known)?known:"";
for(let at=new URL(".",location);!home;at=new URL("..",at)){
if((await fetch(new URL("assets/script.js",at),{method:"HEAD"}).catch(()=>({}))).ok)home=at.href;
else if(at.pathname==="/")return}
for(const link of document.querySelectorAll("a[data-to]"))link.href=new URL(link.dataset.to,home).href;
document.head.append(Object.assign(document.createElement("link"),{rel:"stylesheet",href:home+"assets/style.css"}));
document.head.append(Object.assign(document.createElement("script"),{src:home+"assets/script.js"}));
${early}
})();`;

// Until the style of the book comes, and where it does not.
const style = `:root{color-scheme:light dark}body{margin:0;background:light-dark(#fbfaf6,#141816);color:light-dark(#1f2622,#dfe4df);font:1.125rem/1.6 Georgia,serif}
main.missing{display:block;max-width:40rem;margin:4rem auto;padding:0 1.5rem;border:0}.missing a{color:light-dark(#2a6b4c,#86c9a4)}.missing ol{list-style:none;padding:0}.missing li.part{margin-top:1rem;font-weight:600}
:root:not(.scripted) .missing .search{display:none}.missing .search{max-width:18rem}`;

function missing(book) {
  const link = (slug, words) => {
    const to = pageAddress(slug, { prefix: "" });
    return `<a href="${escape((published() ?? "") + to)}" data-to="${escape(to)}">${words}</a>`;
  };
  const name = (page) => [page.enumerator && escape(page.enumerator), toHtml(titled(page.title), { allowDangerousHtml: true })].filter(Boolean).join(" ");
  const entries = book.contents.slice(1).map((page) => (page.slug ? `<li>${link(page.slug, name(page))}</li>` : `<li class="part">${name(page)}</li>`));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>There is no such page · ${escape(book.title)}</title>
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<style>${style}</style>
</head>
<body>
<main class="missing">
<h1>There is no such page</h1>
<p>It may have moved, or the address may have been cut off. ${link("index", `The first page of ${escape(book.title)}`)} is still where it was, and so is all the rest:</p>
<p><button class="search" type="button"><span>Search the book</span> <kbd>/</kbd></button></p>
<nav aria-label="Contents"><ol>${entries.join("\n")}</ol></nav>
</main>
<script>${findHome(published()).replaceAll("<", "\\u003c")}</script>
</body>
</html>
`;
}
