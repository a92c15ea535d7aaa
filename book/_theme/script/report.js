// Who reports an error need not say where: the section that was read before the foot of the page was come to, or, if words
// are marked, the section of these, and the words.

const LONGEST = 400; // letters that are quoted: an address may not become too long

export function setUpReport() {
  const link = document.querySelector(".ways a.report");
  if (!link) return;
  const [plain, foot] = [link.href, link.closest(".ways")];
  let reading = headingInView();
  addEventListener("scrollend", () => {
    if (foot.getBoundingClientRect().top > innerHeight) reading = headingInView();
  }, { passive: true });
  const fill = () => {
    const marked = markedWords();
    const heading = marked ? headingBefore(marked.place) : reading;
    link.href = filled(plain, link.dataset.field, heading && nameOf(heading), marked?.words);
  };
  // Before a click, as that takes the marks away.
  link.addEventListener("pointerdown", fill);
  link.addEventListener("keydown", fill);
}

/** The address of the form, with section and words put after the first line of the text. */
function filled(address, field, section, words) {
  const form = new URL(address);
  const [first, ...others] = form.searchParams.get(field).split("\n");
  const added = [section && `Section: ${section}`, words && `Words: “${words}”`].filter(Boolean);
  form.searchParams.set(field, [first, ...added, ...others].join("\n"));
  return form.href;
}

function markedWords() {
  const selection = getSelection();
  const place = selection.anchorNode;
  if (selection.isCollapsed || !document.querySelector("main").contains(place)) return null;
  const marked = selection.getRangeAt(0).cloneContents();
  // A formula is in the page twice, for the eye and for the ear; it is quoted as it was written.
  for (const formula of marked.querySelectorAll(".katex")) formula.replaceWith(formula.querySelector("annotation")?.textContent ?? "");
  const letters = [...marked.textContent.replace(/\s+/g, " ").trim()];
  return { place, words: letters.length > LONGEST ? `${letters.slice(0, LONGEST).join("")}…` : letters.join("") };
}

const headings = () => [...document.querySelectorAll("main > :is(h2, h3)[id]")];
const nameOf = (heading) => heading.textContent.replace(/#$/, "").trim();

/** The last one above the middle of the window. */
const headingInView = () => headings().findLast((heading) => heading.getBoundingClientRect().top < innerHeight / 2);

const headingBefore = (place) => headings().findLast((heading) => heading.contains(place) || heading.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_FOLLOWING);
