"""Asymmetric keys, against ``cryptography`` wherever it knows the algorithm."""

from __future__ import annotations

import copy
import gc
import hashlib
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any, Callable, get_args

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

import kms
from kms import _digest, _native

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGN = "SIGN/VERIFY"
DECRYPT = "ENCRYPT/DECRYPT"
MESSAGE = b"a message"

SIGNERS: list[tuple[str, kms.SigningAlgorithm]] = [
    ("RSA_2048", "RSA_PSS_SHA_256"),
    ("RSA_3072", "RSA_PKCS1_SHA_256"),
    ("EC_P256", "ECDSA_SHA_256"),
    ("EC_P256K", "ECDSA_SHA_256"),
    ("EC_SM2", "SM2DSA"),
]
ENCRYPTERS: list[tuple[str, kms.EncryptionAlgorithm, int]] = [
    ("RSA_2048", "RSAES_OAEP_SHA_256", 190),
    ("RSA_2048", "RSAES_OAEP_SHA_1", 214),
    ("RSA_3072", "RSAES_OAEP_SHA_256", 318),
    ("EC_SM2", "SM2PKE", 6047),
]


def create(engine: kms.Engine, spec: str, usage: str) -> str:
    key_id: str = engine.call("CreateKey", KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
    return key_id


def newest_version(engine: kms.Engine, key: str) -> str:
    version: str = engine.call("ListKeyVersions", KeyId=key)["KeyVersions"]["KeyVersion"][0]["KeyVersionId"]
    return version


@pytest.fixture(scope="module")
def shared() -> Iterator[kms.Engine]:
    """Open one engine for many tests: RSA keys take their time."""
    with kms.open("memory:") as opened:
        yield opened


@pytest.fixture(scope="module", params=SIGNERS, ids=" ".join)
def signer(shared: kms.Engine, request: pytest.FixtureRequest) -> tuple[str, str, kms.SigningAlgorithm]:
    """Create a key that signs: its spec, its id, its algorithm."""
    spec, algorithm = request.param
    return spec, create(shared, spec, SIGN), algorithm


@pytest.fixture(scope="module")
def sm2(shared: kms.Engine) -> str:
    """Create an SM2 key that signs."""
    return create(shared, "EC_SM2", SIGN)


def others_verify(pem: str, algorithm: str, digest: bytes, signature: bytes) -> None:
    """Verify with ``cryptography``."""
    public = load_pem_public_key(pem.encode())
    hashed = Prehashed(SHA256())
    if isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(signature, digest, ec.ECDSA(hashed))
    elif isinstance(public, rsa.RSAPublicKey):
        pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)
        public.verify(signature, digest, pss if "PSS" in algorithm else padding.PKCS1v15(), hashed)
    else:
        raise TypeError(public)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_signatures(
    shared: kms.Engine, signer: tuple[str, str, kms.SigningAlgorithm], form: Callable[[bytes], Any]
) -> None:
    spec, key, algorithm = signer
    version = newest_version(shared, key)
    digest = shared.digest(key, algorithm, form(MESSAGE), key_version_id=version)
    signature = shared.sign(key, algorithm, form(digest))
    assert isinstance(signature, bytes)
    assert shared.verify(key, algorithm, form(digest), form(signature)) is True
    assert shared.verify(key, algorithm, digest, signature, key_version_id=version) is True
    if spec == "EC_SM2":
        assert digest != hashlib.sha256(MESSAGE).digest()
    else:
        assert digest == hashlib.sha256(MESSAGE).digest()
        others_verify(shared.public_key(key), algorithm, digest, signature)
        with pytest.raises(InvalidSignature):
            others_verify(shared.public_key(key), algorithm, bytes(32), signature)

    assert shared.verify(key, algorithm, bytes(32), signature) is False
    for bad in (signature[:-1], signature + b"\0", bytes(len(signature)), b""):
        assert shared.verify(key, algorithm, digest, bad) is False
    for length in (0, 31, 33):
        with pytest.raises(kms.InvalidParameterError, match="Digest"):
            shared.sign(key, algorithm, bytes(length))
        with pytest.raises(kms.InvalidParameterError, match="Digest"):
            shared.verify(key, algorithm, bytes(length), signature)


def test_what_a_key_refuses(shared: kms.Engine, signer: tuple[str, str, kms.SigningAlgorithm]) -> None:
    spec, key, algorithm = signer
    with pytest.raises(kms.NotFoundError, match="KeyVersionNotFound"):
        shared.sign(key, algorithm, bytes(32), key_version_id=key)
    with pytest.raises(kms.UnsupportedError):
        shared.asymmetric_encrypt(key, "SM2PKE", b"x")
    with pytest.raises(kms.UnsupportedError):
        shared.asymmetric_decrypt(key, "SM2PKE", b"x")
    for other in get_args(kms.SigningAlgorithm):
        if other != algorithm and not (spec.startswith("RSA") and other.startswith("RSA")):
            with pytest.raises(kms.InvalidParameterError, match="Algorithm"):
                shared.sign(key, other, bytes(32))
            with pytest.raises(kms.InvalidParameterError, match="Algorithm"):
                shared.new_digest(key, other)


@pytest.mark.parametrize(("spec", "algorithm", "most"), ENCRYPTERS, ids=[f"{s} {a}" for s, a, _ in ENCRYPTERS])
def test_encryption(shared: kms.Engine, spec: str, algorithm: kms.EncryptionAlgorithm, most: int) -> None:
    key = create(shared, spec, DECRYPT)
    version = newest_version(shared, key)
    for length in (1, 32, most):
        plaintext = b"\xa7" * length
        ciphertexts = [shared.asymmetric_encrypt(key, algorithm, bytearray(plaintext))]
        if spec != "EC_SM2":
            public = load_pem_public_key(shared.public_key(key, key_version_id=version).encode())
            assert isinstance(public, rsa.RSAPublicKey)
            hashing = SHA1() if algorithm == "RSAES_OAEP_SHA_1" else SHA256()
            oaep = padding.OAEP(mgf=padding.MGF1(hashing), algorithm=hashing, label=None)
            ciphertexts.append(public.encrypt(plaintext, oaep))
        for ciphertext in ciphertexts:
            for named in (None, version):
                assert shared.asymmetric_decrypt(key, algorithm, ciphertext, key_version_id=named) == plaintext
            for bad in (ciphertext[:-1], ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]), b""):
                with pytest.raises(kms.InvalidParameterError, match="CiphertextBlob"):
                    shared.asymmetric_decrypt(key, algorithm, bad)
    for length in (0, most + 1):
        with pytest.raises(kms.InvalidParameterError, match="Plaintext"):
            shared.asymmetric_encrypt(key, algorithm, bytes(length))
    with pytest.raises(kms.UnsupportedError):
        shared.sign(key, "SM2DSA", bytes(32))


def test_the_engine_decrypts_only_with_its_key(shared: kms.Engine) -> None:
    first, second = (create(shared, "EC_SM2", DECRYPT) for _ in range(2))
    ciphertext = shared.asymmetric_encrypt(first, "SM2PKE", b"secret")
    with pytest.raises(kms.InvalidParameterError):
        shared.asymmetric_decrypt(second, "SM2PKE", ciphertext)


def test_public_keys(shared: kms.Engine, sm2: str) -> None:
    pem = shared.public_key(sm2)
    assert pem.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert pem.endswith("\n-----END PUBLIC KEY-----\n")
    with pytest.raises(kms.UnsupportedError):
        shared.public_key(shared.call("CreateKey")["KeyMetadata"]["KeyId"])
    with pytest.raises(kms.NotFoundError):
        shared.public_key("alias/nobody")


def test_versions() -> None:
    with kms.open("memory:", manual_clock="2030-01-01T00:00:00Z") as engine:
        key = create(engine, "EC_P256", SIGN)
        old = newest_version(engine, key)
        signature = engine.sign(key, "ECDSA_SHA_256", bytes(32))
        engine.advance_clock(7 * 24 * 60 * 60)
        engine.call("CreateKeyVersion", KeyId=key)
        assert engine.verify(key, "ECDSA_SHA_256", bytes(32), signature, key_version_id=old)
        assert not engine.verify(key, "ECDSA_SHA_256", bytes(32), signature)
        assert engine.public_key(key) != engine.public_key(key, key_version_id=old)


@pytest.mark.parametrize("user_id", [None, "1234567812345678", "", "somebody", "语言"])
def test_digest_in_pieces(shared: kms.Engine, sm2: str, user_id: str | None) -> None:
    message = bytes(range(256)) * 100
    whole = shared.digest(sm2, "SM2DSA", message, sm2_user_id=user_id)
    assert (whole == shared.digest(sm2, "SM2DSA", message)) == (user_id in (None, "1234567812345678"))
    with shared.new_digest(sm2, "SM2DSA", sm2_user_id=user_id) as digest:
        for piece in (message[:1], b"", bytearray(message[1:70]), memoryview(message)[70:]):
            digest.update(piece)
        assert digest.digest() == whole
        assert digest.digest() == whole
        assert digest.hexdigest() == whole.hex()
        assert digest.digest_size == len(whole)
        with pytest.raises(kms.ClosedError):
            digest.update(b"more")
    assert digest.digest() == whole  # told once, it is known


def test_a_digest_outlives_its_engine() -> None:
    with kms.open("memory:") as engine:
        digest = engine.new_digest(create(engine, "EC_P256", SIGN), "ECDSA_SHA_256")
    digest.update(MESSAGE)
    assert digest.digest() == hashlib.sha256(MESSAGE).digest()


def test_a_digest_given_up(shared: kms.Engine, sm2: str) -> None:
    digest = shared.new_digest(sm2, "SM2DSA")
    assert repr(digest) == "<kms.Digest open>"
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            duplicate(digest)
    for _ in range(2):
        digest.close()
    assert repr(digest) == "<kms.Digest ended>"
    for use in (digest.digest, digest.hexdigest, lambda: digest.update(b"")):
        with pytest.raises(kms.ClosedError):
            use()
    with pytest.raises(TypeError):
        shared.new_digest(sm2, "SM2DSA").update("text")  # type: ignore[arg-type]


class CountedFrees:
    """Stands for the library and counts the digesters that are freed."""

    def __init__(self) -> None:
        self.freed: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(_native.lib, name)

    def kms_digest_free(self, handle: int) -> None:
        """Count, and free."""
        self.freed.append(handle)
        _native.lib.kms_digest_free(handle)


@pytest.mark.parametrize("end", ["digest", "close", "with", "collect", "digest and close"])
def test_a_digest_is_freed_once(shared: kms.Engine, sm2: str, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    library = CountedFrees()
    monkeypatch.setattr(_digest, "lib", library)
    digest = shared.new_digest(sm2, "SM2DSA")
    handle = digest._handle
    if "digest" in end:
        digest.digest()
    if "close" in end:
        digest.close()
    if end == "with":
        with digest:
            pass
    gone = weakref.ref(digest)
    del digest
    gc.collect()
    assert gone() is None
    assert library.freed == [handle]


def test_threads_share_a_digest(shared: kms.Engine, sm2: str) -> None:
    """A mistake, but a harmless one: every piece arrives whole, and what comes too late is refused."""
    piece = bytes(1000)
    for _ in range(20):
        digest = shared.new_digest(sm2, "SM2DSA")
        accepted = [0] * 4

        def work(index: int, digest: kms.Digest = digest, accepted: list[int] = accepted) -> None:
            for _ in range(100):
                try:
                    digest.update(piece)
                except kms.ClosedError:
                    return
                accepted[index] += 1

        threads = [threading.Thread(target=work, args=(index,)) for index in range(len(accepted))]
        for thread in threads:
            thread.start()
        told = digest.digest()
        for thread in threads:
            thread.join()
        assert told == shared.digest(sm2, "SM2DSA", piece * sum(accepted))


def test_arguments_that_never_reach_the_library(shared: kms.Engine, sm2: str) -> None:
    calls: list[Callable[..., Any]] = [
        lambda key, version, algorithm: shared.sign(key, algorithm, b"", key_version_id=version),
        lambda key, version, algorithm: shared.verify(key, algorithm, b"", b"", key_version_id=version),
        lambda key, version, algorithm: shared.asymmetric_encrypt(key, algorithm, b"", key_version_id=version),
        lambda key, version, algorithm: shared.asymmetric_decrypt(key, algorithm, b"", key_version_id=version),
        lambda key, version, algorithm: shared.digest(key, algorithm, b"", key_version_id=version),
        lambda key, version, algorithm: shared.new_digest(key, algorithm, key_version_id=version),
    ]
    for call in calls:
        for wrong in ((f"{sm2}\0", None, "SM2DSA"), (sm2, "\0", "SM2DSA"), (sm2, None, "SM2DSA\0")):
            with pytest.raises(ValueError, match="NUL"):
                call(*wrong)
        for strange in ((1, None, "SM2DSA"), (sm2, 1, "SM2DSA"), (sm2, None, None)):
            with pytest.raises(TypeError):
                call(*strange)
    with pytest.raises(ValueError, match="NUL"):
        shared.public_key(sm2, key_version_id="\0")
    with pytest.raises(ValueError, match="sm2_user_id contains a NUL"):
        shared.digest(sm2, "SM2DSA", b"", sm2_user_id="\0")
    with pytest.raises(TypeError):
        shared.sign(sm2, "SM2DSA", "text")  # type: ignore[arg-type]
    with pytest.raises(kms.InvalidParameterError, match="sm2_user_id"):
        shared.new_digest(sm2, "SM2DSA", sm2_user_id="i" * 8192)


def test_states(engine: kms.Engine) -> None:
    key = create(engine, "EC_P256", SIGN)
    signature = engine.sign(key, "ECDSA_SHA_256", bytes(32))
    digest = engine.new_digest(key, "ECDSA_SHA_256")
    calls: list[Callable[[], Any]] = [
        lambda: engine.sign(key, "ECDSA_SHA_256", bytes(32)),
        lambda: engine.verify(key, "ECDSA_SHA_256", bytes(32), signature),
        lambda: engine.public_key(key),
        lambda: engine.digest(key, "ECDSA_SHA_256", b""),
        lambda: engine.new_digest(key, "ECDSA_SHA_256"),
    ]
    engine.call("DisableKey", KeyId=key)
    for call in calls:
        with pytest.raises(kms.DisabledError):
            call()
    digest.update(MESSAGE)  # begun before
    assert digest.digest() == hashlib.sha256(MESSAGE).digest()
    engine.call("EnableKey", KeyId=key)
    assert engine.verify(key, "ECDSA_SHA_256", bytes(32), signature)
    engine.close()
    for call in calls:
        with pytest.raises(kms.ClosedError):
            call()
