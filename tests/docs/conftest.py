"""The site, as `make docs` has built it."""

from pathlib import Path

import pytest

BUILT = Path(__file__).parents[2] / "build" / "docs"


@pytest.fixture(scope="session")
def site():
    if not (BUILT / "index.html").exists():
        pytest.skip("the site is not built: make docs")
    return BUILT
