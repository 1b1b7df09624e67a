"""Load a page in headless Chromium and read it once its scripts have run."""

import os
import shutil
import subprocess
import tempfile

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Stop Chromium's own network requests.
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
--disable-background-networking --disable-component-update --virtual-time-budget=10000
--allow-file-access-from-files"""


def content(address):
    """Return a page as HTML after its scripts. Without a browser, skip the test, except in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and not os.environ.get("CI"):
        pytest.skip("no Chromium is installed")
    with tempfile.TemporaryDirectory() as profile:
        command = [found, *FLAGS.split(), f"--user-data-dir={profile}", "--dump-dom", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout
