// What the reader's search looks through: every section of the book, as text.
import { pageAddress } from "./render/index.mjs";

/** A script that sets a variable, as pages that are opened from disk may not fetch anything. */
export function searchIndex(book) {
  const sections = book.contents.flatMap((entry) => (book.pages.has(entry.slug) ? sectionsOf(entry, book.pages.get(entry.slug)) : []));
  return `globalThis.bookSections=${JSON.stringify(sections)};\n`;
}

function sectionsOf(entry, data) {
  const address = pageAddress(entry.slug, { prefix: "" });
  const page = [entry.enumerator, entry.title].filter(Boolean).join(" ");
  const begin = (id, title) => ({ address: id ? `${address}#${id}` : address, page, title, text: "", code: "" });
  const sections = [begin("", entry.title)];
  sections[0].text = data.frontmatter.description ?? "";
  const add = (kind, words) => {
    const section = sections.at(-1);
    section[kind] = `${section[kind]} ${words}`.replace(/\s+/g, " ").trim();
  };
  const collect = (node) => {
    if (node.type === "heading" && node.depth <= 3) {
      sections.push(begin(node.html_id ?? node.identifier, [node.enumerator, plain(node)].filter(Boolean).join(" ")));
    } else if (node.type === "code") {
      if (node.visibility !== "remove") add("code", node.value ?? "");
    } else if (node.type === "outputs" || node.type === "comment") {
      // Numbers that a cell prints are found where the text speaks of them.
    } else if (["paragraph", "admonitionTitle", "summary", "tableCell", "definitionTerm", "cardTitle"].includes(node.type)) {
      add("text", plain(node));
    } else {
      node.children?.forEach(collect);
    }
  };
  collect(data.mdast);
  return sections;
}

function plain(node) {
  if (node.type === "inlineMath") return spoken(node.html ?? "");
  if (node.type === "text" || node.type === "inlineCode") return node.value;
  const words = (node.children ?? []).map(plain).join("");
  return node.type === "captionNumber" ? words.replace(/:?$/, ". ") : words; // as on the page
}

// KaTeX writes a formula for the ear, too: letters in order, without the commands.
function spoken(html) {
  const [, presentation = ""] = /<math[^>]*>(.*?)<annotation/s.exec(html) ?? [];
  return presentation.replace(/<[^>]+>/g, "").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}
