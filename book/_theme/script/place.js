// Where the reader is: in the outline, at what a link leads to, and the next time.
import { tellSection } from "./bar.js";
import { element, placeOf, store, stored, targetOf } from "./dom.js";

const onceAFrame = (work) => {
  let waiting = false;
  return () => {
    if (!waiting) requestAnimationFrame(() => { waiting = false; work(); });
    waiting = true;
  };
};

export function followReading() {
  const links = [...document.querySelectorAll(".sidebar .sections a")];
  const inMenu = [...document.querySelectorAll(".menu .sections a")];
  const headings = links.map((link) => targetOf(link.hash));
  if (links.length === 0 || headings.includes(null)) return;
  const sidebar = document.querySelector(".sidebar");
  let before = null;
  const mark = () => {
    const here = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight * 0.3).length - 1;
    if (here === before) return;
    before = here;
    for (const list of [links, inMenu]) list.forEach((link, index) => link.classList.toggle("here", index === here));
    tellSection(links[here]?.lastElementChild.textContent);
    if (links[here]) keepInView(links[here], sidebar);
  };
  addEventListener("scroll", onceAFrame(mark), { passive: true });
  mark();
}

/** Scroll a list as little as it takes to see an entry of it, and the page not at all. */
function keepInView(entry, list) {
  const [inner, outer] = [entry.getBoundingClientRect(), list.getBoundingClientRect()];
  if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top + inner.height;
  else if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom + inner.height;
}

export function setUpArrivals() {
  arrive();
  addEventListener("hashchange", arrive);
  // Who follows a link to where the address leads already, arrives again.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    if (link && link.hash === location.hash && !event.defaultPrevented) setTimeout(arrive);
  });
}

/** Open what is folded around the place that is linked to, and mark it for a moment. */
export function arrive() {
  const target = targetOf(location.hash);
  if (!target) return followMoved();
  unfold(target);
  markArrival(target);
}

export function unfold(place) {
  for (let folded = place?.closest("details:not([open])"); folded; folded = folded.parentElement.closest("details:not([open])")) folded.open = true;
}

const MARKED = 2000; // milliseconds

export function markArrival(target) {
  if (target.matches("main, h1")) return;
  target.classList.add("arrived");
  setTimeout(() => target.classList.remove("arrived"), MARKED);
}

/** A place that once was on this page may be on another one now. */
function followMoved() {
  const moved = JSON.parse(document.querySelector("main").dataset.moved ?? "{}");
  const place = placeOf(location.hash);
  if (Object.hasOwn(moved, place)) location.replace(moved[place]);
}

// --- the next time -------------------------------------------------------------------------------

const KEY = "tree-world-place";
const RETURN = "tree-world-return";

/** Keep the paragraph of a chapter that is being read; on every other page, and at the top of this one, offer to go on there. */
export function rememberPlace(home) {
  const page = location.href.split("#")[0].slice(home.length);
  const returned = goToParagraph(page);
  const place = stored("localStorage", KEY);
  // Only an address inside of this book; what is stored may come from another one.
  const isPlace = place?.title && /^[\w/-]+\/index\.html(#[\w-]+)?$/.test(place.address);
  const atTop = !location.hash && scrollY < innerHeight;
  if (isPlace && !returned && (atTop || place.page !== page)) offer(place, home);
  if (document.querySelector(".eyebrow")) keepPlace(page); // a chapter, and not a list
}

function keepPlace(page) {
  const headings = [...document.querySelectorAll("main > h2[id]")];
  const parts = [...document.querySelectorAll("main > *")].filter((part) => part.checkVisibility());
  const start = scrollY;
  const keep = () => {
    // Who only looks in does not lose the place elsewhere.
    if (Math.abs(scrollY - start) < innerHeight / 2) return;
    const reading = parts.find((part) => part.getBoundingClientRect().bottom > innerHeight * 0.25);
    if (!reading) return;
    const section = headings.findLast((heading) => heading === reading || heading.compareDocumentPosition(reading) & Node.DOCUMENT_POSITION_FOLLOWING);
    const title = document.querySelector("h1").textContent;
    store("localStorage", KEY, {
      page,
      address: page + (section ? `#${section.id}` : ""),
      title: section ? `${title}: ${section.textContent.replace(/#$/, "").trim()}` : title,
      paragraph: parts.indexOf(reading) - (section ? parts.indexOf(section) : 0),
    });
  };
  addEventListener("scrollend", keep, { passive: true });
  addEventListener("pagehide", keep);
}

function offer(place, home) {
  const link = element("a", { href: home + place.address, textContent: place.title });
  link.addEventListener("click", () => {
    store("sessionStorage", RETURN, place);
    if (location.href === link.href) location.reload();
    else if (location.href.split("#")[0] === link.href.split("#")[0]) setTimeout(() => goToParagraph(place.page));
  });
  document.querySelector(".meta")?.append(element("span", { className: "resume" }, "Go on reading: ", link));
}

/** Paragraphs have no address: one is counted from the heading of its section. Tells whether somebody came for it. */
function goToParagraph(page) {
  const place = stored("sessionStorage", RETURN);
  if (place?.page !== page || !Number.isInteger(place.paragraph)) return false;
  store("sessionStorage", RETURN, null);
  const parts = [...document.querySelectorAll("main > *")].filter((part) => part.checkVisibility());
  const section = targetOf(location.hash);
  const part = parts[(section ? parts.indexOf(section) : 0) + place.paragraph];
  if (!part) return false;
  part.scrollIntoView({ block: "start" });
  markArrival(part);
  return true;
}
