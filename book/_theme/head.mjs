// What the head of a page tells machines: programs that keep references, search engines, browsers.
import { chapterOf, citation, published, wholeAddress, workOf } from "./cite.mjs";
import { pageAddress } from "./render/addresses.mjs";
import { escape } from "./render/core.mjs";
import { titleText } from "./render/titles.mjs";

/** Lines for the head of a page. `previous` and `next` are its neighbours. */
export function head(book, data, { previous, next }, context) {
  const address = wholeAddress(data.slug);
  const link = (rel, href) => `<link rel="${rel}" href="${escape(href)}">`;
  const found = citation();
  return [
    address && link("canonical", address),
    previous && link("prev", pageAddress(previous.slug, context)),
    next && !next.word && link("next", pageAddress(next.slug, context)), // the front page does not follow the last chapter
    ...(found ? cited(book, data, workOf(found)) : []),
  ].filter(Boolean).join("\n");
}

function cited(book, data, work) {
  const page = { slug: data.slug, title: data.frontmatter.title, enumerator: data.slug === "index" ? undefined : data.frontmatter.enumerator };
  const chapter = chapterOf(work, page);
  return [...highwire(data, work, chapter), linked(book, data, work, chapter)];
}

/** The names that libraries and reference managers look for. */
function highwire(data, work, chapter) {
  const pdf = process.env.BOOK_PDF; // where it is on the site
  const told = [
    ["title", data.slug === "index" ? work.title : titleText(data.frontmatter.title)],
    ...work.authors.map(({ name, family, given, isPerson }) => ["author", isPerson ? `${family}, ${given}` : name]),
    ["publication_date", `${work.year}/${work.month}/${work.day}`],
    ["language", "en"],
    chapter && ["inbook_title", work.title],
    published() && pdf && ["pdf_url", new URL(pdf, published()).href],
  ].filter(Boolean);
  return told.map(([name, content]) => `<meta name="citation_${name}" content="${escape(content)}">`);
}

/** The same for search engines, as JSON-LD in the words of schema.org. */
function linked(book, data, work, chapter) {
  const front = data.slug === "index";
  const whole = {
    "@type": "Book", name: work.title, url: wholeAddress("index"), author: work.authors.map(({ name, isPerson }) => ({ "@type": isPerson ? "Person" : "Organization", name })),
    version: work.version, datePublished: [work.year, work.month, work.day].join("-"), inLanguage: "en", license: { "@type": "CreativeWork", name: work.license },
  };
  const { author, version, datePublished, inLanguage, license } = whole;
  const own = front ? { ...whole, keywords: work.keywords.join(", ") } : {
    "@type": chapter ? "Chapter" : "WebPage", name: titleText(data.frontmatter.title), url: wholeAddress(data.slug),
    position: chapter?.part.number, author, version, datePublished, inLanguage, license, isPartOf: whole,
  };
  const description = titleText(data.frontmatter.description ?? book.description);
  const text = JSON.stringify({ "@context": "https://schema.org", ...own, description });
  return `<script type="application/ld+json">${text.replaceAll("<", "\\u003c")}</script>`;
}
