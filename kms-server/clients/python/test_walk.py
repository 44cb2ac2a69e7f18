"""Every action that stands, driven by every SDK over HTTP and HTTPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients import CLIENTS
from server import standing_actions
from walk import steps, walk

if TYPE_CHECKING:
    from server import Server


def test_no_action_is_forgotten() -> None:
    """An action that has come must be in the walk."""
    assert {step["call"] for step in steps()} == standing_actions()


def test_walk(fresh_server: Server, kind: str, scheme: str) -> None:
    assert walk(CLIENTS[kind](fresh_server, scheme)) == standing_actions()
