"""Letters in figures are large enough to be read, on a phone and on a desk."""

import pytest

from tests.book.conftest import PHONE
from tests.book.test_front import BY_CHAPTER, slug
from tools import settings
from tree_world.plotting.style import LEAST_SIZE

FROM_DISK = pytest.mark.parametrize("address", ["from disk"], indirect=True)

# Dots of the screen for each dot of the picture that is shown, whichever it is.
SCALES = """() => [...document.querySelectorAll("main img.plot")]
    .filter((image) => image.checkVisibility())
    .map((image) => {
        const narrow = image.parentElement.querySelector("source");
        const shown = narrow && matchMedia(narrow.media).matches ? narrow : image;
        return image.clientWidth / Number(shown.getAttribute("width"));
    })"""


@FROM_DISK
@BY_CHAPTER
def test_letters_can_be_read(open_page, source):
    page = open_page(f"{slug(source)}/index.html", viewport=PHONE)
    letter = LEAST_SIZE / 72 * settings.SITE_DPI
    for width, least in ((PHONE["width"], 9), (1440, 11)):
        page.set_viewport_size({"width": width, "height": 900})
        scales = page.evaluate(SCALES)
        assert scales
        assert min(scales) * letter >= least, width
