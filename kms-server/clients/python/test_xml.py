"""XML says what JSON says.

The walk is taken with the old SDK, the only one here that can ask for XML. Each call that may be made again, because it
only reads or was refused, is made again with Format=XML, and the two answers are compared: the same members, lists
without a wrapper of their own, numbers and booleans as their text.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from clients import Json, OldSdk, Refused
from walk import walk

if TYPE_CHECKING:
    from server import Server

#: What gives the same answer when it is asked again.
READS = {
    "AsymmetricDecrypt",
    "AsymmetricVerify",
    "Decrypt",
    "DescribeAccountKmsStatus",
    "DescribeKey",
    "DescribeKeyVersion",
    "DescribeRegions",
    "GetPublicKey",
    "ListAliases",
    "ListAliasesByKeyId",
    "ListKeyVersions",
    "ListKeys",
    "ListResourceTags",
}


def in_format(client: OldSdk, form: str, action: str, params: Json) -> tuple[int, str, bytes]:
    """Call an action in a format; give back status, content type and body."""
    request = client.request(action, params)
    request.set_accept_format(form)
    with warnings.catch_warnings():
        # The SDK would rather have its user see no XML at all.
        warnings.simplefilter("ignore", DeprecationWarning)
        status, headers, body = client.client.get_response(request)
    return status, headers["Content-Type"], body


def parse(body: bytes) -> Json:
    """Turn the XML of an answer into a tree of texts, without its RequestId."""
    root = ElementTree.fromstring(body)
    assert root.tag == "KMS"
    tree: Json = texts(root)
    assert tree.pop("RequestId")
    return tree


def texts(element: ElementTree.Element) -> Any:
    """Return an element's text, or its children by name; several of one name are a list."""
    assert not element.attrib
    if not len(element):
        return element.text or ""
    children: Json = {}
    for child in element:
        children.setdefault(child.tag, []).append(texts(child))
    return {name: found[0] if len(found) == 1 else found for name, found in children.items()}


def as_texts(value: Any) -> Any:
    """Turn JSON into the tree of texts that its XML must give."""
    if isinstance(value, dict):
        members = {name: as_texts(member) for name, member in value.items()}
        # A list of none leaves its element empty, a list of one looks like what it holds.
        kept = {name: member for name, member in members.items() if member != []}
        flat = {
            name: member[0] if isinstance(member, list) and len(member) == 1 else member
            for name, member in kept.items()
        }
        return flat or ""
    if isinstance(value, list):
        return [as_texts(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def test_walk(fresh_server: Server) -> None:
    client = OldSdk(fresh_server, "http")
    seen = set()
    refused = 0

    def again(action: str, params: Json, result: Json | Refused) -> None:
        nonlocal refused
        if isinstance(result, Refused):
            status, content_type, body = in_format(client, "XML", action, params)
            assert status == result.status
            expected = {"HttpStatus": str(status), "Code": result.code, "Message": result.message}
            refused += 1
        elif action in READS:
            status, content_type, body = in_format(client, "XML", action, params)
            assert status == 200, body
            expected = as_texts({name: member for name, member in result.items() if name != "RequestId"}) or {}
            seen.add(action)
        else:
            return
        assert content_type.startswith("text/xml")
        assert parse(body) == expected

    walk(client, again)
    assert seen == READS
    assert refused > 30


def test_texts_that_are_hard_on_xml(server: Server) -> None:
    text = "\r\n\t <a b='c'>&amp;&#65;</a> ]]> <!-- \" 语言 🔑 \n"
    client = OldSdk(server, "http")
    key = client.call("CreateKey", {"Description": text})["KeyMetadata"]["KeyId"]
    _, _, body = in_format(client, "XML", "DescribeKey", {"KeyId": key})
    assert parse(body)["KeyMetadata"]["Description"] == text


@pytest.mark.parametrize("form", ["XML", "xml", "Xml"])
def test_xml_in_any_case(server: Server, form: str) -> None:
    status, content_type, body = in_format(OldSdk(server, "http"), form, "DescribeAccountKmsStatus", {})
    assert (status, parse(body)) == (200, {"AccountStatus": "Enabled"})
    assert content_type.startswith("text/xml")


def test_other_formats(server: Server) -> None:
    """What is no format is refused in JSON."""
    status, content_type, body = in_format(OldSdk(server, "http"), "YAML", "DescribeAccountKmsStatus", {})
    assert (status, b'"Code":"InvalidParameter"' in body) == (400, True)
    assert content_type.startswith("application/json")
