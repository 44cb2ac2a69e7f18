"""What the tests share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# The tests run on the source tree, whether or not the package is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import kms

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def engine() -> Iterator[kms.Engine]:
    """Open an engine in memory."""
    with kms.open("memory:") as opened:
        yield opened


@pytest.fixture
def key(engine: kms.Engine) -> str:
    """Create a key."""
    key_id: str = engine.call("CreateKey")["KeyMetadata"]["KeyId"]
    return key_id
