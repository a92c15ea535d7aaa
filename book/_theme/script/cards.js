// A card beside a reference, a citation or the mark of a footnote shows what it refers to: on hover
// and on focus, until Escape, and as long as the pointer is on the one or the other. Where there is only a finger, the
// first tap opens it as a sheet, from which a link leads on.
import { element, targetOf } from "./dom.js";

const GAP = 8;

let watch = () => {};

/** Let a link that was made later have a card; `show` gives its content, of which the first part is read aloud. */
export const giveCard = (link, show) => watch(link, show);

export function setUpCards() {
  const card = element("div", { className: "card-over", id: "card-over", popover: "manual" });
  card.setAttribute("role", "tooltip");
  if (!card.showPopover) return;
  document.querySelector("main").append(card);
  const sheet = setUpSheet();
  let owner = null;
  let timer = 0;
  let touched = false;
  addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch"; }, true);

  const close = () => {
    clearTimeout(timer);
    owner?.removeAttribute("aria-describedby");
    owner = null;
    card.hidePopover();
  };
  const open = (link, show) => {
    clearTimeout(timer);
    if (link === owner) return;
    const content = show ? show() : contentOf(link);
    if (!content) return;
    close();
    owner = link;
    card.replaceChildren(...content);
    if (show) content[0].id = "card-aloud";
    link.setAttribute("aria-describedby", show ? "card-aloud" : card.id);
    card.showPopover();
    place(card, link);
  };
  const later = (what, delay) => { clearTimeout(timer); timer = setTimeout(what, delay); };

  watch = (link, show) => {
    link.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") later(() => open(link, show), 150); });
    link.addEventListener("pointerleave", () => later(close, 250));
    link.addEventListener("focus", () => { if (link.matches(":focus-visible")) open(link, show); });
    link.addEventListener("blur", close);
    link.addEventListener("click", (event) => {
      close();
      const content = touched && !event.defaultPrevented && (show ? show() : contentOf(link));
      if (!content) return;
      event.preventDefault();
      sheet(link, content);
    });
  };
  for (const link of document.querySelectorAll("main a.reference, main a.citation, main .footnote a")) watch(link);
  card.addEventListener("pointerenter", () => clearTimeout(timer));
  card.addEventListener("pointerleave", () => later(close, 250));
  addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
}

/** A sheet at the lower edge, with what a link refers to; the function that it gives back opens it. */
function setUpSheet() {
  const content = element("div", { className: "content" });
  const go = element("a", { className: "go", textContent: "Go there" });
  const close = element("button", { type: "button", className: "close", textContent: "Close" });
  const dialog = element("dialog", { className: "sheet" }, content, element("div", { className: "choices" }, go, close));
  dialog.setAttribute("aria-label", "What the text refers to");
  document.body.append(dialog);
  close.addEventListener("click", () => dialog.close());
  go.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  return (link, parts) => {
    content.replaceChildren(...parts);
    go.href = link.href;
    dialog.showModal();
  };
}

/** What a reference refers to: on this page by its name, on another one from a template. */
function contentOf(link) {
  const template = link.dataset.card && document.getElementById(link.dataset.card);
  if (template) return [...template.content.cloneNode(true).childNodes];
  const target = link.hash && new URL(link.href).pathname === location.pathname ? targetOf(link.hash) : null;
  if (!target) return null;
  const parts = [target];
  if (/^H[2-6]$/.test(target.tagName)) {
    let next = target.nextElementSibling;
    while (next && next.tagName !== "P") next = next.nextElementSibling;
    if (next) parts.push(next);
  }
  return parts.map(quoted);
}

/** A copy without names, links and buttons. */
function quoted(part) {
  const copy = part.cloneNode(true);
  for (const unwanted of copy.querySelectorAll("details, button, .anchor, .back, .cell-head")) unwanted.remove();
  for (const link of copy.querySelectorAll("a")) link.replaceWith(...link.childNodes);
  for (const named of [copy, ...copy.querySelectorAll("[id], [tabindex], [aria-label], [role]")]) {
    for (const name of ["id", "tabindex", "aria-label", "role"]) named.removeAttribute(name);
  }
  return copy;
}

function place(card, link) {
  const line = link.getClientRects()[0];
  const { width, height } = card.getBoundingClientRect();
  const left = Math.min(Math.max(GAP, line.left - 16), document.documentElement.clientWidth - width - GAP);
  const below = line.bottom + GAP;
  const top = below + height < innerHeight || line.top < height + GAP ? below : line.top - height - GAP;
  Object.assign(card.style, { left: `${left}px`, top: `${Math.max(GAP, Math.min(top, innerHeight - height - GAP))}px` });
}
