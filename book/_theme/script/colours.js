// Light or dark: as the system has it, until the reader chooses. The choice is kept, and set again
// before the first paint by a line in the head of each page.
export function setUpColours() {
  const root = document.documentElement;
  const button = document.querySelector("button.theme");
  if (!button) return;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => {
    const other = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `${other}: switch to ${other.toLowerCase()} colours`);
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("tree-world-theme", root.dataset.theme); } catch { /* only this page changes */ }
    label();
  });
  system.addEventListener("change", label);
  label();
}
