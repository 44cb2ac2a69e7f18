"""Reads `walk.json`, makes its calls, and compares what comes back.

How parameters are filled in and answers compared is that of the scenarios; `scenarios/README.md` has it. What the walk
is, and that other languages walk it too, is in the README one folder up.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from clients import Client, Json, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: Called after each step, with the action, its parameters, and what came back.
    Watch = Callable[[str, Json, Json | Refused], None]

CAPTURE = re.compile(r"<([a-z][a-z0-9_]*|\*)>", re.ASCII)
REPLACE = re.compile(
    r"\$\$|%%"
    r"|\$(?P<name>[a-z][a-z0-9_]*)"
    r"|%repeat\((?P<text>[^,)]+),(?P<count>\d+)\)"
    r"|%wrap\((?P<key>[a-z][a-z0-9_]*),(?P<bytes>[0-9a-f]+)\)",
    re.ASCII,
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def steps() -> Iterator[Json]:
    """Read the steps."""
    for group in json.loads((Path(__file__).parents[1] / "walk.json").read_text(encoding="utf-8")):
        yield from group["steps"]


def walk(client: Client, watch: Watch | None = None) -> set[str]:
    """Take all steps, and return the names of the actions that were called."""
    captured: dict[str, str] = {}
    called = set()
    for step in steps():
        action, params = step["call"], replace(step["params"], captured)
        result: Json | Refused
        try:
            result = client.call(action, params)
        except Refused as refused:
            result = refused
        if isinstance(result, Refused):
            assert "error" in step, f"{action} {params}: {result}"
            compare_error(step["error"], result)
        else:
            assert "answer" in step, f"{action} {params}: {step['error']} expected, {result} came"
            answer = dict(result)
            assert UUID.fullmatch(answer.pop("RequestId", "")), f"{action}: no RequestId in {result}"
            capture(step["answer"], answer, captured)
            compare(action, replace(step["answer"], captured), answer, captured)
        called.add(action)
        if watch:
            watch(action, params, result)
    return called


def compare_error(expected: list[Any], refused: Refused) -> None:
    """Compare code, status, and the parameter that the message names, if one is expected."""
    code, status, *parameter = expected
    assert (refused.code, refused.status) == (code, status), refused
    assert UUID.fullmatch(refused.request_id)
    for name in parameter:
        assert f'"{name}"' in refused.message


def replace(value: Any, captured: dict[str, str]) -> Any:
    """Make the replacements in all texts."""

    def one(match: re.Match[str]) -> str:
        if match["name"]:
            return captured[match["name"]]
        if match["text"]:
            return match["text"] * int(match["count"])
        if match["key"]:
            return wrap(captured[match["key"]], bytes.fromhex(match["bytes"]))
        return match[0][0]

    if isinstance(value, dict):
        return {name: replace(member, captured) for name, member in value.items()}
    if isinstance(value, list):
        return [replace(item, captured) for item in value]
    return REPLACE.sub(one, value) if isinstance(value, str) else value


def wrap(public_key: str, material: bytes) -> str:
    """Encrypt key material as an import wants it."""
    key = serialization.load_der_public_key(base64.b64decode(public_key))
    assert isinstance(key, rsa.RSAPublicKey)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    return base64.b64encode(key.encrypt(material, oaep)).decode()


def capture(expected: Any, actual: Any, captured: dict[str, str]) -> None:
    """Remember what the expected answer wants remembered."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name, member in expected.items():
            capture(member, actual.get(name), captured)
    elif isinstance(expected, list) and isinstance(actual, list):
        for item, other in zip(expected, actual, strict=False):
            capture(item, other, captured)
    elif isinstance(expected, str) and isinstance(actual, str):
        match = CAPTURE.fullmatch(expected)
        if match and match[1] != "*":
            captured.setdefault(match[1], actual)


def compare(path: str, expected: Any, actual: Any, captured: dict[str, str]) -> None:
    """Compare an answer with what is expected of it, down to the type of each member."""
    assert type(expected) is type(actual), f"{path}: {expected!r} expected, {actual!r} came"
    if isinstance(expected, dict):
        names = expected.keys() - {"..."}
        missing, more = names - actual.keys(), actual.keys() - names
        assert not missing, f"{path}: {missing} missing"
        assert not more or "..." in expected, f"{path}: {more} unexpected"
        for name in names:
            compare(f"{path}.{name}", expected[name], actual[name], captured)
    elif isinstance(expected, list):
        assert len(expected) == len(actual), f"{path}: length"
        for i, (item, other) in enumerate(zip(expected, actual, strict=True)):
            compare(f"{path}[{i}]", item, other, captured)
    elif isinstance(expected, str) and (match := CAPTURE.fullmatch(expected)):
        wanted = actual if match[1] == "*" else captured[match[1]]
        assert wanted == actual, f"{path}: {wanted!r} expected, {actual!r} came"
    else:
        assert expected == actual, f"{path}: {expected!r} expected, {actual!r} came"
