// What the reader's search looks through: every section of the book as text, and every figure, table, equation, exercise
// and symbol by itself.
import { anchorOf, isReference, visit } from "./book.mjs";
import { spoken } from "./render/formulas.mjs";
import { pageAddress, titleText } from "./render/index.mjs";

const FIELDS = ["kind", "number", "id", "title", "text", "code"];

/**
 * A script that sets a variable, as pages that are opened from disk may not fetch anything. What repeats is told once:
 * the names of the fields, what a page is called and where it is, and the title of what is called by kind and number.
 */
export function searchIndex(book) {
  const pages = book.contents.filter(({ slug }) => book.pages.has(slug)).map((page) => ({
    page: [page.enumerator, titleText(page.title)].filter(Boolean).join(" "),
    address: pageAddress(page.slug, { prefix: "" }),
    ...(isReference(book.pages.get(page.slug)) ? { names: namesOf(book.pages.get(page.slug)) } : {}),
    entries: entriesOf(page, book.pages.get(page.slug)).map((entry) => trimmed(FIELDS.map((field) => entry[field]))),
  }));
  return `globalThis.bookIndex=${JSON.stringify({ fields: FIELDS, pages })};\n`;
}

const trimmed = (values) => values.slice(0, values.findLastIndex(Boolean) + 1);

const MOST = 40; // letters of what is told of a name

/**
 * Names on a page of the reference: a line for each, of its name and what it is, and its place where that does not follow
 * from the name (`anchorOfName` of script/search.js). Members begin with a full stop, and follow their class.
 */
function namesOf(data) {
  const flow = data.mdast.children.flatMap((block) => (block.type === "block" ? block.children : block));
  let owner = "";
  return flow.flatMap((node, at) => {
    if (node.type !== "heading" || !anchorOf(node)?.startsWith("lib-")) return [];
    const name = plain(node);
    const isMember = node.depth > 2;
    if (!isMember) owner = name;
    const told = isMember ? "" : shortened(plain(flow.slice(at + 1).find(({ type }) => type === "paragraph") ?? {}));
    const place = anchorOf(node) === anchorOfName(name) ? "" : anchorOf(node);
    return [[isMember ? name.replace(owner, "") : name, told, place].join("\t").trimEnd()];
  }).join("\n");
}

const anchorOfName = (name) => `lib-${name.toLowerCase().replace(/[._]+/g, "-").replace(/^-|-$/g, "")}`;
const shortened = (text) => (text.length <= MOST ? text : `${text.slice(0, text.lastIndexOf(" ", MOST))} …`);

// What is for tests, and imports: names are found in the reference, and where they are used.
const UNSEARCHED = /^\s*(?:# repeats|import|from) .*\n?/gm;
const NUMBERED = { figure: "Figure", table: "Table" };
const PROSE = ["paragraph", "admonitionTitle", "summary", "tableCell", "definitionTerm", "cardTitle"];

function entriesOf(entry, data) {
  const entries = [];
  const begin = (kind, id, title, number) => {
    const made = { kind, number: number ?? "", id, title: title ?? "", text: "", code: "" };
    entries.push(made);
    return made;
  };
  const add = (made, field, words) => { made[field] = `${made[field]} ${words}`.replace(/\s+/g, " ").trim(); };
  let section = begin(entry.enumerator ? "Chapter" : "Page", "", titleText(entry.title), entry.enumerator);
  section.text = titleText(data.frontmatter.description);

  let term; // which is being explained
  const collect = (node, into) => {
    const kind = kindOf(node);
    if (node.type === "heading" && node.depth <= 3) {
      section = begin("Section", anchorOf(node), [node.enumerator, plain(node)].filter(Boolean).join(" "), node.enumerator);
    } else if (kind && into === undefined) {
      const own = begin(kind, anchorOf(node), undefined, node.enumerator);
      if (node.type === "math") add(own, "text", plain(node));
      else node.children?.forEach((child) => collect(child, own));
    } else if (node.symbol) {
      const [glyph, ...others] = node.children.map(plain);
      const own = begin("Symbol", node.symbol.id, glyph);
      own.text = [node.symbol.names, ...others].filter(Boolean).join(" · ");
    } else if (node.type === "definitionTerm" && anchorOf(node)) {
      term = begin("Term", anchorOf(node), plain(node));
    } else if (node.type === "definitionDescription" && term) {
      add(term, "text", plain(node));
    } else if (node.type === "hungCells") {
      node.children.forEach((cell) => collect(cell)); // what was computed belongs to the section
    } else if (node.type === "code") {
      if (node.visibility !== "remove") add(into ?? section, "code", (node.value ?? "").replace(UNSEARCHED, ""));
    } else if (node.type === "math") {
      add(into ?? section, "text", plain(node));
    } else if (node.type === "outputs" || node.type === "comment") {
      // Numbers that a cell prints are found where the text speaks of them.
    } else if (PROSE.includes(node.type)) {
      add(into ?? section, "text", plain(node));
    } else {
      node.children?.forEach((child) => collect(child, into));
    }
  };
  if (isReference(data)) collect({ children: headingsOf(data).filter((node) => !anchorOf(node)?.startsWith("lib-")) }); // names are told otherwise
  else collect(data.frontmatter.site?.search === "headings" ? { children: headingsOf(data) } : data.mdast);
  return entries;
}

/** Of a long list, such as that of all changes, only the headings are found. */
function headingsOf(data) {
  const found = [];
  visit(data.mdast, (node) => { if (node.type === "heading") found.push(node); });
  return found;
}

/** What to call that which has a number of its own, and nothing else. */
function kindOf(node) {
  if (!node.enumerator || !anchorOf(node)) return undefined;
  return node.type === "container" ? NUMBERED[node.kind] : { math: "Equation", exercise: "Exercise" }[node.type];
}

function plain(node) {
  if (node.type === "inlineMath" || node.type === "math") return spoken(node.html ?? "");
  if (node.type === "text" || node.type === "inlineCode") return node.value;
  const words = (node.children ?? []).map(plain).join("");
  return node.type === "captionNumber" ? words.replace(/:?$/, ". ") : words; // as on the page
}
