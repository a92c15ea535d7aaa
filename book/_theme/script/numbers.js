// A switch at the heading of each section marks its computed numbers. Each one then names the expression that it is the
// value of, and leads to the cell that this comes from.
import { giveCard } from "./cards.js";
import { element, targetOf } from "./dom.js";

let list; // a promise of the page's list, from the first use of a switch on

function loadList(address) {
  list ??= new Promise((resolve, reject) => {
    const script = element("script", { src: address });
    script.addEventListener("load", () => resolve(globalThis.pageNumbers));
    script.addEventListener("error", reject);
    document.head.append(script);
  });
  return list;
}

export function setUpNumbers(home) {
  const main = document.querySelector("main[data-numbers]");
  if (!main) return;
  const address = new URL(main.dataset.numbers, home).href;
  for (const [heading, numbers] of numbersBySection(main)) {
    const button = element("button", { type: "button", textContent: numbers.length === 1 ? "1 number" : `${numbers.length} numbers` });
    button.setAttribute("aria-label", `${button.textContent} of this section: show where ${numbers.length === 1 ? "it comes" : "they come"} from`);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", async () => {
      const on = button.getAttribute("aria-pressed") === "false";
      button.setAttribute("aria-pressed", String(on));
      const known = await loadList(address).catch(() => null);
      if (!known) button.textContent = "could not be loaded";
      else for (const number of numbers) if (on) mark(number, known[number.dataset.n]); else unmark(number);
    });
    heading.after(element("div", { className: "numbers" }, button)); // it has no height, so that nothing moves
  }
}

/** Computed numbers by the heading that they stand under; what stands in a footnote belongs where its mark is. */
function numbersBySection(main) {
  const headings = [main.querySelector(".masthead"), ...main.querySelectorAll(":scope > h2")];
  const sections = new Map();
  for (const number of main.querySelectorAll("samp[data-n]")) {
    const note = number.closest(".footnotes li");
    const place = (note && targetOf(`#${note.id.replace(/^fn-/, "fnref-")}`)) || number;
    const heading = headings.findLast((one) => one.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_FOLLOWING);
    if (heading) sections.set(heading, [...(sections.get(heading) ?? []), number]);
  }
  return sections;
}

function mark(number, [expression, cell]) {
  if (number.querySelector(".computed")) return;
  const target = cell && targetOf(`#${cell}`);
  const made = target && !number.closest("a") ? element("a", { href: `#${cell}` }) : element("span");
  made.className = "computed";
  made.setAttribute("aria-description", expression);
  made.append(...number.childNodes);
  number.append(made);
  if (!made.href) {
    made.title = expression;
    return;
  }
  giveCard(made, () => [element("p", {}, element("code", {}, expression)), ...codeOf(target)]);
}

function unmark(number) {
  const made = number.querySelector(".computed");
  if (made) number.replaceChildren(...made.childNodes);
}

/** The code of the cell, without what it prints. */
function codeOf(target) {
  const code = target.querySelector(":scope > pre:has(> code)");
  if (!code) return [];
  const copy = code.cloneNode(true);
  copy.removeAttribute("tabindex");
  return [element("p", { className: "from" }, "from the cell"), copy];
}
