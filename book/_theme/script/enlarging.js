// A picture in a figure is a link to its file. Here it opens over the page instead.
import { element } from "./dom.js";

export function setUpEnlarging() {
  const links = document.querySelectorAll("a.enlarge");
  if (links.length === 0) return;
  const stage = element("div", { className: "stage" });
  const caption = element("p", { className: "caption" });
  const close = element("button", { type: "button", className: "close", textContent: "Close" });
  const dialog = element("dialog", { className: "enlarged" }, close, stage, caption);
  dialog.setAttribute("aria-label", "Enlarged figure");
  document.body.append(dialog);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (!event.target.closest("img, .caption")) dialog.close(); });
  for (const link of links) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in a tab of its own, as the reader wishes
      event.preventDefault();
      const picture = [...link.querySelectorAll("img")].find((image) => image.checkVisibility()).cloneNode();
      picture.style.width = "";
      picture.loading = "eager";
      stage.replaceChildren(picture);
      // The text alone: references in it lead away, and the code below it is no caption.
      caption.textContent = [...link.closest("figure").querySelectorAll(":scope > figcaption > p")].map((part) => spokenText(part)).join(" ");
      dialog.showModal();
      // On a phone it is wider than the screen, and the keyboard must reach what scrolls.
      stage.tabIndex = stage.scrollWidth > stage.clientWidth ? 0 : -1;
    });
  }
}

function spokenText(part) {
  const copy = part.cloneNode(true);
  copy.querySelectorAll(".katex-html, annotation").forEach((hidden) => hidden.remove());
  return copy.textContent;
}
