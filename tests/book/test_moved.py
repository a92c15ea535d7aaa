"""Who follows an old address is led to where a page or a place is now."""

import re

import pytest

from tests.book.conftest import DESK
from tools import build, settings
from tools.checks import check_site


@pytest.fixture
def follow(browser, specimen):
    """Follow an address of the specimen: the address, with its place, at which one ends."""
    context = browser.new_context(viewport=DESK)
    page = context.new_page()

    def to(path):
        page.goto("about:blank")
        page.goto((specimen / "index.html").as_uri().replace("index.html", path))
        page.wait_for_selector("main:not(.error)")
        page.wait_for_load_state("load")
        return page.url.removeprefix(specimen.as_uri() + "/")

    yield to
    context.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("old/cells/index.html", "cells/index.html"),
        ("old/cells/index.html#fig-line", "cells/index.html#fig-line"),
        ("old/cells/index.html#not-any-more", "cells/index.html"),
        ("old/cells/index.html#sec-were", "last/index.html#tab-long"),
        ("old/cells/index.html#%E0", "cells/index.html"),
        ("gone/index.html", "index.html#sec-lists"),
        ("gone/index.html#sec-notes", "index.html#sec-lists"),
        ("index.html#sec-went", "cells/index.html#fig-line"),
        ("index.html#sec-never", "index.html#sec-never"),
        ("index.html#sec-lists", "index.html#sec-lists"),
        ("index.html#%E0", "index.html#%E0"),
    ],
)
def test_an_old_address_leads_to_the_new_one(follow, old, new):
    assert follow(old) == new


def test_it_does_so_without_scripts(browser, specimen):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((specimen / "old/cells/index.html").as_uri())
    page.wait_for_url((specimen / "cells/index.html").as_uri())
    context.close()
    text = (specimen / "old/cells/index.html").read_text()
    assert '<a href="../../cells/index.html">Cells</a>' in text


def test_a_page_is_not_left_behind_in_the_history(browser, specimen):
    page = browser.new_page()
    page.goto((specimen / "last/index.html").as_uri())
    page.goto((specimen / "old/cells/index.html").as_uri())
    page.wait_for_url((specimen / "cells/index.html").as_uri())
    page.go_back()
    page.wait_for_url((specimen / "last/index.html").as_uri())
    page.close()


def test_lines_that_lead_nowhere_stop_the_build_and_all_are_told(small_project):
    folder, _ = small_project
    complaints = {
        "old: new": "there is no page new",
        "older: index#gone": "there is no gone on the page index",
        "index: index": "there is a page index",
        "index#one: index": "there is still a one on the page index",
        "lost#place: index": "there is no page lost, and no line says where it went",
    }
    (folder / "chapter.md").write_text("# One\n\n(one)=\n## Two\n\nWords.\n")
    right = ["before: index", "before#place: index#one", "index#other: index#one"]
    (folder / "moved.yml").write_text("\n".join([*complaints, *right]))
    with pytest.raises(build.BuildError) as raised:
        build.run_engine()
    told = re.findall(r'moved\.yml, "(.*)": (.*)', str(raised.value))
    assert dict(told) == complaints


@pytest.mark.parametrize("table", ["- a list", "old: 1", "old: a b", "a: [b", "old: https://x.org"])
def test_a_table_that_is_none_is_named(small_project, table):
    folder, _ = small_project
    (folder / "moved.yml").write_text(table)
    with pytest.raises(ValueError, match=r"moved\.yml"):
        settings.moved()


def test_the_check_misses_a_page_that_should_lead_on(specimen, tmp_path):
    (finding,) = check_site.check_site(tmp_path, ["gone"])
    assert "the page is missing" in finding.fault
    text = (specimen / "gone/index.html").read_text()
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/index.html").write_text(text)
    faults = [finding.place for finding in check_site.check_site(tmp_path, ["gone"])]
    assert faults.count("../index.html#sec-lists") == 2  # the link, and where the page leads to


def test_nothing_of_the_book_leads_nowhere():
    assert isinstance(settings.moved(), dict)
