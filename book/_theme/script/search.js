// Search in all sections of the book. The sections come with the first search, as a script, since a
// page that is opened from disk may fetch nothing else.
import MiniSearch from "minisearch";
import { element, store, stored, targetOf } from "./dom.js";
import { unfold } from "./place.js";

const LIMIT = 30;
const KEY = "tree-world-found";

const GREEK = new Map("α alpha β beta γ gamma δ delta ε epsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu ξ xi π pi ρ rho σ sigma ς sigma τ tau υ upsilon φ phi χ chi ψ psi ω omega ϕ phi ϵ epsilon ℓ ell".match(/\S+ \S+/g).map((pair) => pair.split(" ")));
const SHORT = new Map(Object.entries({ eq: "equation", eqn: "equation", fig: "figure", tab: "table", ex: "exercise", sec: "section", ch: "chapter" }));
// They stand in every section, and tell none from another.
const COMMON = new Set("a an and are as at be by can do does for from has have how i if in is it its my no not of on one or so than that the then there this to was what when where which who why will with would you".split(" "));

/** Words as they are written: "2.3" is one, and `SpatialMemory.read` is one. */
const wordsOf = (text) => text.match(/[\p{L}\p{N}_]+(?:\.[\p{L}\p{N}_]+)*/gu) ?? [];

/** A word is found as a whole, and by its parts: `SpatialMemory.read` by "memory", θ by "theta". */
function formsOf(word) {
  const parts = /\D/.test(word) ? word.split(/[._]|(?<=\p{Ll})(?=\p{Lu})/u) : [];
  const letters = [...word.toLowerCase()].map((letter) => GREEK.get(letter)).filter(Boolean);
  return [...new Set([word, ...parts, ...letters].filter(Boolean).map((form) => form.toLowerCase()))];
}

const fullWord = (word) => SHORT.get(word.toLowerCase()) ?? word.toLowerCase();
const asked = (text) => wordsOf(text).map(fullWord).join(" ");

/** What is called just as the query comes first: "fig. 2.3", or a term. */
function find(searches, query) {
  const found = matching(searches, query);
  const isNamed = ({ label, title }) => [label, title].some((name) => asked(name) === asked(query));
  return [...found.filter(isNamed), ...found.filter((one) => !isNamed(one))];
}

/** Places that hold all words of a query; if there are none, the ones that hold most of those that tell something. */
function matching({ book, names }, query) {
  const all = book.search(query, { combineWith: "AND" });
  const boostDocument = (address, term, { title }) => weightOf(title, query);
  const named = names.search(query.replace(/[`()]/g, ""), { combineWith: "AND", boostDocument });
  // A name that is written as code is asked for itself: `SpatialMemory.read`, `read()`. A word is looked for in the book.
  if (nameIn(query) && named.length > 0) return [...named, ...all];
  if (all.length + named.length > 0) return [...all, ...named];
  const telling = wordsOf(query).filter((word) => !COMMON.has(word.toLowerCase())).flatMap(formsOf);
  return book.search(telling.join(" "), { combineWith: "OR" });
}

function nameIn(query) {
  const name = query.trim().replace(/^`|`$|\(\)/g, "");
  return /^[A-Za-z_][\w.]*$/.test(name) && (name !== query.trim() || /[._]|[a-z][A-Z]/.test(name)) ? name : undefined;
}

function weightOf(title, query) {
  const name = nameIn(query) ?? query.trim();
  if (title === name) return 30;
  return title.endsWith(`.${name}`) || name.endsWith(`.${title}`) ? 20 : 1;
}

/** A name and what it is, for each line; a member, which begins with a full stop, is called by its class. */
function namesOf({ page, address, names = "" }) {
  let owner = "";
  return names.split("\n").filter(Boolean).map((line) => {
    const [name, text = "", place] = line.split("\t");
    if (!name.startsWith(".")) owner = name;
    const title = name.startsWith(".") ? owner + name : name;
    return { kind: "Reference", label: "", title, text, code: "", page, address: `${address}#${place || anchorOfName(title)}` };
  });
}

const anchorOfName = (name) => `lib-${name.toLowerCase().replace(/[._]+/g, "-").replace(/^-|-$/g, "")}`; // as search.mjs

function entryOf({ page, address }, fields, values) {
  const told = Object.fromEntries(fields.map((field, at) => [field, values[at] ?? ""]));
  const label = told.number ? `${told.kind} ${told.number}` : ""; // by which somebody may ask for it
  return { ...told, label, title: told.title || label, page, address: told.id ? `${address}#${told.id}` : address };
}

let index; // a promise, from the first search on

function loadIndex(home) {
  index ??= new Promise((resolve, reject) => {
    const script = element("script", { src: new URL("assets/search-index.js", home).href });
    script.addEventListener("load", resolve);
    script.addEventListener("error", reject);
    document.head.append(script);
  }).then(() => {
    const options = {
      fields: ["title", "label", "page", "text", "code"],
      storeFields: ["address", "kind", "label", "title", "page", "text", "code"],
      idField: "address",
      tokenize: wordsOf,
      processTerm: formsOf,
      searchOptions: {
        processTerm: fullWord,
        boost: { title: 4, label: 4, page: 2, text: 2 },
        prefix: (word) => !/\d/.test(word),
        fuzzy: (word) => (word.length > 4 && !/\d/.test(word) ? 0.2 : false),
      },
    };
    const { fields, pages } = globalThis.bookIndex;
    const [book, names] = [new MiniSearch(options), new MiniSearch(options)]; // apart, so that names weigh nothing among texts
    book.addAll(pages.flatMap((page) => page.entries.map((values) => entryOf(page, fields, values))));
    names.addAll(pages.flatMap(namesOf));
    return { book, names };
  });
  return index;
}

export function setUpSearch(home) {
  const buttons = document.querySelectorAll("button.search");
  if (buttons.length === 0) return;
  const input = element("input", { type: "text", placeholder: "Search the book", autocomplete: "off", spellcheck: false, enterKeyHint: "search" });
  input.setAttribute("aria-label", "Search the book");
  const status = element("p", { className: "status" });
  status.setAttribute("role", "status");
  const list = element("ol", { className: "results" });
  const close = element("button", { type: "button", className: "close", textContent: "Close" });
  const dialog = element("dialog", { className: "search-panel" }, element("div", { className: "search-line" }, input, close), status, list);
  dialog.setAttribute("aria-label", "Search");
  document.body.append(dialog);

  const open = () => {
    if (dialog.open) return;
    loadIndex(home).catch(() => { status.textContent = "The index of the book could not be loaded."; });
    dialog.showModal();
    input.select();
  };
  const show = async () => {
    const query = input.value.trim();
    const search = await loadIndex(home);
    if (query !== input.value.trim()) return; // typed on meanwhile
    const results = query ? find(search, query) : [];
    list.replaceChildren(...results.slice(0, LIMIT).map((result) => entry(result, home)));
    status.textContent = !query ? "" : results.length === 0 ? `Nothing found for “${query}”.` : results.length === 1 ? "One place" : `${results.length} places${results.length > LIMIT ? `; the first ${LIMIT}` : ""}`;
  };

  buttons.forEach((button) => button.addEventListener("click", open));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  list.addEventListener("click", (event) => { if (event.target.closest("a")) dialog.close(); });
  input.addEventListener("input", show);
  dialog.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const here = links.indexOf(document.activeElement);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const next = here + (event.key === "ArrowDown" ? 1 : -1);
      (next < 0 ? input : links[Math.min(next, links.length - 1)])?.focus();
    } else if (event.key === "Enter" && document.activeElement === input) {
      event.preventDefault();
      links[0]?.click();
    } else if (here >= 0 && event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) {
      input.focus(); // and the letter goes there
    }
  });
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    const slash = event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (slash || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      open();
    }
  });
}

function entry(result, home) {
  // Words that only resemble what was typed are marked where there is nothing better.
  const typed = result.terms.filter((term) => result.queryTerms.some((query) => term.startsWith(query)));
  const terms = typed.length ? typed : result.terms;
  const pattern = anyOf(terms);
  const link = element("a", { href: home + result.address },
    element("span", { className: "where" }, element("span", { className: "kind" }, result.kind), ...(result.page.endsWith(result.title) ? [] : [" · ", ...marked(result.page, pattern)])),
    element("span", { className: "what" }, ...marked(result.page.endsWith(result.title) ? result.page : result.title, pattern)));
  const excerpt = excerptOf(result.text, pattern) ?? excerptOf(result.code, pattern);
  if (excerpt) link.append(element("span", { className: "excerpt" }, ...marked(excerpt, pattern)));
  link.addEventListener("click", () => store("sessionStorage", KEY, { address: result.address, terms }));
  return element("li", {}, link);
}

const letter = "[\\p{L}\\p{N}]";
const escaped = (term) => term.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
/** Whole words, and nothing that only holds them. */
const anyOf = (terms) => new RegExp(`(?<!${letter})(${terms.map(escaped).join("|")})(?!${letter})`, "giu");

function marked(text, pattern) {
  // A pattern with a group gives what lies between the matches and the matches in turn.
  return text.split(pattern).map((part, index) => (index % 2 ? element("mark", {}, part) : part));
}

function excerptOf(text, pattern) {
  const at = text.search(pattern);
  if (at === -1) return null;
  const start = at < 60 ? 0 : text.indexOf(" ", at - 60) + 1;
  const end = start + 170 >= text.length ? text.length : text.lastIndexOf(" ", start + 170);
  return `${start > 0 ? "… " : ""}${text.slice(start, end)}${end < text.length ? " …" : ""}`;
}

// --- on the page that was found ------------------------------------------------------------------

/** Mark the words that led here, and go to the first of them. */
export function markWhatWasFound() {
  const mark = () => {
    const found = stored("sessionStorage", KEY);
    if (!found || !location.href.endsWith(found.address)) return;
    store("sessionStorage", KEY, null);
    const ranges = rangesOf(anyOf(found.terms));
    if (ranges.length === 0) return;
    if (window.Highlight) CSS.highlights.set("found", new Highlight(...ranges));
    const section = targetOf(location.hash);
    const first = ranges.find((range) => !section || section.contains(range.startContainer) || section.compareDocumentPosition(range.startContainer) & Node.DOCUMENT_POSITION_FOLLOWING);
    const place = first?.startContainer.parentElement;
    unfold(place);
    place?.scrollIntoView({ block: "center" });
  };
  mark();
  addEventListener("hashchange", mark);
}

function rangesOf(pattern) {
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  const ranges = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest(".katex, script, .neighbours, .numbers, .label")) continue;
    for (const match of node.data.matchAll(pattern)) {
      const range = new Range();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      ranges.push(range);
    }
  }
  return ranges;
}
