"""The examples of `docs/http.md`, taken out of it and run as they stand, each by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from server import Server

PAGE = (Path(__file__).parents[3] / "docs" / "http.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def run(server: Server, *command: str) -> str:
    """Run an example where the page says it runs, and return what it prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "ALIBABA_CLOUD_ACCESS_KEY_ID": server.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": server.access_key_secret,
        "KMS_ENDPOINT": server.address("https"),
        "KMS_HTTP_ENDPOINT": server.address("http"),
        "KMS_CA": server.ca,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("number", "prints"),
    [
        (0, r"a secret\n404 Forbidden\.AliasNotFound\n"),
        (1, r"Enabled\n"),
        (2, r"[A-Za-z0-9+/]+=*\n"),
        (3, r"32 bytes\n"),
    ],
)
def test_python(server: Server, number: int, prints: str) -> None:
    assert re.fullmatch(prints, run(server, sys.executable, "-c", blocks("python")[number]))


def test_shell(server: Server) -> None:
    (block,) = blocks("sh")
    assert "<KMS><Regions><Region><RegionId>" in run(server, "sh", "-c", block)


def test_what_is_installed_is_what_is_tested() -> None:
    """The page and the tests name the same versions."""
    lines = re.findall(r"^    python -m pip install (.+)$", PAGE, re.M)
    assert len(lines) == 3
    pinned = (Path(__file__).parent / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for package in " ".join(lines).split():
        assert package in pinned


def test_no_block_is_left_out() -> None:
    """Those in js are run by the tests in Node.js."""
    assert len(blocks("python")) == 4
    assert set(re.findall(r"^```(\w+)$", PAGE, re.M)) == {"js", "python", "sh", "text"}
