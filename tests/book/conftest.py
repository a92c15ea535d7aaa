"""Fixtures for what is built from the book."""

import os

import pytest

from tools import settings


def unavailable(reason):
    """Skip a test where something is missing, but never let it pass unnoticed in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def built_site():
    """The website, as ``make build`` leaves it."""
    if not (settings.SITE / "index.html").exists():
        unavailable("the book is not built: run make build")
    return settings.SITE
