"""Batches: each item as by itself, and what is wrong with all of them told once."""

from __future__ import annotations

import pickle
from typing import Any, Callable

import pytest

import kms


def outcome(run: Callable[..., Any], *arguments: Any) -> tuple[Any, ...]:
    """Return what a call came to, but for what is random: the length of bytes, or the failure."""
    try:
        value = run(*arguments)
    except kms.KmsError as error:
        return type(error), error.code, error.message, error.http_status, error.status, len(error.request_id)
    return "ok", len(value) if isinstance(value, bytes) else value


def each(batch: kms.Batch[Any]) -> list[tuple[Any, ...]]:
    return [outcome(batch.__getitem__, i) for i in range(len(batch))]


PLAINTEXTS: list[Any] = [
    b"one",
    b"",
    bytes(6145),
    bytearray(b"\7" * 6144),
    memoryview(b"012345")[::2],
    memoryview(b"6"),
]


@pytest.mark.parametrize("how", ["none", "one for all", "one for each", "none for each"])
def test_messages(engine: kms.Engine, key: str, how: str) -> None:
    count = len(PLAINTEXTS)
    shared = {"tenant": "<42>", "语言": "中文"} if how == "one for all" else None
    own: list[Any] | None = None
    if how == "one for each":
        own = [{"id": str(i)} if i % 2 == 0 else {} for i in range(count)]
    elif how == "none for each":
        own = [None] * count
    context_of = own or [shared] * count

    encrypted = engine.encrypt_batch(key, PLAINTEXTS, shared, contexts=own)
    assert len(encrypted) == count
    assert each(encrypted) == [outcome(engine.encrypt, key, *item) for item in zip(PLAINTEXTS, context_of)]
    assert list(encrypted.errors) == [2]
    blobs = [b"" if i in encrypted.errors else encrypted[i] for i in range(count)]
    for blob, plaintext, context in zip(blobs, PLAINTEXTS, context_of):
        assert not blob or engine.decrypt(blob, context) == bytes(plaintext)

    decrypted = engine.decrypt_batch(iter(blobs), shared, contexts=own)
    assert each(decrypted) == [outcome(engine.decrypt, *item) for item in zip(blobs, context_of)]
    assert [decrypted[i] for i in (0, 1, 3, 4, 5)] == [bytes(PLAINTEXTS[i]) for i in (0, 1, 3, 4, 5)]


@pytest.mark.parametrize(
    ("spec", "algorithm"), [("RSA_2048", "RSA_PSS_SHA_256"), ("EC_P256", "ECDSA_SHA_256"), ("EC_SM2", "SM2DSA")]
)
def test_signatures(engine: kms.Engine, spec: str, algorithm: Any) -> None:
    created = engine.call("CreateKey", KeySpec=spec, KeyUsage="SIGN/VERIFY")["KeyMetadata"]
    key, version = created["KeyId"], created["PrimaryKeyVersion"]
    digests: list[Any] = [b"\1" * 32, bytes(31), bytearray(b"\3" * 32)]
    signed = engine.sign_batch(key, algorithm, digests, key_version_id=version)
    assert list(signed.errors) == [1]
    assert each(signed)[1] == outcome(engine.sign, key, algorithm, digests[1])
    for i in (0, 2):
        assert engine.verify(key, algorithm, digests[i], signed[i])
    verified = engine.verify_batch(key, algorithm, digests, [signed[0]] * 3, key_version_id=version)
    assert each(verified) == [outcome(engine.verify, key, algorithm, digest, signed[0]) for digest in digests]
    assert verified[0] is True
    assert verified[2] is False


def test_a_failure_is_not_taken_for_a_value(engine: kms.Engine, key: str) -> None:
    blobs = engine.encrypt_batch(key, [b"a", b"b"])
    assert list(blobs) == blobs[:] == [blobs[0], blobs[-1]]
    assert not blobs.errors
    mixed = engine.decrypt_batch([blobs[0], b"?", blobs[1]])
    assert (mixed[0], mixed[2], mixed[-1], mixed[0:1]) == (b"a", b"b", b"b", [b"a"])
    assert repr(mixed) == "<kms.Batch of 3, 1 failed>"
    for touch in (lambda: mixed[1], lambda: mixed[-2], lambda: mixed[:2], lambda: list(mixed), lambda: all(mixed)):
        with pytest.raises(kms.InvalidParameterError, match="CiphertextBlob"):
            touch()
    with pytest.raises(IndexError):
        mixed[3]
    assert pickle.loads(pickle.dumps(mixed.errors[1])).code == "InvalidParameter"

    engine.call("DisableKey", KeyId=key)
    refused = engine.encrypt_batch(key, [b"a", b"b"])
    assert [type(error) for error in refused.errors.values()] == [kms.DisabledError] * 2


def test_as_a_whole(engine: kms.Engine, key: str) -> None:
    assert list(engine.encrypt_batch(key, [])) == []
    assert list(engine.decrypt_batch([])) == []
    assert list(engine.sign_batch(key, "SM2DSA", [])) == []
    assert list(engine.verify_batch(key, "SM2DSA", [], [])) == []
    with pytest.raises(kms.MissingParameterError, match="KeyId"):
        engine.encrypt_batch("", [b"a"])
    with pytest.raises(kms.InvalidParameterError, match="EncryptionContext"):
        engine.encrypt_batch(key, [b"a"], {"": "x" * 9000})
    unknown: Any = "ROT13"
    with pytest.raises(kms.InvalidParameterError, match="Algorithm"):
        engine.sign_batch(key, unknown, [b"a"])
    with pytest.raises(ValueError, match="2 contexts for 1 items"):
        engine.encrypt_batch(key, [b"a"], contexts=[None, None])
    with pytest.raises(ValueError, match="exclude"):
        engine.decrypt_batch([b"a"], {"a": "b"}, contexts=[None])
    with pytest.raises(ValueError, match="2 signatures for 1 digests"):
        engine.verify_batch(key, "SM2DSA", [b"a"], [b"a", b"a"])
    text: Any = "text"
    with pytest.raises(TypeError):
        engine.encrypt_batch(key, text)
    with pytest.raises(TypeError):
        engine.encrypt_batch(key, b"one plaintext where many are wanted")  # type: ignore[arg-type]


def test_after_close() -> None:
    engine = kms.open("memory:")
    engine.close()
    for run in (
        lambda: engine.encrypt_batch("k", [b"a"]),
        lambda: engine.decrypt_batch([b"a"]),
        lambda: engine.sign_batch("k", "SM2DSA", [b"a"]),
        lambda: engine.verify_batch("k", "SM2DSA", [b"a"], [b"a"]),
    ):
        with pytest.raises(kms.ClosedError):
            run()
