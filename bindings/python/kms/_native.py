"""What passes between Python and C: texts, bytes, JSON, and failures."""

from __future__ import annotations

import ctypes
import json
from ctypes import byref, c_char, c_void_p
from typing import TYPE_CHECKING, Any

from . import _library
from .errors import KmsError, class_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

lib = _library.load()


def take_error(status: int, error: c_void_p) -> KmsError:
    """Return the exception that belongs to a failure, and free the engine's error object."""
    try:
        code = lib.kms_error_code(error).decode()
        return class_of(code)(
            code,
            lib.kms_error_message(error).decode(),
            lib.kms_error_request_id(error).decode(),
            lib.kms_error_http_status(error),
            status,
        )
    finally:
        lib.kms_error_free(error)


def check(status: int, error: c_void_p) -> None:
    """Raise the exception that belongs to a failed call."""
    if status != 0:
        raise take_error(status, error)


def text_argument(name: str, value: str) -> bytes:
    """Encode a text for C, which would take a NUL for its end."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be str, not {type(value).__name__}")
    encoded = value.encode()
    if b"\0" in encoded:
        raise ValueError(f"{name} contains a NUL character")
    return encoded


def to_json(value: Any) -> bytes:
    """Write JSON for the engine."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def address_of(buffer: bytearray | memoryview) -> Any:
    """Return the address of the first byte as an argument; it also keeps the buffer alive and at its size."""
    return byref(c_char.from_buffer(buffer))


def input_argument(data: Buffer) -> tuple[Any, int]:
    """Return what ctypes passes as the address of the bytes, and their number."""
    if isinstance(data, bytes):
        return data, len(data)
    view = memoryview(data)
    if view.readonly or not view.c_contiguous or view.nbytes == 0:
        copy = view.tobytes()
        return copy, len(copy)
    return address_of(view.cast("B")), view.nbytes


def wipe(buffer: bytearray) -> None:
    """Overwrite a buffer that may have held a secret."""
    buffer[:] = bytes(len(buffer))


def take_text(address: c_void_p) -> str:
    """Copy a text of the engine and free it, which also wipes it."""
    try:
        return ctypes.string_at(address).decode()
    finally:
        lib.kms_string_free(address)
