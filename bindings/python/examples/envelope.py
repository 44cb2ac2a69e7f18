"""Envelope encryption with kms: the key that protects your data never leaves the store.

    envelope.py STORE_DIR ROOT_KEY_FILE encrypt   IN OUT
    envelope.py STORE_DIR ROOT_KEY_FILE decrypt   IN OUT
    envelope.py STORE_DIR ROOT_KEY_FILE lifecycle ENCRYPTED_FILE

The C program of the same name has a further step, ``create``, which makes the store and the key alias/demo. All three
programs (C, Go, Python) work on one store and read each other's files:

    offset   size  field
    0        8     "KMSENV01"
    8        2     L, the length of the wrapped data key, big-endian
    10       L     the wrapped data key, as generate_data_key made it
    10+L     12    GCM nonce
    22+L     n     ciphertext, as long as the plaintext
    22+L+n   16    GCM tag

The GCM's additional data is everything before the ciphertext.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import kms

MAGIC = b"KMSENV01"
DATA_KEY_LEN = 32
NONCE_LEN = 12
TAG_LEN = 16
ALIAS = "alias/demo"
# Bound to the wrapped data key, stored nowhere: whoever unwraps it must say the same.
CONTEXT = {"purpose": "envelope-demo"}


class EnvelopeError(Exception):
    """The file is not what it should be."""


def say(text: str) -> None:
    """Print one line for the reader."""
    print(f"[Python] {text}", flush=True)


def encrypt(engine: kms.Engine, source: Path, target: Path) -> None:
    """Encrypt a file under a data key of its own."""
    plaintext = source.read_bytes()
    start = time.perf_counter()
    data_key, blob = engine.generate_data_key(ALIAS, DATA_KEY_LEN, CONTEXT)
    took = (time.perf_counter() - start) * 1e6
    try:
        head = MAGIC + len(blob).to_bytes(2, "big") + blob + os.urandom(NONCE_LEN)
        sealed = AESGCM(data_key).encrypt(head[-NONCE_LEN:], plaintext, head)
    finally:
        data_key[:] = bytes(len(data_key))  # from here on only the master key can open the file
    target.write_bytes(head + sealed)
    say(
        f"encrypted {source} -> {target}: {len(plaintext)} bytes under a data key of its own ({took:.0f} us); "
        f"its wrapped form, {len(blob)} bytes, is in the file"
    )


def parse(path: Path) -> tuple[bytes, bytes, bytes]:
    """Split an encrypted file into the wrapped data key, the head (up to the ciphertext) and the rest."""
    data = path.read_bytes()
    blob_start = len(MAGIC) + 2
    blob_end = blob_start + int.from_bytes(data[len(MAGIC) : blob_start], "big")
    head_end = blob_end + NONCE_LEN
    if not data.startswith(MAGIC) or len(data) < head_end + TAG_LEN:
        raise EnvelopeError(f"{path} is not an envelope file, or it is cut short")
    return data[blob_start:blob_end], data[:head_end], data[head_end:]


def decrypt(engine: kms.Engine, source: Path, target: Path) -> None:
    """Decrypt a file; no byte is written before all of it is verified."""
    blob, head, sealed = parse(source)
    buffer = bytearray(len(blob))
    start = time.perf_counter()
    length = engine.decrypt_into(blob, buffer, CONTEXT)
    took = (time.perf_counter() - start) * 1e6
    try:
        if length != DATA_KEY_LEN:
            raise EnvelopeError(f"{source}: a data key of {length} bytes")
        with memoryview(buffer)[:length] as data_key:
            plaintext = AESGCM(data_key).decrypt(head[-NONCE_LEN:], sealed, head)
    except InvalidTag:
        raise EnvelopeError(f"{source} was altered: its authentication tag does not fit") from None
    finally:
        buffer[:] = bytes(len(buffer))
    target.write_bytes(plaintext)
    say(
        f"decrypted {source} -> {target}: {len(plaintext)} bytes, data key unwrapped in {took:.0f} us, "
        "every byte authenticated"
    )


def attempt(engine: kms.Engine, after: str, blob: bytes, expected: str | None) -> None:
    """Try to unwrap a data key and say what came of it."""
    buffer = bytearray(len(blob))
    code = None
    try:
        engine.decrypt_into(blob, buffer, CONTEXT)
        say(f"{after:28} -> decrypt works")
    except kms.StateError as error:
        code = error.code
        say(f"{after:28} -> decrypt refused: {error.http_status} {error.code}")
    finally:
        buffer[:] = bytes(len(buffer))
    if code != expected:
        raise EnvelopeError(f"expected {expected or 'success'}")


def lifecycle(engine: kms.Engine, path: Path) -> None:
    """Show that whoever controls the master key controls every file."""
    blob, _, _ = parse(path)
    # State changes take a key id, never an alias: an alias may point elsewhere by the time they act.
    key = engine.call("DescribeKey", KeyId=ALIAS)["KeyMetadata"]["KeyId"]
    engine.call("DisableKey", KeyId=key)
    attempt(engine, "key disabled", blob, "Rejected.Disabled")
    engine.call("EnableKey", KeyId=key)
    attempt(engine, "key enabled", blob, None)
    engine.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    attempt(engine, "deletion set for in 7 days", blob, "Rejected.PendingDeletion")
    engine.call("CancelKeyDeletion", KeyId=key)
    attempt(engine, "deletion cancelled", blob, None)


def main() -> int:
    """Run one step."""
    parser = argparse.ArgumentParser(description="Envelope encryption with kms.")
    parser.add_argument("store_dir", type=Path)
    parser.add_argument("root_key_file", type=Path)
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("encrypt", "decrypt"):
        step = steps.add_parser(name)
        step.add_argument("source", metavar="IN", type=Path)
        step.add_argument("target", metavar="OUT", type=Path)
    steps.add_parser("lifecycle").add_argument("source", metavar="ENCRYPTED_FILE", type=Path)
    arguments = parser.parse_args()
    try:
        with kms.open(f"sled:{arguments.store_dir}", root_key_file=arguments.root_key_file) as engine:
            if arguments.step == "encrypt":
                encrypt(engine, arguments.source, arguments.target)
            elif arguments.step == "decrypt":
                decrypt(engine, arguments.source, arguments.target)
            else:
                lifecycle(engine, arguments.source)
    except (kms.KmsError, EnvelopeError, OSError) as error:
        print(f"envelope: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
