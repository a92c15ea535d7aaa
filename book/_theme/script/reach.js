// What the keyboard needs: tabs that arrows move between, and boxes that scroll only if they must.
import { element } from "./dom.js";

/** Tabs are written one below the other, and become tabs here. */
export function setUpTabs() {
  document.querySelectorAll(".tabs").forEach((tabs, set) => {
    const panels = [...tabs.querySelectorAll(":scope > .tab")];
    const list = element("div", { className: "tab-list" });
    list.setAttribute("role", "tablist");
    const choose = (chosen) => buttons.forEach((button, index) => {
      button.setAttribute("aria-selected", String(index === chosen));
      button.tabIndex = index === chosen ? 0 : -1;
      panels[index].hidden = index !== chosen;
    });
    const buttons = panels.map((panel, index) => {
      const title = panel.querySelector(":scope > .title");
      const button = element("button", { type: "button", id: `tab-${set}-${index}`, textContent: title.textContent });
      button.setAttribute("role", "tab");
      button.addEventListener("click", () => choose(index));
      panel.id ||= `tab-panel-${set}-${index}`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", button.id);
      button.setAttribute("aria-controls", panel.id);
      title.remove();
      return button;
    });
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
      choose(next);
      buttons[next].focus();
    });
    list.append(...buttons);
    tabs.prepend(list);
    tabs.classList.add("ready");
    choose(0);
  });
}

/** A box that is too narrow for what it holds is a stop for the keyboard; one that is not, is none. */
export function letKeyboardScroll() {
  const boxes = document.querySelectorAll("main pre, main .formula, main .table-scroll, main div.html");
  const check = (box) => {
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    if (scrolls) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  };
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => check(entry.target)));
  boxes.forEach((box) => observer.observe(box));
}
