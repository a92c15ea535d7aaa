// Pages and places that have moved: who follows an old address is led to the new one, from disk and without a server.
// BOOK_MOVED holds the table as JSON, from `moved.yml` beside `myst.yml`: old address to new address, as "page" or
// "page#place". A place of a page that is gone is looked for on the page that came for it.
import { escape, pageAddress, titleText } from "./render/index.mjs";

const parts = (address) => ({ slug: address.split("#")[0], place: address.split("#")[1] ?? "" });
const addressOf = ({ slug, place }, prefix) => pageAddress(slug, { prefix }) + (place ? `#${place}` : "");
const table = () => Object.entries(JSON.parse(process.env.BOOK_MOVED ?? "{}")).map(([from, to]) => ({ from: parts(from), to: parts(to), line: `${from}: ${to}` }));

/** New addresses, from the page's own `prefix` on, of places that once were on a page. */
export const movedPlaces = (slug, prefix) => Object.fromEntries(
  table().filter(({ from }) => from.slug === slug && from.place).map(({ from, to }) => [from.place, addressOf(to, prefix)]));

/** Pages that lead on, by the slugs of pages that are gone. `html` holds the HTML of those that there are by theirs. */
export function movedPages(book, html) {
  const ids = new Map([...html].map(([slug, text]) => [slug, new Set([...text.matchAll(/\sid="([^"]+)"/g)].map((found) => found[1]))]));
  const gone = new Map(table().filter(({ from }) => !from.place).map(({ from, to }) => [from.slug, to]));
  const faults = table().flatMap(({ from, to, line }) => {
    const fault = !ids.has(to.slug) ? `there is no page ${to.slug}`
      : to.place && !ids.get(to.slug).has(to.place) ? `there is no ${to.place} on the page ${to.slug}`
        : !from.place && ids.has(from.slug) ? `there is a page ${from.slug}`
          : from.place && ids.get(from.slug)?.has(from.place) ? `there is still a ${from.place} on the page ${from.slug}`
            : !ids.has(from.slug) && !gone.has(from.slug) ? `there is no page ${from.slug}, and no line says where it went` : "";
    return fault ? [`moved.yml, "${line}": ${fault}`] : [];
  });
  if (faults.length) throw new Error(faults.join("\n"));
  return new Map([...gone].map(([slug, to]) => {
    const prefix = "../".repeat(slug.split("/").length);
    const title = titleText(book.pages.get(to.slug).frontmatter.title);
    const kept = to.place ? [] : [...ids.get(to.slug)];
    return [slug, redirect({ title, prefix, to: addressOf(to, prefix), places: movedPlaces(slug, prefix), kept })];
  }));
}

/** A page that leads on: by a script, which knows the place on it that was asked for, or at least to the new page. */
function redirect({ title, prefix, to, places, kept }) {
  const script = `const to=${JSON.stringify(to)},places=${JSON.stringify(places)},kept=${JSON.stringify(kept)};
let at="";try{at=decodeURIComponent(location.hash.slice(1))}catch{}
location.replace(Object.hasOwn(places,at)?places[at]:kept.includes(at)?to+location.hash:to)`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)} has moved</title>
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<script>${script.replaceAll("<", "\\u003c")}</script>
<noscript><meta http-equiv="refresh" content="0; url=${escape(to)}"></noscript>
<link rel="icon" href="${prefix}assets/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${prefix}assets/style.css">
</head>
<body>
<main class="error">
<h1>This page has moved</h1>
<p>It is now <a href="${escape(to)}">${escape(title)}</a>.</p>
</main>
</body>
</html>
`;
}
