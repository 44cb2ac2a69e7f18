"""Signatures with kms: the key that signs never leaves the store, and anybody can verify.

    sign.py STORE_DIR ROOT_KEY_FILE sign   KEY ALGORITHM FILE SIGNATURE PUBLIC_KEY
    sign.py STORE_DIR ROOT_KEY_FILE verify KEY ALGORITHM FILE SIGNATURE

The C program of the same name has a further step, ``create``, which makes the key; its head tells how OpenSSL verifies.
All three programs (C, Go, Python) verify each other's signatures.

The exit status is 0 if all went well, 3 if the signature is not valid, and something else if nobody knows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

import kms

PIECE = 65536
NOT_VALID = 3


def say(text: str) -> None:
    """Print one line for the reader."""
    print(f"[Python] {text}", flush=True)


def digest_file(engine: kms.Engine, key: str, algorithm: kms.SigningAlgorithm, path: Path) -> bytes:
    """Digest a file piece by piece, however large it is.

    For ECDSA this is plain SHA-256; for SM2 the digest hangs on the key too, which is why the engine makes it.
    """
    with path.open("rb") as file, engine.new_digest(key, algorithm) as digest:
        while piece := file.read(PIECE):
            digest.update(piece)
        return digest.digest()


def sign(
    engine: kms.Engine, key: str, algorithm: kms.SigningAlgorithm, path: Path, signature_file: Path, public_file: Path
) -> None:
    """Sign a file, and write the signature and the public key."""
    digest = digest_file(engine, key, algorithm, path)
    # Without a version, the newest one signs, and its public half is told.
    signature = engine.sign(key, algorithm, digest)
    signature_file.write_bytes(signature)
    public_file.write_text(engine.public_key(key), encoding="ascii")
    say(
        f"signed {path} with {key}, {algorithm}: "
        f"signature in {signature_file} ({len(signature)} bytes), public key in {public_file}"
    )


def verify(engine: kms.Engine, key: str, algorithm: kms.SigningAlgorithm, path: Path, signature_file: Path) -> bool:
    """Verify a signature of a file."""
    signature = signature_file.read_bytes()
    valid = engine.verify(key, algorithm, digest_file(engine, key, algorithm, path), signature)
    say(f"verified {path} with {key}: {signature_file} is {'valid' if valid else 'NOT valid'}")
    return valid


def main() -> int:
    """Run one step."""
    parser = argparse.ArgumentParser(description="Signatures with kms.")
    parser.add_argument("store_dir", type=Path)
    parser.add_argument("root_key_file", type=Path)
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("sign", "verify"):
        step = steps.add_parser(name)
        step.add_argument("key", metavar="KEY")
        step.add_argument("algorithm", metavar="ALGORITHM", choices=get_args(kms.SigningAlgorithm))
        step.add_argument("path", metavar="FILE", type=Path)
        step.add_argument("signature_file", metavar="SIGNATURE", type=Path)
        if name == "sign":
            step.add_argument("public_file", metavar="PUBLIC_KEY", type=Path)
    arguments = parser.parse_args()
    what = (arguments.key, arguments.algorithm, arguments.path, arguments.signature_file)
    try:
        with kms.open(f"sled:{arguments.store_dir}", root_key_file=arguments.root_key_file) as engine:
            if arguments.step == "sign":
                sign(engine, *what, arguments.public_file)
            elif not verify(engine, *what):
                return NOT_VALID
    except (kms.KmsError, OSError) as error:
        print(f"sign: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
