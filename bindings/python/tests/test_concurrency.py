"""Threads and forks.

Goal: any thread may call at any time, closing waits, a state change that has returned is obeyed, and a forked child
gets an exception instead of a hang. Method: workers compare what they get with a phase counter that they read before
and after each call; if it did not move, the answer is certain.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Callable

import pytest

import kms

if TYPE_CHECKING:
    from pathlib import Path

THREADS = 2 * (os.cpu_count() or 2)


class Workers:
    """Threads that stop at the first problem, and tell it."""

    def __init__(self, body: Callable[[], None], count: int = THREADS) -> None:
        self.problems: list[BaseException] = []
        self._body = body
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        try:
            self._body()
        except BaseException as problem:
            self.problems.append(problem)

    def join(self) -> None:
        """Wait for all; raise the first problem."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a worker hangs"
        if self.problems:
            raise self.problems[0]


def test_a_disabled_key_is_disabled_for_all(engine: kms.Engine, key: str) -> None:
    blob = engine.encrypt(key, b"shared")
    phase = 0  # modulo 4: enabled, disabling, disabled, enabling
    certain = [0, 0, 0, 0]
    stop = False

    def work() -> None:
        while not stop:
            before = phase
            try:
                plaintext = engine.decrypt(blob)
                assert plaintext == b"shared"
                refused = False
            except kms.DisabledError:
                refused = True
            if before == phase:
                assert refused == (before % 4 == 2) or before % 4 in (1, 3)
                certain[before % 4] += 1

    workers = Workers(work)
    try:
        for _ in range(30):
            for action, state in (("DisableKey", 0), ("EnableKey", 2)):
                enough = certain[state] + THREADS
                while certain[state] < enough and not workers.problems:
                    time.sleep(0.0002)
                phase += 1
                engine.call(action, KeyId=key)
                phase += 1
    finally:
        stop = True
        workers.join()


def test_closing_waits_for_running_calls() -> None:
    for _ in range(10):
        engine = kms.open("memory:")
        key = engine.call("CreateKey")["KeyMetadata"]["KeyId"]
        barrier = threading.Barrier(THREADS + 1)

        def work(engine: kms.Engine = engine, key: str = key, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(60)
            try:
                while True:
                    assert engine.decrypt(engine.encrypt(key, b"x")) == b"x"
            except kms.ClosedError:
                pass  # the only way out

        workers = Workers(work)
        barrier.wait(60)
        time.sleep(0.005)
        engine.close()
        workers.join()


def in_child(body: Callable[[], None]) -> None:
    """Run the body in a forked child, and fail if the child did not end well within a minute."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(60)
            body()
            status = 0
        except BaseException as problem:
            os.write(2, f"in the child: {problem!r}\n".encode())
        finally:
            os._exit(status)  # the test runner's own exit handlers are not the child's business
    _, status = os.waitpid(child, 0)
    assert status == 0


def check_forked(engine: kms.Engine, key: str) -> None:
    """Call every method on an inherited engine."""
    calls: list[Callable[[], object]] = [
        lambda: engine.call("ListKeys"),
        lambda: engine.encrypt(key, b"x"),
        lambda: engine.decrypt(b"x" * 100),
        lambda: engine.generate_data_key(key),
        lambda: engine.generate_data_key_without_plaintext(key),
        lambda: engine.reencrypt(b"x" * 100, key),
        lambda: engine.advance_clock(1),
        engine.run_due,
    ]
    for call in calls:
        with pytest.raises(kms.ForkedError):
            call()
    with kms.open("memory:") as own:
        own_key = own.call("CreateKey")["KeyMetadata"]["KeyId"]
        assert own.decrypt(own.encrypt(own_key, b"mine")) == b"mine"
    engine.close()


def test_fork(engine: kms.Engine, key: str) -> None:
    in_child(lambda: check_forked(engine, key))
    assert engine.decrypt(engine.encrypt(key, b"still here")) == b"still here"


def test_fork_amid_calls(engine: kms.Engine, key: str) -> None:
    stop = False

    def work() -> None:
        while not stop:
            assert engine.decrypt(engine.encrypt(key, b"x")) == b"x"
            engine.call("CreateKey")

    workers = Workers(work, 3)
    try:
        for _ in range(20):
            in_child(lambda: check_forked(engine, key))
    finally:
        stop = True
        workers.join()


def test_a_child_keeps_no_store_locked(tmp_path: Path) -> None:
    store = f"sled:{tmp_path / 'kms'}"
    engine = kms.open(store, root_key=bytes(32))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # lives until the parent closes its end
        os._exit(0)
    engine.close()
    try:
        kms.open(store, root_key=bytes(32)).close()
    finally:
        os.close(writer)
        os.close(reader)
        _, status = os.waitpid(child, 0)
    assert status == 0
