"""What the server refuses before it looks at the action, as each SDK's own exception tells it.

The refusals of the actions themselves are in the walk.
"""

from __future__ import annotations

import re
import socket
import ssl
import uuid
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException
from Tea.exceptions import UnretryableException

from clients import CLIENTS, Client, NewSdk, OldSdk, Refused

if TYPE_CHECKING:
    from server import Server


def minutes_away(minutes: int) -> str:
    """Write the time that is so many minutes from now, as clients send it."""
    return (datetime.now(timezone.utc) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("settings", "code", "status"),
    [
        ({"access_key_secret": "wrong"}, "IncompleteSignature", 400),
        ({"access_key_id": "LTAI0000000000000000"}, "InvalidAccessKeyId.NotFound", 404),
        ({"time": minutes_away(-20)}, "IllegalTimestamp", 400),
        ({"time": minutes_away(20)}, "IllegalTimestamp", 400),
        ({"time": "yesterday"}, "IllegalTimestamp", 400),
    ],
    ids=["secret", "id", "past", "future", "no-time"],
)
def test_who_and_when(server: Server, kind: str, scheme: str, settings: dict[str, str], code: str, status: int) -> None:
    with pytest.raises(Refused) as caught:
        CLIENTS[kind](server, scheme, **settings).call("DescribeRegions", {})
    assert (caught.value.code, caught.value.status) == (code, status)
    assert str(uuid.UUID(caught.value.request_id)) == caught.value.request_id


@pytest.mark.parametrize("minutes", [-10, 10])
def test_clocks_may_differ_a_little(server: Server, kind: str, minutes: int) -> None:
    CLIENTS[kind](server, "http", time=minutes_away(minutes)).call("DescribeRegions", {})


def test_replay(server: Server, kind: str, scheme: str) -> None:
    """A nonce is good for one call, also when all else differs."""
    client = CLIENTS[kind](server, scheme, nonce=uuid.uuid4().hex)
    client.call("DescribeRegions", {})
    for action in ("DescribeRegions", "ListKeys"):
        with pytest.raises(Refused) as caught:
            client.call(action, {})
        assert (caught.value.code, caught.value.status) == ("SignatureNonceUsed", 400)


@pytest.mark.parametrize(
    ("action", "version", "code", "parameter"),
    [
        ("Frobnicate", "2016-01-20", "UnsupportedOperation", ""),
        ("describeRegions", "2016-01-20", "UnsupportedOperation", ""),
        ("DescribeRegions", "2015-01-01", "InvalidParameter", '"Version"'),
        ("DescribeKey", "2016-01-20", "MissingParameter", '"KeyId"'),
    ],
)
def test_by_name(client: Client, action: str, version: str, code: str, parameter: str) -> None:
    with pytest.raises(Refused) as caught:
        client.call_by_name(action, version)
    assert (caught.value.code, caught.value.status) == (code, 400)
    # With ACS3 the version is in a header, and the message names `Version` all the same.
    assert re.search(parameter, caught.value.message)


def test_a_call_by_name(client: Client) -> None:
    assert client.call_by_name("DescribeAccountKmsStatus")["AccountStatus"] == "Enabled"


def test_the_certificate_counts(fresh_server: Server) -> None:
    """Without the CA of the server no SDK talks to it."""
    old = OldSdk(fresh_server, "https")
    old.client.set_verify(None)
    old.client.set_auto_retry(False)
    with pytest.raises(ClientException, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
        old.call("DescribeRegions", {})
    new = NewSdk(fresh_server, "https")
    new.client._ca = None
    with pytest.raises(UnretryableException, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
        new.call("DescribeRegions", {})


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_certificates_pass_the_strict_check(server: Server, name: str) -> None:
    """Newer Pythons check certificates with all that RFC 5280 asks for; here every Python does."""
    context = ssl.create_default_context(cafile=server.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    port = int(server.address("https").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain, server_hostname=name):
        pass
