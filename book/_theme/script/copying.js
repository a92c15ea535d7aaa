// A button on every cell that copies its code; and formulas that are copied with a text are LaTeX.
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

/** KaTeX writes a formula twice, for the eye and for the ear. Who copies it gets it once, as it was written. */
export function setUpFormulas() {
  document.addEventListener("copy", (event) => {
    const selection = getSelection();
    if (selection.isCollapsed) return;
    const copied = element("div", { className: "copied" }, selection.getRangeAt(0).cloneContents());
    const formulas = [...copied.querySelectorAll(".katex")].filter((formula) => formula.querySelector("annotation"));
    if (formulas.length === 0) return;
    for (const formula of formulas) {
      const source = formula.querySelector("annotation").textContent.trim();
      formula.replaceWith(formula.closest(".katex-display") ? `$$${source}$$` : `$${source}$`);
    }
    document.body.append(copied); // where it has lines, as the page has them
    event.clipboardData.setData("text/plain", copied.innerText.trim());
    event.clipboardData.setData("text/html", copied.innerHTML);
    copied.remove();
    event.preventDefault();
  });
}
