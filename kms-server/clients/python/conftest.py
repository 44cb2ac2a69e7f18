"""What the tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from clients import CLIENTS, Client
from server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

# The clients read these, and would leave this machine by a proxy or trust somebody else's certificates.
for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "ALIBABA_CLOUD_CA_BUNDLE"):
    os.environ.pop(name, None)
for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run one server for all tests that do not mind what the others left in it."""
    with serve(tmp_path_factory.mktemp("tls")) as running:
        yield running


@pytest.fixture
def fresh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server that nobody has used."""
    with serve(tmp_path_factory.mktemp("tls")) as running:
        yield running


@pytest.fixture(params=sorted(CLIENTS))
def kind(request: pytest.FixtureRequest) -> str:
    """Name each client in turn."""
    name: str = request.param
    return name


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Name each way to the server in turn."""
    name: str = request.param
    return name


@pytest.fixture
def client(server: Server, kind: str, scheme: str) -> Client:
    """Make each client, for each way to the server."""
    return CLIENTS[kind](server, scheme)
