"""Keys across clients: what one encrypts, the others decrypt, and `cryptography` agrees with all of them."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from clients import CLIENTS, Client

if TYPE_CHECKING:
    from server import Server

CONTEXT = {"tenant": "4 2", "a.b": "c&d=e+f%", "语言": "中文 🔑"}
MESSAGE = b"signed elsewhere"
SHA256 = hashes.SHA256()

OAEP = {
    "RSAES_OAEP_SHA_256": padding.OAEP(padding.MGF1(SHA256), SHA256, None),
    "RSAES_OAEP_SHA_1": padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),
}


def text(data: bytes) -> str:
    """Write bytes as parameters carry them."""
    return base64.b64encode(data).decode()


def asymmetric(client: Client, spec: str, usage: str) -> tuple[dict[str, str], str]:
    """Create a key; give back what names its version, and its public key in PEM."""
    key = client.call("CreateKey", {"KeySpec": spec, "KeyUsage": usage})["KeyMetadata"]["KeyId"]
    versions = client.call("ListKeyVersions", {"KeyId": key})["KeyVersions"]["KeyVersion"]
    version = {"KeyId": key, "KeyVersionId": versions[0]["KeyVersionId"]}
    return version, client.call("GetPublicKey", version)["PublicKey"]


@pytest.mark.parametrize("writer", sorted(CLIENTS))
@pytest.mark.parametrize("reader", sorted(CLIENTS))
def test_from_one_client_to_another(server: Server, writer: str, reader: str) -> None:
    one, other = CLIENTS[writer](server, "http"), CLIENTS[reader](server, "https")
    key = one.call("CreateKey", {})["KeyMetadata"]["KeyId"]
    plaintext = "a b+c&d=e%20~*'() 🔑"
    blob = one.call("Encrypt", {"KeyId": key, "Plaintext": plaintext, "EncryptionContext": CONTEXT})["CiphertextBlob"]
    opened = other.call("Decrypt", {"CiphertextBlob": blob, "EncryptionContext": dict(reversed(CONTEXT.items()))})
    assert opened["Plaintext"] == plaintext
    assert opened["KeyId"] == key


def test_many_at_once(server: Server, kind: str) -> None:
    client = CLIENTS[kind](server, "http")
    key = client.call("CreateKey", {})["KeyMetadata"]["KeyId"]

    def round_trip(number: int) -> bool:
        blob = client.call("Encrypt", {"KeyId": key, "Plaintext": f"text {number}"})["CiphertextBlob"]
        return bool(client.call("Decrypt", {"CiphertextBlob": blob})["Plaintext"] == f"text {number}")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(64)))


@pytest.mark.parametrize("curve", ["EC_P256", "EC_P256K"])
def test_ecdsa(client: Client, curve: str) -> None:
    version, pem = asymmetric(client, curve, "SIGN/VERIFY")
    digest = hashlib.sha256(MESSAGE).digest()
    signed = client.call("AsymmetricSign", {**version, "Algorithm": "ECDSA_SHA_256", "Digest": text(digest)})
    public = serialization.load_pem_public_key(pem.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(base64.b64decode(signed["Value"]), digest, ec.ECDSA(utils.Prehashed(SHA256)))


def test_rsa_signatures(server: Server, kind: str) -> None:
    client = CLIENTS[kind](server, "http")
    version, pem = asymmetric(client, "RSA_2048", "SIGN/VERIFY")
    public = serialization.load_pem_public_key(pem.encode())
    assert isinstance(public, rsa.RSAPublicKey)
    digest = hashlib.sha256(MESSAGE).digest()
    for algorithm, form in (
        ("RSA_PKCS1_SHA_256", padding.PKCS1v15()),
        ("RSA_PSS_SHA_256", padding.PSS(padding.MGF1(SHA256), 32)),
    ):
        signed = client.call("AsymmetricSign", {**version, "Algorithm": algorithm, "Digest": text(digest)})
        public.verify(base64.b64decode(signed["Value"]), MESSAGE, form, SHA256)


def test_rsa_encryption(server: Server, kind: str) -> None:
    client = CLIENTS[kind](server, "http")
    version, pem = asymmetric(client, "RSA_2048", "ENCRYPT/DECRYPT")
    public = serialization.load_pem_public_key(pem.encode())
    assert isinstance(public, rsa.RSAPublicKey)
    for algorithm, form in OAEP.items():
        sealed = text(public.encrypt(MESSAGE, form))
        opened = client.call("AsymmetricDecrypt", {**version, "Algorithm": algorithm, "CiphertextBlob": sealed})
        assert base64.b64decode(opened["Plaintext"]) == MESSAGE


@pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1", "RSAES_PKCS1_V1_5"])
def test_import(server: Server, kind: str, algorithm: str) -> None:
    """Material that was wrapped here makes the key work, takes every ciphertext with it, and brings them back."""
    client = CLIENTS[kind](server, "http")
    key = client.call("CreateKey", {"Origin": "EXTERNAL", "KeySpec": "Aliyun_SM4"})["KeyMetadata"]["KeyId"]
    wanted = {"KeyId": key, "WrappingAlgorithm": algorithm, "WrappingKeySpec": "RSA_2048"}
    parameters = client.call("GetParametersForImport", wanted)
    public = serialization.load_der_public_key(base64.b64decode(parameters["PublicKey"]))
    assert isinstance(public, rsa.RSAPublicKey)
    wrapped = text(public.encrypt(bytes(range(16)), OAEP.get(algorithm, padding.PKCS1v15())))
    material = {"KeyId": key, "ImportToken": parameters["ImportToken"], "EncryptedKeyMaterial": wrapped}
    client.call("ImportKeyMaterial", material)
    blob = client.call("Encrypt", {"KeyId": key, "Plaintext": "text"})["CiphertextBlob"]
    client.call("DeleteKeyMaterial", {"KeyId": key})
    client.call("ImportKeyMaterial", material)
    assert client.call("Decrypt", {"CiphertextBlob": blob})["Plaintext"] == "text"


def test_export(server: Server, kind: str) -> None:
    """A data key that leaves under a public key is the one that stays under the key."""
    client = CLIENTS[kind](server, "http")
    key = client.call("CreateKey", {})["KeyMetadata"]["KeyId"]
    receiver = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    der = receiver.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for algorithm, form in OAEP.items():
        target = {"PublicKeyBlob": text(der), "WrappingAlgorithm": algorithm, "WrappingKeySpec": "RSA_2048"}
        made = client.call("GenerateAndExportDataKey", {"KeyId": key, "NumberOfBytes": 24, **target})
        again = client.call("ExportDataKey", {"CiphertextBlob": made["CiphertextBlob"], **target})
        kept = base64.b64decode(client.call("Decrypt", {"CiphertextBlob": made["CiphertextBlob"]})["Plaintext"])
        assert len(kept) == 24
        for answer in (made, again):
            assert receiver.decrypt(base64.b64decode(answer["ExportedDataKey"]), form) == kept
