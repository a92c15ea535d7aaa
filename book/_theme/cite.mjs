// How the book and its chapters are cited: one description of a work, from CITATION.cff, and what is made from it. Only
// here is any of these formats written, so that they cannot say different things.
import { titleText } from "./render/titles.mjs";

/** Where the book will be published, with a slash at the end, if anybody knows. */
export const published = () => (process.env.BOOK_URL ? process.env.BOOK_URL.replace(/\/?$/, "/") : undefined);

/** The whole address of a page that will be published, if it will be. */
export const wholeAddress = (slug) => published() && published() + (slug === "index" ? "" : `${slug}/`);

/** The file CITATION.cff, as text and as what it says; undefined where a book has none. */
export function citation() {
  const { file, says } = JSON.parse(process.env.BOOK_CITATION ?? "{}");
  return says && { file, says };
}

/** The book, as a work that can be cited. */
export function workOf({ says }) {
  const [year, month, day] = String(says["date-released"]).split("-");
  return {
    title: says.title, version: says.version, license: says.license, keywords: says.keywords ?? [],
    authors: says.authors.map(({ name, "family-names": family, "given-names": given }) => ({ name: name ?? `${given} ${family}`, family, given, isPerson: !name })),
    year, month, day, url: wholeAddress("index"), key: `treeworld${year}`,
  };
}

/** A chapter of it; or undefined, for a page that is none. */
export function chapterOf(work, page) {
  if (!page.enumerator) return undefined;
  return { ...work, part: { title: titleText(page.title), number: page.enumerator, slug: page.slug }, url: wholeAddress(page.slug), key: `${work.key}chapter${page.enumerator}` };
}

const indexed = ({ name, family, given, isPerson }) => (isPerson ? `${family}, ${given}` : name);

/** A sentence, for a list of references, in three parts: the second is the title of the book. */
export function sentence(work) {
  const authors = `${work.authors.map(indexed).join("; ")} (${work.year}). `;
  const edition = ` Version ${work.version}.${work.url ? ` ${work.url}` : ""}`;
  if (work.part) return [`${authors}${stopped(work.part.title)} In `, work.title, `, chapter ${work.part.number}.${edition}`];
  const stop = stopped(work.title).slice(work.title.length);
  return [authors, work.title, `${stop}${edition}`];
}

const stopped = (title) => (/[.?!]$/.test(title) ? title : `${title}.`);

const tex = (words) => words.replace(/[\\&%$#_{}~^]/g, (mark) => ({ "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" })[mark] ?? `\\${mark}`);
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/** BibTeX. Titles, and names that are no person's, keep their letters as they are by a second pair of braces. */
export function bibtex(work) {
  const authors = work.authors.map((author) => (author.isPerson ? tex(indexed(author)) : `{${tex(author.name)}}`)).join(" and ");
  const fields = {
    author: `{${authors}}`,
    title: `{{${tex((work.part ?? work).title)}}}`,
    ...(work.part ? { booktitle: `{{${tex(work.title)}}}`, chapter: `{${work.part.number}}` } : {}),
    year: `{${work.year}}`,
    month: MONTHS[Number(work.month) - 1],
    note: `{Version ${tex(work.version)}}`,
    ...(work.url ? { url: `{${work.url}}` } : {}),
  };
  const width = Math.max(...Object.keys(fields).map((name) => name.length));
  const lines = Object.entries(fields).map(([name, value]) => `  ${name.padEnd(width)} = ${value}`);
  return `@${work.part ? "incollection" : "book"}{${work.key},\n${lines.join(",\n")}\n}\n`;
}

/** RIS, for programs that manage references. */
export function ris(work) {
  const lines = [
    ["TY", work.part ? "CHAP" : "BOOK"],
    ...work.authors.map((author) => ["AU", indexed(author)]),
    ["TI", (work.part ?? work).title],
    ...(work.part ? [["T2", work.title], ["SE", work.part.number]] : []),
    ["PY", work.year],
    ["DA", `${work.year}/${work.month}/${work.day}`],
    ["ET", `Version ${work.version}`],
    ["LA", "en"],
    ...work.keywords.map((word) => ["KW", word]),
    ...(work.url ? [["UR", work.url]] : []),
    ["ER", ""],
  ];
  return `${lines.map(([tag, value]) => `${tag}  - ${value}`).join("\n")}\n`;
}

/** The file CITATION.cff, with the addresses that are known. */
export function cff({ file, says }, work, source) {
  const known = { url: work.url, "repository-code": source?.home };
  const added = Object.entries(known).filter(([name, address]) => address && !says[name]).map(([name, address]) => `${name}: ${JSON.stringify(address)}\n`);
  return file.replace(/\n*$/, "\n") + added.join("");
}

/** What can be taken along, by its name. Lines of RIS end as its standard says. */
export function citationFiles(source) {
  const found = citation();
  if (!found) return {};
  const work = workOf(found);
  return { "tree-world.bib": bibtex(work), "tree-world.ris": ris(work).replaceAll("\n", "\r\n"), "CITATION.cff": cff(found, work, source) };
}
