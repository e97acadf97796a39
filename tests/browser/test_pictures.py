"""Pictures of the page, desktop and phone, light and dark: into build/screenshots, to be looked at."""

from pathlib import Path

import pytest

from local.session import Session
from tests.browser.conftest import Look

SIZES = {"desktop": {"width": 1320, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits(size: str, scheme: str, look: Look, session: Session, screenshots: Path) -> None:
    seen = look(
        session.served.key, viewport=SIZES[size], color_scheme=scheme, device_scale_factor=2 if size == "phone" else 1
    )
    page = seen.page
    page.locator("svg.reliability").wait_for()
    page.locator("#model dl").wait_for()
    page.locator("#record-told:not(:empty)").wait_for()

    page.screenshot(path=screenshots / f"{size}-{scheme}.png", full_page=True)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than its window"
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
