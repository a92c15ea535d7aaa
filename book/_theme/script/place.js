// Where the reader is: in the outline, behind a link into something folded, and the next time.
import { element, placeOf, store, stored, targetOf } from "./dom.js";

export function followReading() {
  const links = [...document.querySelectorAll(".sidebar .sections a")];
  const headings = links.map((link) => targetOf(link.hash));
  if (links.length === 0 || headings.includes(null)) return;
  let waiting = false;
  const mark = () => {
    waiting = false;
    const passed = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight * 0.3).length;
    links.forEach((link, index) => link.classList.toggle("here", index === passed - 1));
  };
  addEventListener("scroll", () => {
    if (!waiting) requestAnimationFrame(mark);
    waiting = true;
  }, { passive: true });
  mark();
}

export function openWhatIsLinkedTo() {
  const target = targetOf(location.hash);
  if (!target) return followMoved();
  for (let folded = target?.closest("details:not([open])"); folded; folded = folded.parentElement.closest("details:not([open])")) folded.open = true;
}

/** A place that once was on this page may be on another one now. */
function followMoved() {
  const moved = JSON.parse(document.querySelector("main").dataset.moved ?? "{}");
  const place = placeOf(location.hash);
  if (Object.hasOwn(moved, place)) location.replace(moved[place]);
}

const KEY = "tree-world-place";

/** Keep the section of a chapter that is being read; on the first page, offer to go on there. */
export function rememberPlace(home) {
  const index = new URL("index.html", home);
  if ([index.pathname, new URL(home).pathname].includes(location.pathname)) return offerPlace(home);
  if (!document.querySelector(".eyebrow")) return; // a list, and not a chapter
  const headings = [...document.querySelectorAll("main > h2[id]")];
  const keep = () => {
    const section = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight * 0.5).at(-1);
    const page = document.querySelector("h1").textContent;
    store("localStorage", KEY, {
      address: location.href.split("#")[0].slice(home.length) + (section ? `#${section.id}` : ""),
      title: section ? `${page}: ${section.textContent.replace(/#$/, "").trim()}` : page,
    });
  };
  keep();
  addEventListener("scrollend", keep, { passive: true });
  addEventListener("pagehide", keep);
}

function offerPlace(home) {
  const place = stored("localStorage", KEY);
  // Only an address inside of this book; what is stored may come from another one.
  if (!place?.title || !/^[\w/-]+\/index\.html(#[\w-]+)?$/.test(place.address)) return;
  const link = element("a", { href: home + place.address, textContent: place.title });
  document.querySelector(".meta")?.append(element("span", { className: "resume" }, "Go on reading: ", link));
}
