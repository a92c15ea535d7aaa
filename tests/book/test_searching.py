"""Questions that a reader asks the search, and what must come first."""

import pytest

from tests.book.test_browser import FROM_DISK

FIRST = {
    "Figure 2.3": ("Figure", "Figure 2.3"),
    "fig. 2.3": ("Figure", "Figure 2.3"),
    "equation 2.3": ("Equation", "Equation 2.3"),
    "Eq. (2.3)": ("Equation", "Equation 2.3"),
    "Table 4.1": ("Table", "Table 4.1"),
    "exercise 1.3": ("Exercise", "Exercise 1.3"),
    "section 2.5": ("Section", "2.5 "),
    "chapter 3": ("Chapter", "3 "),
    "theta": ("Symbol", "θ"),
    "sigma": ("Symbol", "σ"),
    "bandwidth": ("Term", "Bandwidth"),
    "certificate": ("Term", "Certificate"),
    "effective number": ("Term", "Effective number"),
    "effective sample size": ("Section", "How far can a read be trusted?"),
    "SpatialMemory.read": ("Reference", "SpatialMemory.read"),
    "memory.recall": ("Reference", "Memory.recall"),
    "`read`": ("Reference", "read"),
    "ReadOptions": ("Reference", "ReadOptions"),
    "plot_scent_field": ("Reference", "plot_scent_field"),
    "coverage()": ("Reference", "coverage"),
    "read": ("Term", "Read"),
    "constructor": ("", "Finding things again"),  # a word that every object of JavaScript knows
    "What is one observation worth?": ("Section", "What is one observation worth?"),
    "where does the smell have a seam, and why": ("Section", "How wide should the kernel be?"),
    "how could an agent ever know which of all those observations may be forgotten": (
        "Section",
        "How small can it be?",
    ),
}


@FROM_DISK
def test_questions_find_their_answers(open_page):
    page = open_page("index.html")
    page.keyboard.press("/")
    field = page.get_by_label("Search the book")
    found = {}
    for question in FIRST:
        field.fill("")
        page.wait_for_function("!document.querySelector('.results a')")
        field.fill(question)
        first = page.locator(".results a").first
        first.wait_for()
        found[question] = (
            first.locator(".kind").inner_text(),
            first.locator(".what").inner_text(),
        )
    wrong = {
        question: found[question]
        for question, (kind, title) in FIRST.items()
        if kind not in found[question][0] or title not in found[question][1]
    }
    assert wrong == {}


@FROM_DISK
@pytest.mark.parametrize("question", ["Figure 2.3", "exercise 1.3", "theta"])
def test_a_result_leads_to_the_thing_itself(open_page, question):
    page = open_page("index.html")
    page.keyboard.press("/")
    page.keyboard.type(question)
    link = page.locator(".results a").first
    link.wait_for()
    place = link.get_attribute("href").partition("#")[2]
    link.click()
    page.wait_for_url(f"**#{place}")
    page.wait_for_function(
        """(id) => {
            const { top, bottom } = document.getElementById(id).getBoundingClientRect();
            return top < innerHeight && bottom > 0;
        }""",
        arg=place,
    )
