// What stands at the foot of a page: which edition it is of, how to cite it, and the ways to its source.
import { h } from "hastscript";
import { visit } from "./book.mjs";
import { citation } from "./cite.mjs";
import { pageAddress } from "./render/addresses.mjs";
import { titleText } from "./render/titles.mjs";
import { ownRepository } from "./source.mjs";

/** Version, commit and day of the build, as a list of words. While a page is edited, only the first. */
function editionOf(live) {
  const version = citation()?.says.version;
  const { commit, changed, date } = live ? {} : JSON.parse(process.env.BOOK_EDITION ?? "{}");
  return [
    version && `Version ${version}`,
    commit && `${changed ? "with changes to commit" : "commit"} ${commit}`,
    date && `built on ${date}`,
  ].filter(Boolean);
}

/** A paragraph that says so. Whoever makes something else of a page may leave it out: it changes with every commit. */
export function edition(live) {
  const words = editionOf(live);
  return words.length ? [h("p.edition", `${words.join(", ")}.`)] : [];
}

/** The foot of a page; nothing if there is nothing to say. */
export function foot(book, data, context, { hasColophon, live }) {
  const links = [howToCite(book, data, context), ...waysToSource(data, live)].filter(Boolean);
  const told = hasColophon ? [] : edition(live);
  if (links.length + told.length === 0) return [];
  return [h("footer.ways", told, links.length ? h("p", links.flatMap((link) => [link, " "]).slice(0, -1)) : null)];
}

function howToCite(book, data, context) {
  if (!citation() || !book.pages.has("cite") || data.slug === "cite") return null;
  const isChapter = data.slug !== "index" && data.frontmatter.enumerator;
  const address = pageAddress("cite", context);
  return isChapter ? h("a", { href: `${address}#cite-${data.slug}` }, "How to cite this chapter") : h("a", { href: address }, "How to cite");
}

function isComputed(data) {
  let found = false;
  visit(data.mdast, (node) => { found ||= node.type === "code" && node.executable === true; });
  return found;
}

function waysToSource(data, live) {
  const source = ownRepository();
  if (!source || !data.location) return [];
  const { title, enumerator } = data.frontmatter;
  const name = [data.slug === "index" ? "" : enumerator && `Chapter ${enumerator}`, titleText(title)].filter(Boolean).join(", ");
  const body = [`Page: ${name}`, `Edition: ${editionOf(live).join(", ") || "not known"}`, "", "What is wrong, and what would be right?", "", ""].join("\n");
  const report = source.issue(`Error in: ${name}`, body);
  return [
    h("a", { href: source.page(data.location) }, "Source of this page"),
    h("a", { href: source.edit(data.location) }, "Edit it"),
    // The script adds where on the page the reader is, to the field that is named.
    h("a.report", { href: report.address, dataField: report.field }, "Report an error"),
    isComputed(data) ? h("a", { href: source.binder(data.location) }, "Open in Binder") : null,
  ];
}
