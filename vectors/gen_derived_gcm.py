#!/usr/bin/env python3
"""Computes vectors/derived_gcm.json, the vectors of GCM under per-message derived keys.

Independent of the Rust code on purpose: block ciphers and GCM come from the PyPI package
`cryptography` (OpenSSL underneath), and GCM over SM4 is written out below from NIST SP 800-38D.
Before it writes anything the script proves itself against what others published: the vectors and the
accumulated test of C2SP XAES-256-GCM, the SM4 block of GB/T 32907-2016 and SM4-GCM of RFC 8998.

Usage: python3 gen_derived_gcm.py > derived_gcm.json        (written with cryptography 48.0.0)
"""

import hashlib
import json

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_LEN = {"Aes128": 16, "Aes192": 24, "Aes256": 32, "Sm4": 16}


def encrypt_block(name, key, block):
    algorithm = algorithms.SM4 if name == "Sm4" else algorithms.AES
    encryptor = Cipher(algorithm(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def multiply(x, y):
    """Multiplication in GF(2^128), SP 800-38D section 6.3, algorithm 1."""
    z, v = 0, y
    for i in range(127, -1, -1):
        if x >> i & 1:
            z ^= v
        v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
    return z


def gcm_seal(name, key, nonce, aad, plaintext):
    """GCM with a 96-bit nonce, SP 800-38D section 7.1, over any of the block ciphers."""
    h = int.from_bytes(encrypt_block(name, key, bytes(16)), "big")
    ciphertext = b""
    for i in range(0, len(plaintext), 16):
        counter = nonce + (2 + i // 16).to_bytes(4, "big")
        ciphertext += xor(plaintext[i : i + 16], encrypt_block(name, key, counter))
    pad = lambda data: data + bytes(-len(data) % 16)
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    hashed, y = pad(aad) + pad(ciphertext) + lengths, 0
    for i in range(0, len(hashed), 16):
        y = multiply(y ^ int.from_bytes(hashed[i : i + 16], "big"), h)
    mask = encrypt_block(name, key, nonce + (1).to_bytes(4, "big"))
    return ciphertext + xor(y.to_bytes(16, "big"), mask)


def derive(name, key, nonce):
    """The message key: C2SP XAES-256-GCM, with the block cipher and the key length as parameters."""
    l = int.from_bytes(encrypt_block(name, key, bytes(16)), "big")
    k1 = (l << 1) % (1 << 128) ^ (0x87 if l >> 127 else 0)
    k1 = k1.to_bytes(16, "big")
    m1 = b"\x00\x01X\x00" + nonce[:12]
    m2 = b"\x00\x02X\x00" + nonce[:12]
    stream = encrypt_block(name, key, xor(m1, k1)) + encrypt_block(name, key, xor(m2, k1))
    return stream[: KEY_LEN[name]]


def seal(name, key, nonce, aad, plaintext):
    message_key = derive(name, key, nonce)
    if name == "Sm4":
        return gcm_seal(name, message_key, nonce[12:], aad, plaintext)
    return AESGCM(message_key).encrypt(nonce[12:], plaintext, aad)


class Stream:
    """One SHAKE-128 instance, read piece by piece."""

    def __init__(self, seed, total):
        self.bytes, self.at = hashlib.shake_128(seed).digest(total), 0

    def read(self, n):
        assert self.at + n <= len(self.bytes)
        self.at += n
        return self.bytes[self.at - n : self.at]


def prove_against_published():
    sm4_sample = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert encrypt_block("Sm4", sm4_sample, sm4_sample).hex() == "681edf34d206965e86b3e94f536e4246"

    # RFC 8998, appendix A.1.
    sealed = gcm_seal(
        "Sm4",
        sm4_sample,
        bytes.fromhex("00001234567800000000abcd"),
        bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        b"".join(bytes([b]) * 8 for b in b"\xaa\xbb\xcc\xdd\xee\xff\xee\xaa"),
    )
    assert sealed.hex() == (
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        "83de3541e4c2b58177e065a9bf7b62ec"
    )

    nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
    assert seal("Aes256", b"\x01" * 32, nonce, b"", b"XAES-256-GCM").hex() == (
        "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"
    )
    assert seal("Aes256", b"\x03" * 32, nonce, b"c2sp.org/XAES-256-GCM", b"XAES-256-GCM").hex() == (
        "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"
    )
    rng, digest = Stream(b"", 10_000 * (32 + 24 + 2 * 256)), hashlib.shake_128()
    for _ in range(10_000):
        key, nonce = rng.read(32), rng.read(24)
        plaintext = rng.read(rng.read(1)[0])
        aad = rng.read(rng.read(1)[0])
        digest.update(seal("Aes256", key, nonce, aad, plaintext))
    assert digest.hexdigest(32) == "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"


def cases():
    # Around the block, around the sizes where an implementation may change its method, and both values of
    # the carry in the doubling of L (the seeds below reach both for every cipher).
    plaintext_lengths = [0, 1, 15, 16, 17, 32, 100, 352, 383, 384, 385, 480, 481, 512, 513, 2000]
    for name in KEY_LEN:
        carries = set()
        for n, length in enumerate(plaintext_lengths):
            rng = Stream(f"kms derived-key GCM vector {name} {n}".encode(), 4096)
            key, nonce = rng.read(KEY_LEN[name]), rng.read(24)
            aad = rng.read([0, 20, 64, 13][n % 4])
            plaintext = rng.read(length)
            carries.add(encrypt_block(name, key, bytes(16))[0] >> 7)
            yield {
                "cipher": name,
                "key": key.hex(),
                "nonce": nonce.hex(),
                "aad": aad.hex(),
                "plaintext": plaintext.hex(),
                "message_key": derive(name, key, nonce).hex(),
                "sealed": seal(name, key, nonce, aad, plaintext).hex(),
            }
        assert carries == {0, 1}


if __name__ == "__main__":
    prove_against_published()
    print(json.dumps({"generator": "gen_derived_gcm.py", "tests": list(cases())}, indent=1))
