// What a `{div}` of these classes holds: how the book is cited (`cite`), how its chapters are (`cite-chapters`), and, below
// its own words, a way to an edition by its tag (`archive v0.1.0`), where the repository is known.
import { h } from "hastscript";
import { bibtex, chapterOf, citation, citationFiles, cff, ris, sentence, workOf } from "../cite.mjs";
import { ownRepository } from "../source.mjs";
import { children } from "./core.mjs";

/** A text to copy, in a frame that says what it is; and the file to take along. */
const frame = (name, text, file, context) => h("div.cell.citation", h("div.cell-head", h("span", name),
  file ? h("a", { href: `${context.prefix}downloads/${file}`, download: file }, file, h("span", { ariaHidden: "true" }, "\u00a0↓")) : null), h("pre", h("code", text.replace(/\n$/, ""))));

const inWords = (work) => {
  const [before, title, after] = sentence(work);
  return h("div.cell.citation.in-words", h("div.cell-head", h("span", "In words")), h("pre", h("code", before, h("em", title), after)));
};

function book(node, context) {
  const found = needed();
  const work = workOf(found);
  const [bib, risFile, cffFile] = Object.keys(citationFiles());
  return [inWords(work), frame("BibTeX", bibtex(work), bib, context), frame("RIS", ris(work), risFile, context), frame("CFF", cff(found, work, ownRepository()), cffFile, context)];
}

function chapters(node, context) {
  const work = workOf(needed());
  return context.book.contents.map((page) => chapterOf(work, page)).filter(Boolean).map((chapter) => h("details.cite", { id: `cite-${chapter.part.slug}` },
    h("summary", h("span.number", chapter.part.number), " ", chapter.part.title), inWords(chapter), frame("BibTeX", bibtex(chapter)), frame("RIS", ris(chapter))));
}

function needed() {
  const found = citation();
  if (!found) throw new Error("there is no CITATION.cff to say how the book is cited");
  return found;
}

function archive(node, context) {
  const source = ownRepository();
  const tag = node.class.split(/\s+/).find((name) => name !== "archive");
  const link = source ? h("p", h("a", { href: source.archive(tag) }, `The sources of ${tag}`)) : null;
  return h("div", children(node, context), link);
}

export const editions = { cite: book, "cite-chapters": chapters, archive };
