"""What axe-core finds on a page: all its rules on all of it, and colours once for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.book.conftest import DESK, PHONE
from tools import settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Colours are the same on a phone and on a desk, and what is there is the same by day and by night.
DEVICES = {"phone, light": (PHONE, "light"), "desk, dark": (DESK, "dark")}
NOTHING: dict[str, list[str]] = {device: [] for device in DEVICES}
AXE = settings.THEME / "node_modules" / "axe-core" / "axe.min.js"

# Of thousands of formulas, values and words of code that look alike, axe need judge the colours of
# one of each kind: in an element of the same kind, of the same class and in the same colours. What
# names a link, a heading or the like stays, as axe looks for its name.
HIDE_WHAT_LOOKS_ALIKE = """() => {
    document.querySelectorAll("[data-alike]").forEach((one) => one.removeAttribute("data-alike"));
    const kinds = new Map();
    const kind = (one) => {
        if (!one) return "";
        if (!kinds.has(one)) {
            const { color, backgroundColor, opacity } = getComputedStyle(one);
            const inside = one.matches(".katex-html") ? one.querySelectorAll("[style*=color]") : [];
            const own = [one.tagName, one.className, color, backgroundColor, opacity,
                ...[...inside].map((part) => part.style.color)];
            kinds.set(one, `${kind(one.parentElement)}>${own.join()}`);
        }
        return kinds.get(one);
    };
    const named = "a, button, summary, th, h1, h2, h3, h4, label, dt";
    const words = `main :is(samp, em, code):not(:has(*), :is(${named}) *)`;
    const parts = document.querySelectorAll(
        `main .katex-html, main pre code span:not(:has(*)), ${words}`);
    const shown = [...parts].filter((one) => one.checkVisibility());
    const first = new Map(shown.map((one) => [kind(one), one]).reverse());
    for (const one of shown) if (first.get(kind(one)) !== one) one.dataset.alike = "";
    document.getElementById("alike") ?? document.head.insertAdjacentHTML(
        "beforeend", "<style id=alike>[data-alike] { visibility: hidden }</style>");
}"""

# To judge colours takes axe most of its time. So of all else that looks alike, in the same colours
# and letters inside of such elements, it judges three, and what it has let pass is not asked again
# on another page. All other rules are asked of everything.
FIND = """async (known) => {
    const rules = {
        // Of a single letter axe does not tell, and what is only heard has no colour.
        "color-contrast": (one) => one.matches("input, select, textarea") ||
            [...one.childNodes].some((part) => part.nodeType === 3 && part.data.trim()) &&
            one.textContent.trim().length > 1 && !one.closest(".katex-mathml"),
        "link-in-text-block": (one) => one.matches("a[href], [role=link]"),
    };
    const kinds = new Map([[null, ""]]);
    const kind = (one) => {
        if (!kinds.has(one)) {
            const style = getComputedStyle(one);
            const size = parseFloat(style.fontSize);
            const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
            const look = [style.color, style.backgroundColor, style.backgroundImage, style.opacity,
                style.textShadow, large].join();
            const above = kind(one.parentElement);
            // A part of a formula is of the kind of the whole, unless it has colours of its own.
            const whole = one.parentElement?.closest(".katex-html") && above.endsWith(`,${look}`);
            const own = [one.tagName, one.className, style.textDecorationLine, look];
            kinds.set(one, whole ? above : `${above}>${own.join()}`);
        }
        return kinds.get(one);
    };
    const passed = new Set(known);
    const seen = [...document.body.querySelectorAll("*")].filter((one) =>
        one.checkVisibility({ visibilityProperty: true }));
    for (const [id, judges] of Object.entries(rules)) {
        for (const one of document.querySelectorAll(`[data-${id}]`))
            one.removeAttribute(`data-${id}`);
        const asked = seen.filter((one) => judges(one) && !passed.has(`${id} ${kind(one)}`));
        for (const all of Map.groupBy(asked, kind).values())
            for (const one of [all[0], all[all.length >> 1], all.at(-1)])
                one.setAttribute(`data-${id}`, "");
        axe.configure({ rules: [{ id, selector: `[data-${id}]` }] });
    }
    axe.addReporter("kinds", (results, options, done) => {
        for (const { id, passes } of results)
            if (id in rules)
                for (const { node } of passes) passed.add(`${id} ${kind(node.element)}`);
        axe.getReporter("v1")(results, options, done);
    });
    const options = { resultTypes: ["violations"], preload: false, reporter: "kinds" };
    const { violations } = await axe.run(document, options);
    return { violations, passed: [...passed.difference(new Set(known))] };
}"""


def violations(page: Page, passed: set[str] | None = None) -> list[str]:
    """Rule, element and message of everything that axe finds.

    Parameters
    ----------
    page : Page
        A page that is open.
    passed : set of str, optional
        Kinds of elements whose colours have been judged on other pages; those of this page are
        added. By default, all are judged.
    """
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(AXE.read_text())
    passed = set() if passed is None else passed
    page.evaluate(HIDE_WHAT_LOOKS_ALIKE)
    found: dict[str, Any] = page.evaluate(FIND, sorted(passed))
    passed.update(found["passed"])
    return [
        f"{rule['id']}: {node['html'][:120]}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def turn_into(page: Page, device: str) -> None:
    """Show a page that is open as another device does, and wait until colours have changed."""
    viewport, scheme = DEVICES[device]
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)
    page.evaluate(
        """async () => {
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            await Promise.all(document.getAnimations().map((one) => one.finished));
        }"""
    )


def violations_by_device(page: Page, passed: set[str] | None = None) -> dict[str, list[str]]:
    """Faults on a phone by day and on a desk by night, of a page that is open."""
    found = {}
    for device in DEVICES:
        turn_into(page, device)
        found[device] = violations(page, passed)
    return found
