// What a page can do beyond being read. Without this file every text, figure and link still works.
(() => {
  "use strict";
  const root = document.documentElement;

  function remember(key, value) {
    try { localStorage.setItem(key, value); } catch { /* storage is forbidden: only this page changes */ }
  }

  function setUpThemeButton() {
    const button = document.querySelector("button.theme");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const label = () => {
      button.textContent = isDark() ? "◐ Light" : "◐ Dark";
      button.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
    };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember("tree-world-theme", root.dataset.theme);
      label();
    });
    system.addEventListener("change", label);
    label();
    button.hidden = false;
  }

  function setUpCopying() {
    if (!navigator.clipboard) return;
    for (const head of document.querySelectorAll(".cell-head")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        const source = head.parentElement.querySelector("pre code").textContent;
        const done = await navigator.clipboard.writeText(source).then(() => "Copied", () => "Not allowed");
        button.textContent = done;
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      head.append(button);
    }
  }

  function followReading() {
    const links = [...document.querySelectorAll(".sidebar .sections a")];
    const headings = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
    if (links.length === 0 || headings.includes(null)) return;
    const mark = () => {
      const passed = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight * 0.3).length;
      links.forEach((link, index) => link.classList.toggle("here", index === passed - 1));
    };
    addEventListener("scroll", () => requestAnimationFrame(mark), { passive: true });
    mark();
  }

  function openWhatIsLinkedTo() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    target?.closest("details:not([open])")?.setAttribute("open", "");
  }

  function reloadWhenEdited(port) {
    const socket = new WebSocket(`ws://${location.hostname}:${port}/socket`);
    socket.addEventListener("message", (event) => {
      if (JSON.parse(event.data).type === "RELOAD") location.reload();
    });
  }

  setUpThemeButton();
  setUpCopying();
  followReading();
  openWhatIsLinkedTo();
  addEventListener("hashchange", openWhatIsLinkedTo);
  const live = document.querySelector("script[data-live]")?.dataset.live;
  if (live) reloadWhenEdited(live);
})();
