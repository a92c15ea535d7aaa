// A button on every cell that copies its code.
import { element } from "./dom.js";

export function setUpCopying() {
  if (!navigator.clipboard) return;
  for (const cell of document.querySelectorAll("main .cell")) {
    const source = cell.querySelector(":scope > pre > code");
    if (!source) continue;
    const button = element("button", { type: "button", className: "copy", textContent: "Copy" });
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      button.textContent = await navigator.clipboard.writeText(source.textContent).then(() => "Copied", () => "Not allowed");
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    const head = cell.querySelector(":scope > .cell-head");
    if (head) head.append(button);
    else cell.querySelector(":scope > pre").before(element("div", { className: "cell-head" }, button));
  }
}
