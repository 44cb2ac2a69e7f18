"""The package against the library: every method, every kind of input, every way to be wrong."""

from __future__ import annotations

import base64
import ctypes
import gc
import os
import pickle
import re
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import pytest

import kms
from kms import _library
from kms.errors import class_of

PACKAGE_ROOT = Path(__file__).resolve().parents[1]
HEADER = Path(os.environ.get("KMS_INCLUDE", PACKAGE_ROOT.parents[1] / "include")) / "kms.h"
START = datetime(2030, 1, 1, tzinfo=timezone.utc)
ROOT_KEY = bytes(range(32))


def test_declarations_follow_the_header() -> None:
    """What this package repeats of kms.h is what stands there: version, names, number of arguments."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", HEADER.read_text(), flags=re.S)
    version = re.search(r"#define\s+KMS_ABI_VERSION\s+\(?(\d+)", text)
    assert version
    assert int(version[1]) == _library.ABI_VERSION
    for name, (_, arguments) in _library._FUNCTIONS.items():
        declared = re.search(rf"\b{name}\s*\(([^)]*)\)", text)
        assert declared, name
        parameters = declared[1].strip()
        assert (0 if parameters in ("", "void") else parameters.count(",") + 1) == len(arguments), name


def test_version() -> None:
    assert kms.version()


@pytest.mark.parametrize("plaintext", [b"", b"\0", b"hello", b"\xff" * 6144], ids=len)
@pytest.mark.parametrize(
    "form", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))], ids=["bytes", "array", "ro", "rw"]
)
def test_round_trip(engine: kms.Engine, key: str, plaintext: bytes, form: Callable[[bytes], Any]) -> None:
    context = {"tenant": "<42>", "语言": "中文"}
    blob = engine.encrypt(key, form(plaintext), context)
    assert isinstance(blob, bytes)
    assert engine.decrypt(form(blob), context) == plaintext
    with pytest.raises(kms.InvalidParameterError):
        engine.decrypt(blob)
    moved = engine.reencrypt(form(blob), key, source_context=context)
    assert engine.decrypt(moved, {}) == plaintext


def test_slices_of_memory(engine: kms.Engine, key: str) -> None:
    data = bytearray(b"0123456789")
    assert engine.decrypt(engine.encrypt(key, memoryview(data)[2:5])) == b"234"
    assert engine.decrypt(engine.encrypt(key, memoryview(data)[::2])) == b"02468"
    data.append(0)  # no call kept a hold on it


def test_limits(engine: kms.Engine, key: str) -> None:
    with pytest.raises(kms.InvalidParameterError, match="Plaintext"):
        engine.encrypt(key, bytes(6145))
    with pytest.raises(kms.KmsError):
        engine.decrypt(b"")
    for number in (-1, 0, 1025, 2**40):
        with pytest.raises(kms.InvalidParameterError, match="NumberOfBytes"):
            engine.generate_data_key(key, number)
        with pytest.raises(kms.InvalidParameterError, match="NumberOfBytes"):
            engine.generate_data_key_without_plaintext(key, number)


@pytest.mark.parametrize("number", [1, 32, 1024])
def test_data_keys(engine: kms.Engine, key: str, number: int) -> None:
    data_key, blob = engine.generate_data_key(key, number, {"a": "b"})
    assert isinstance(data_key, bytearray)
    assert len(data_key) == number
    assert engine.decrypt(blob, {"a": "b"}) == data_key
    data_key.clear()  # the caller's own memory: it can be wiped and resized
    assert len(engine.decrypt(engine.generate_data_key_without_plaintext(key, number))) == number


def test_decrypt_into(engine: kms.Engine, key: str) -> None:
    blob = engine.encrypt(key, b"secret")
    buffer = bytearray(len(blob))
    assert engine.decrypt_into(blob, buffer) == 6
    assert buffer == b"secret" + bytes(len(blob) - 6)
    small = bytearray(b"\xa5" * 5)
    with pytest.raises(kms.LocalError, match="KMS_BUFFER_TOO_SMALL"):
        engine.decrypt_into(blob, small)
    assert small == b"\xa5" * 5
    for wrong in (bytearray(), memoryview(bytes(100)), memoryview(bytearray(200))[::2]):
        with pytest.raises(ValueError, match="buffer"):
            engine.decrypt_into(blob, wrong)


def test_typed_and_named_actions_agree(engine: kms.Engine, key: str) -> None:
    blob = engine.encrypt(key, b"both ways")
    reply = engine.call("Decrypt", CiphertextBlob=base64.b64encode(blob).decode())
    assert base64.b64decode(reply["Plaintext"]) == b"both ways"
    reply = engine.call("Encrypt", KeyId=key, Plaintext=base64.b64encode(b"and back").decode())
    assert engine.decrypt(base64.b64decode(reply["CiphertextBlob"])) == b"and back"


def test_fields_of_an_error(engine: kms.Engine) -> None:
    with pytest.raises(kms.NotFoundError) as caught:
        engine.call("DescribeKey", KeyId="00000000-0000-4000-8000-000000000000")
    error = caught.value
    assert error.code == "Forbidden.KeyNotFound"
    assert error.http_status == 404
    assert error.status > 0
    assert len(error.request_id) == 36
    assert str(error) == f"{error.code}: {error.message}"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kms.NotFoundError
    assert vars(again) == vars(error)
    with pytest.raises(kms.MissingParameterError, match='"KeyId"'):
        engine.call("DescribeKey")
    with pytest.raises(kms.UnsupportedError):
        engine.call("Frobnicate")
    with pytest.raises(kms.InvalidParameterError, match="ParseRequestParameterException"):
        engine.call_json("DescribeKey", "{")


def test_states(engine: kms.Engine, key: str) -> None:
    blob = engine.encrypt(key, b"x")
    engine.call("DisableKey", KeyId=key)
    with pytest.raises(kms.DisabledError) as caught:
        engine.decrypt(blob)
    assert isinstance(caught.value, kms.StateError)
    assert caught.value.http_status == 409
    engine.call("EnableKey", KeyId=key)
    engine.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    with pytest.raises(kms.PendingDeletionError):
        engine.decrypt(blob)
    engine.call("CancelKeyDeletion", KeyId=key)
    assert engine.decrypt(blob) == b"x"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("Forbidden.KeyNotFound", kms.NotFoundError),
        ("Forbidden.SomethingNew", kms.AccessDeniedError),
        ("InvalidParameter", kms.InvalidParameterError),
        ("InvalidParameterButNew", kms.KmsError),
        ("Unsupported.Alias", kms.UnsupportedError),
        ("UnsupportedOperation", kms.UnsupportedError),
        ("Rejected.StateModifiedFailed", kms.StateError),
        ("Rejected.SomethingNew", kms.KmsError),
        ("KMS_STORE_FULL", kms.StoreError),
        ("KMS_STORE_LOCKED", kms.StoreLockedError),
        ("KMS_SOMETHING_NEW", kms.LocalError),
        ("", kms.KmsError),
    ],
)
def test_class_of_a_code(code: str, expected: type[kms.KmsError]) -> None:
    assert class_of(code) is expected


def test_arguments_that_never_reach_the_library(engine: kms.Engine, key: str) -> None:
    wrong: Any
    for wrong in ("text", 1, None):
        with pytest.raises(TypeError):
            engine.encrypt(key, wrong)
    for wrong in (b"bytes", None, 1):
        with pytest.raises(TypeError):
            engine.encrypt(wrong, b"")
    with pytest.raises(ValueError, match="NUL"):
        engine.encrypt(key + "\0", b"")
    with pytest.raises(ValueError, match="NUL"):
        engine.call("ListKeys\0")
    with pytest.raises(ValueError, match="surrogates"):
        engine.encrypt(key, b"", {"a": "\ud800"})
    with pytest.raises(ValueError, match="JSON"):
        engine.call("ListKeys", PageSize=float("nan"))
    # A NUL inside a context is text like any other.
    blob = engine.encrypt(key, b"x", {"a": "b\0c"})
    with pytest.raises(kms.InvalidParameterError):
        engine.decrypt(blob, {"a": "b"})
    assert engine.decrypt(blob, {"a": "b\0c"}) == b"x"


def test_manual_clock() -> None:
    with kms.open("memory:", manual_clock=START, seed=7) as engine:
        key = engine.call("CreateKey")["KeyMetadata"]["KeyId"]
        with kms.open("memory:", manual_clock="2030-01-01T00:00:00Z", seed=7) as twin:
            assert twin.call("CreateKey")["KeyMetadata"]["KeyId"] == key
        engine.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
        engine.advance_clock(timedelta(days=7) - timedelta(seconds=1))
        engine.call("DescribeKey", KeyId=key)
        engine.advance_clock(1)
        with pytest.raises(kms.NotFoundError):
            engine.call("DescribeKey", KeyId=key)
        assert engine.run_due() == {"DeletedKeys": 1, "ExpiredMaterials": 0, "RotatedKeys": 0}
        with pytest.raises(ValueError, match="whole seconds"):
            engine.advance_clock(timedelta(milliseconds=1))
        with pytest.raises(OverflowError):
            engine.advance_clock(2**63)
    with pytest.raises(ValueError, match="time zone"):
        kms.open("memory:", manual_clock=datetime(2030, 1, 1))
    with kms.open("memory:") as engine, pytest.raises(kms.ClockNotManualError):
        engine.advance_clock(1)


def test_sweep() -> None:
    """A key that is due rotates although nobody calls for it."""
    with kms.open("memory:", manual_clock=START, sweep=1) as engine:
        created = engine.call("CreateKey", EnableAutomaticRotation=True, RotationInterval="7d")["KeyMetadata"]
        engine.advance_clock(timedelta(days=7))
        now, end = created, time.monotonic() + 60
        while now["PrimaryKeyVersion"] == created["PrimaryKeyVersion"]:
            assert time.monotonic() < end, "the key has not rotated"
            time.sleep(0.05)
            now = engine.call("DescribeKey", KeyId=created["KeyId"])["KeyMetadata"]


def test_configuration(tmp_path: Path) -> None:
    store = f"sled:{tmp_path / 'kms'}"
    wrong: list[dict[str, Any]] = [
        {"store": ""},
        {"store": store},
        {"store": store, "root_key": bytes(31)},
        {"store": store, "root_key": b""},
        {"store": "memory:", "colour": "blue"},
        {"store": "memory:", "seed": 1},
    ]
    for arguments in wrong:
        with pytest.raises(kms.ConfigError):
            kms.open(**arguments)
    with pytest.raises(ValueError, match="exclude"):
        kms.open(store, root_key=ROOT_KEY, passphrase="x")


def test_store(tmp_path: Path) -> None:
    store = f"sled:{tmp_path / 'kms'}"
    secret = bytearray(ROOT_KEY)
    with kms.open(store, root_key=secret) as engine:
        secret[:] = bytes(32)
        key = engine.call("CreateKey")["KeyMetadata"]["KeyId"]
        blob = engine.encrypt(key, b"kept")
        with pytest.raises(kms.StoreLockedError):
            kms.open(store, root_key=ROOT_KEY)
    with pytest.raises(kms.WrongRootKeyError):
        kms.open(store, root_key=bytes(32))
    with kms.open(store, root_key=memoryview(ROOT_KEY)) as engine:
        assert engine.decrypt(blob) == b"kept"

    file = tmp_path / "root.key"
    keyed = str(tmp_path / "keyed")
    kms.open(keyed, root_key_file=file, create_root_key_file=True).close()
    assert file.stat().st_size == 32
    assert file.stat().st_mode & 0o777 == 0o600
    kms.open(keyed, root_key_file=file).close()
    with pytest.raises(kms.StoreError, match="KMS_STORE_FOREIGN"):
        kms.open(str(tmp_path), root_key=ROOT_KEY)


def test_close(engine: kms.Engine, key: str) -> None:
    assert repr(engine) == "<kms.Engine open>"
    engine.close()
    engine.close()
    assert repr(engine) == "<kms.Engine closed>"
    calls: list[Callable[[], object]] = [
        lambda: engine.call("ListKeys"),
        lambda: engine.encrypt(key, b""),
        lambda: engine.decrypt(b"x"),
        lambda: engine.decrypt_into(b"x", bytearray(1)),
        lambda: engine.generate_data_key(key),
        lambda: engine.generate_data_key_without_plaintext(key),
        lambda: engine.reencrypt(b"x", key),
        lambda: engine.advance_clock(1),
        engine.run_due,
    ]
    for call in calls:
        with pytest.raises(kms.ClosedError):
            call()
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(engine)


def test_an_abandoned_engine_gives_its_store_back(tmp_path: Path) -> None:
    store = f"sled:{tmp_path / 'kms'}"
    kms.open(store, root_key=ROOT_KEY)
    gc.collect()
    kms.open(store, root_key=ROOT_KEY).close()


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_interpreter_ends_with_an_open_engine() -> None:
    done = python("import kms; e = kms.open('memory:'); e.call('CreateKey'); e.me = e; print('done')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_missing_library_is_said_loudly() -> None:
    done = python("import kms", KMS_LIBRARY="/nonexistent/libkms.so")
    assert done.returncode != 0
    assert "ImportError: libkms was not found at /nonexistent/libkms.so" in done.stderr


def test_host_layout() -> None:
    """The members are pointers and sizes, so there is no padding to get wrong."""
    assert ctypes.sizeof(_library.Host) == 4 * ctypes.sizeof(ctypes.c_void_p)
