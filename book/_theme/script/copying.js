// A button on every cell that copies its code.
import { element } from "./dom.js";

export function setUpCopying() {
  for (const cell of document.querySelectorAll("main .cell")) {
    const source = cell.querySelector(":scope > pre > code");
    if (!source) continue;
    const button = element("button", { type: "button", className: "copy", textContent: "Copy" });
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      button.textContent = (await copy(source.textContent)) ? "Copied" : "Not allowed";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    const head = cell.querySelector(":scope > .cell-head");
    if (head) head.append(button);
    else cell.querySelector(":scope > pre").before(element("div", { className: "cell-head" }, button));
  }
}

/** Browsers may keep the clipboard from pages that are opened from disk; the old way works there. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { value: text, readOnly: true });
    area.style.position = "fixed";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
