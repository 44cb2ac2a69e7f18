"""Starts and stops `kms serve --dev`."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What the server prints before `Ready.`, and the field of :class:`Server` that it fills.
PREAMBLE = {
    "AccessKeyId": "access_key_id",
    "AccessKeySecret": "access_key_secret",
    "CA certificate": "ca",
    "HTTP": "http",
    "HTTPS": "https",
}


def binary() -> str:
    """Return the path of the `kms` command."""
    path = os.environ.get("KMS_BIN")
    assert path, "KMS_BIN does not name the kms command"
    return path


def standing_actions() -> set[str]:
    """Return the names of the actions that the server has."""
    done = subprocess.run([binary(), "actions"], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@dataclass(frozen=True)
class Server:
    """A running server: where it listens, and the AccessKey that it was started with."""

    access_key_id: str
    access_key_secret: str
    ca: str
    http: str
    https: str

    def address(self, scheme: str) -> str:
        """Return `host:port` for a scheme."""
        return {"http": self.http, "https": self.https}[scheme].split("://", 1)[1]


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Run a server with an empty store; it must stop when it is asked to, and say that all went well."""
    arguments = ["serve", "--dev", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--tls-dir", str(folder)]
    with subprocess.Popen([binary(), *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = {}
            for line in process.stdout:
                if line == "Ready.\n":
                    break
                name, _, value = line.rstrip("\n").partition(": ")
                found[PREAMBLE[name]] = value
            yield Server(**found)
        finally:
            process.terminate()
            try:
                status = process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert status == 0
