"""Time per item, of single calls and of batches.

    python benchmarks/batch.py [ROUNDS]

Both take turns, so that whatever else the machine does falls on both alike. Printed are medians: nanoseconds of
processor time per item, and how many times as fast the batch is. The last line of each number of items is not a call:
it compares how the inputs of a batch could be passed, as structures with a pointer each, with how they are, in one row
with their lengths.
"""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path
from statistics import median
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import kms
from kms._batch import Row

TURN = 5_000_000  # nanoseconds


class Item(ctypes.Structure):
    """An input as a structure of C's would have it."""

    _fields_ = (("at", ctypes.c_char_p), ("len", ctypes.c_size_t))


def structures(items: list[bytes]) -> object:
    """Point to each item."""
    array = (Item * len(items))()
    for structure, item in zip(array, items):
        structure.at = item
        structure.len = len(item)
    return array


def repeat(work: Callable[[], object], times: int) -> int:
    """Return the nanoseconds of the processor that work takes, so many times."""
    began = time.thread_time_ns()
    for _ in range(times):
        work()
    return time.thread_time_ns() - began


def turn(work: Callable[[], object], count: int) -> Callable[[], float]:
    """Return what works for one turn and tells the time per item."""
    times = 1
    while repeat(work, times) < TURN:
        times *= 2
    return lambda: repeat(work, times) / (times * count)


def compare(name: str, count: int, single: Callable[[], object], batch: Callable[[], object], rounds: int) -> None:
    """Let both take turns, and print a line."""
    turns = turn(single, count), turn(batch, count)
    both = [(turns[0](), turns[1]()) for _ in range(rounds)]
    alone, together = median(a for a, _ in both), median(b for _, b in both)
    print(f"{name:<24}{count:>6}{alone:>12.0f}{together:>12.0f}{median(a / b for a, b in both):>8.2f}", flush=True)


def measure(engine: kms.Engine, key: str, signer: str, count: int, rounds: int) -> None:
    """Compare every function at this number of items."""
    items = [i.to_bytes(32, "big") for i in range(count)]
    context = {"tenant": "42"}
    blobs = list(engine.encrypt_batch(key, items))
    signatures = list(engine.sign_batch(signer, "SM2DSA", items))
    assert list(engine.decrypt_batch(blobs)) == items
    assert all(engine.verify_batch(signer, "SM2DSA", items, signatures))
    for name, single, batch in (
        (
            "Encrypt 32 B",
            lambda: [engine.encrypt(key, item) for item in items],
            lambda: engine.encrypt_batch(key, items),
        ),
        (
            "Encrypt 32 B, context",
            lambda: [engine.encrypt(key, item, context) for item in items],
            lambda: engine.encrypt_batch(key, items, context),
        ),
        (
            "Decrypt 32 B",
            lambda: [engine.decrypt(blob) for blob in blobs],
            lambda: engine.decrypt_batch(blobs),
        ),
        (
            "EC_SM2 sign",
            lambda: [engine.sign(signer, "SM2DSA", item) for item in items],
            lambda: engine.sign_batch(signer, "SM2DSA", items),
        ),
        (
            "EC_SM2 verify",
            lambda: [engine.verify(signer, "SM2DSA", *pair) for pair in zip(items, signatures)],
            lambda: engine.verify_batch(signer, "SM2DSA", items, signatures),
        ),
        ("pointers / one row", lambda: structures(items), lambda: Row(items)),
    ):
        compare(name, count, single, batch, rounds)


def main() -> None:
    """Measure."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 101
    print(f"{'ns per item':<24}{'items':>6}{'single':>12}{'batch':>12}{'times':>8}")
    with kms.open("memory:") as engine:
        key = engine.call("CreateKey")["KeyMetadata"]["KeyId"]
        signer = engine.call("CreateKey", KeySpec="EC_SM2", KeyUsage="SIGN/VERIFY")["KeyMetadata"]["KeyId"]
        for count in (1, 16, 256):
            measure(engine, key, signer, count, rounds)


if __name__ == "__main__":
    main()
