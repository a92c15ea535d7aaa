// On a narrow screen the bar at the top says where the reader is. It leaves while the page is read on, and comes back when
// it is moved back. The menu in it closes when something is chosen.

const STEP = 6; // dots, below which a finger has not moved

export function setUpBar() {
  const bar = document.querySelector("header.bar");
  const menu = bar?.querySelector(".menu");
  if (!menu) return;
  let before = scrollY;
  let waiting = false;
  const follow = () => {
    waiting = false;
    const length = document.documentElement.scrollHeight - innerHeight;
    bar.style.setProperty("--read", length > 0 ? Math.min(1, scrollY / length).toFixed(4) : 0);
    if (Math.abs(scrollY - before) < STEP) return;
    bar.classList.toggle("away", scrollY > before && scrollY > bar.offsetHeight && !menu.open && !bar.matches(":focus-within"));
    before = scrollY;
  };
  addEventListener("scroll", () => {
    if (!waiting) requestAnimationFrame(follow);
    waiting = true;
  }, { passive: true });
  follow();

  menu.addEventListener("click", (event) => { if (event.target.closest("a")) menu.open = false; });
  document.addEventListener("click", (event) => { if (!bar.contains(event.target)) menu.open = false; });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

/** The section that is being read, beside the chapter. */
export function tellSection(title) {
  const section = document.querySelector("header.bar .section");
  if (!section) return;
  section.textContent = title ?? "";
  section.hidden = !title;
}
