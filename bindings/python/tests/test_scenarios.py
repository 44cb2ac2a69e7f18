"""Runs the scenario files, as every other surface does.

The language and the rules of comparison are in ``scenarios/README.md``; KMS_SCENARIOS may name another directory. A
file that breaks the grammar ends the run.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import kms

DIRECTORY = Path(os.environ.get("KMS_SCENARIOS", Path(__file__).resolve().parents[3] / "scenarios"))

OPEN = re.compile(r"@ (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (\d+)(?: (\{.*\}))?", re.ASCII)
ADVANCE = re.compile(r"\+ (\d+)", re.ASCII)
DUE = re.compile(r"\* (\{.*\})")
CALL = re.compile(r"([A-Za-z]+) (?:(\s*\{.*)|!(?: (.*))?)", re.ASCII | re.DOTALL)
ERROR = re.compile(r"error (\S+) (\d+)(?: (\S+))?", re.ASCII)
CAPTURE = re.compile(r"<([a-z][a-z0-9_]*|\*)>", re.ASCII)
REPLACE = re.compile(
    r"\$\$|%%"
    r"|\$(?P<name>[a-z][a-z0-9_]*)"
    r"|%repeat\((?P<text>[^,)\"\\]+),(?P<count>\d+)\)"
    r"|%wrap\((?P<key>[a-z][a-z0-9_]*),(?P<bytes>(?:[0-9a-f]{2})*)\)"
    r"|[$%]",
    re.ASCII,
)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


class MissingCaptureError(Exception):
    """A name that a failed step should have captured."""


def wrap(public_key: str, material: bytes) -> str:
    """Encrypt with RSAES-OAEP-SHA-256 under a SubjectPublicKeyInfo in Base64."""
    key = serialization.load_der_public_key(base64.b64decode(public_key, validate=True))
    assert isinstance(key, rsa.RSAPublicKey)
    sha256 = hashes.SHA256()
    wrapped = key.encrypt(material, padding.OAEP(padding.MGF1(sha256), sha256, label=None))
    return base64.b64encode(wrapped).decode()


class Scenario:
    """One file, while it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        self.sections = 0
        self.steps = 0
        self.failures: list[str] = []
        self.engine: kms.Engine | None = None
        self.captured: dict[str, str] = {}
        self.has_failed = False  # later steps may then lack a capture, which is not the file's mistake

    def stop(self, text: str) -> None:
        """Report a mistake in the file."""
        pytest.exit(f"{self.path}:{self.line}: {text}", returncode=2)

    def run(self) -> None:
        """Read and run the items."""
        lines = self.path.read_bytes().decode().removesuffix("\n").split("\n")
        at = 0
        try:
            while at < len(lines):
                line = lines[at]
                self.line = at + 1
                at += 1
                if line == "" or line.startswith("#"):
                    continue
                if line.startswith("@"):
                    self.open(line)
                elif self.engine is None:
                    self.stop("nothing is called before the first @")
                elif line.startswith("+"):
                    self.advance(self.engine, line)
                elif line.startswith("*"):
                    self.run_due(self.engine, line)
                else:
                    end = next((i for i in range(at - 1, len(lines)) if lines[i] in ("----", "")), len(lines))
                    if end == len(lines) or lines[end] == "":
                        self.stop("a step without ----")
                    after = next((i for i in range(end + 1, len(lines)) if lines[i] == ""), len(lines))
                    if after == end + 1:
                        self.stop("a step without an answer")
                    self.step(self.engine, "\n".join(lines[at - 1 : end]), "\n".join(lines[end + 1 : after]))
                    at = after
        finally:
            if self.engine is not None:
                self.engine.close()

    def open(self, item: str) -> None:
        """Open the engine of a section."""
        match = OPEN.fullmatch(item)
        if not match:
            self.stop("an engine is opened with `@ time seed [object]`")
            return
        if self.engine is not None:
            self.engine.close()
        self.engine = kms.open("memory:", manual_clock=match[1], seed=int(match[2]), **json.loads(match[3] or "{}"))
        self.captured = {}
        self.has_failed = False
        self.sections += 1

    def advance(self, engine: kms.Engine, item: str) -> None:
        """Move the clock."""
        match = ADVANCE.fullmatch(item)
        if match:
            engine.advance_clock(int(match[1]))
        else:
            self.stop("the clock is moved with `+ seconds`")

    def run_due(self, engine: kms.Engine, item: str) -> None:
        """Do what is due."""
        match = DUE.fullmatch(item)
        if not match:
            self.stop("what is due is done with `* {json}`")
            return
        self.steps += 1
        try:
            report = engine.run_due()
        except kms.KmsError as error:
            self.fail(f"run_due: {error}")
        else:
            if report != json.loads(match[1]):
                self.fail(f"the report differs\n    expected {match[1]}\n    got      {json.dumps(report)}")

    def fail(self, problem: str) -> None:
        """Remember that the engine did not do what is expected."""
        self.failures.append(f"{self.path.name}:{self.line}: {problem}")
        self.has_failed = True

    def known(self, name: str) -> str:
        """Return the text that was captured under a name."""
        if name not in self.captured:
            if not self.has_failed:
                self.stop(f"{name} was not captured in this section")
            raise MissingCaptureError(name)
        return self.captured[name]

    def replace(self, text: str) -> str:
        """Make the replacements."""

        def one(match: re.Match[str]) -> str:
            found = match[0]
            if match["name"]:
                return json.dumps(self.known(match["name"]), ensure_ascii=False)[1:-1]
            if match["text"]:
                return match["text"] * int(match["count"])
            if match["key"]:
                return wrap(self.known(match["key"]), bytes.fromhex(match["bytes"]))
            if len(found) == 1:
                self.stop(f"a lone {found}")
            return found[0]

        return REPLACE.sub(one, text)

    def step(self, engine: kms.Engine, item: str, answer: str) -> None:
        """Run one step and remember how it failed."""
        call = CALL.fullmatch(item)
        if not call:
            self.stop("a step begins with `Action {` or `Action !`")
            return
        self.steps += 1
        expected_error = ERROR.fullmatch(answer)
        if answer.startswith("error ") and not expected_error:
            self.stop(f"a malformed error answer: {answer}")
        if not call[2] and not expected_error:
            self.stop("a raw step expects an error")
        try:
            params = self.replace(call[2]) if call[2] else call[3] or ""
            try:
                reply = engine.call_json(call[1], params)
            except kms.KmsError as error:
                problem = self.compare_error(expected_error, error)
            else:
                problem = f"expected {answer}, got {reply}" if expected_error else self.compare(answer, reply)
        except MissingCaptureError:
            problem = "not run or not compared: a step before it failed"
        if problem:
            self.fail(problem)

    @staticmethod
    def compare_error(expected: re.Match[str] | None, error: kms.KmsError) -> str | None:
        """Say what is wrong with an error."""
        if expected is None:
            return f"expected success, got {error.http_status} {error}"
        if (error.code, str(error.http_status)) != (expected[1], expected[2]):
            return f"expected {expected[0]}, got {error.http_status} {error}"
        if expected[3] and f'"{expected[3]}"' not in error.message:
            return f'the message should name "{expected[3]}": {error.message}'
        if not UUID.fullmatch(error.request_id):
            return f"the request id of the error is no UUID: {error.request_id!r}"
        return None

    def compare(self, answer: str, reply: str) -> str | None:
        """Say what is wrong with a reply."""
        # Captures come first and do not depend on replacements, which may depend on them.
        pattern = json.loads(answer)
        if not isinstance(pattern, dict):
            self.stop("the answer is not a JSON object")
        actual = json.loads(reply)
        if not isinstance(actual, dict) or not UUID.fullmatch(str(actual.pop("RequestId", ""))):
            return f"no object with a RequestId: {reply}"
        self.capture(pattern, actual)
        replaced = self.replace(answer)
        where = self.difference("", json.loads(replaced), actual)
        return where and f"the reply differs at {where}\n    expected {replaced}\n    got      {reply}"

    def capture(self, expected: Any, actual: Any) -> None:
        """Remember what the expected reply wants remembered."""
        if isinstance(expected, dict) and isinstance(actual, dict):
            for name, value in expected.items():
                self.capture(value, actual.get(name))
        elif isinstance(expected, list) and isinstance(actual, list):
            for value, other in zip(expected, actual):
                self.capture(value, other)
        elif isinstance(expected, str) and isinstance(actual, str):
            match = CAPTURE.fullmatch(expected)
            if match and match[1] != "*":
                self.captured.setdefault(match[1], actual)

    def difference(self, path: str, expected: Any, actual: Any) -> str | None:
        """Return the path of the first difference."""
        if isinstance(expected, dict) and isinstance(actual, dict):
            more = expected.get("...") == "..."
            for name, value in expected.items():
                if more and name == "...":
                    continue
                if name not in actual:
                    return f"{path}.{name}: missing"
                where = self.difference(f"{path}.{name}", value, actual[name])
                if where:
                    return where
            unexpected = sorted(actual.keys() - expected.keys())
            return f"{path}.{unexpected[0]}: unexpected" if unexpected and not more else None
        if isinstance(expected, list) and isinstance(actual, list):
            if len(expected) != len(actual):
                return f"{path}: length"
            for i, (value, other) in enumerate(zip(expected, actual)):
                where = self.difference(f"{path}[{i}]", value, other)
                if where:
                    return where
            return None
        if isinstance(expected, str) and isinstance(actual, str):
            match = CAPTURE.fullmatch(expected)
            wanted = expected if match is None else actual if match[1] == "*" else self.captured.get(match[1])
            return None if wanted == actual else f"{path}: value"
        # In Python True == 1; in JSON it is not.
        same = isinstance(expected, bool) == isinstance(actual, bool) and expected == actual
        return None if same else f"{path}: value"


def test_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    paths = sorted(DIRECTORY.glob("*.txt"))
    assert paths, f"{DIRECTORY}: no scenario files"
    scenarios = [Scenario(path) for path in paths]
    for scenario in scenarios:
        scenario.run()
    sections = sum(scenario.sections for scenario in scenarios)
    steps = sum(scenario.steps for scenario in scenarios)
    failures = [failure for scenario in scenarios for failure in scenario.failures]
    with capsys.disabled():
        print(f"\n{len(paths)} files, {sections} sections, {steps} steps")
        print(f"{steps - len(failures)} passed, {len(failures)} failed")
    assert not failures, "\n".join(["", *failures])
