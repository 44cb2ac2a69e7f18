"""Finds libkms, loads it and declares its functions."""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, c_bool, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from pathlib import Path

#: The version of the C interface that this package was written for (KMS_ABI_VERSION of kms.h).
ABI_VERSION = 1


class Host(ctypes.Structure):
    """``kms_host``, up to the last member that this package uses; ``size`` tells the library where it ends."""

    _fields_ = (
        ("size", c_size_t),
        ("context", c_void_p),
        ("root_key", c_void_p),
        ("root_key_len", c_size_t),
    )


_OUT = (c_void_p, c_size_t, POINTER(c_size_t))
_ERR = POINTER(c_void_p)
# An engine, a key, a version of it, and an algorithm.
_PAIR = (c_void_p, c_char_p, c_char_p, c_char_p)

# Inputs one behind the other and their lengths; contexts likewise; a place for each length, status and error object.
_LENS = POINTER(c_size_t)
_ROW = (c_void_p, _LENS)
_CONTEXTS = (c_char_p, _LENS)
_ANSWERS = (POINTER(c_int32), POINTER(c_void_p))

# Texts that the caller must free are c_void_p: ctypes would turn c_char_p into bytes and lose the address.
_FUNCTIONS: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "kms_open": (c_int32, (c_uint32, c_char_p, POINTER(Host), POINTER(c_void_p), _ERR)),
    "kms_close": (None, (c_void_p,)),
    "kms_call": (c_int32, (c_void_p, c_char_p, c_char_p, POINTER(c_void_p), _ERR)),
    "kms_string_free": (None, (c_void_p,)),
    "kms_encrypt": (c_int32, (c_void_p, c_char_p, c_void_p, c_size_t, c_char_p, *_OUT, _ERR)),
    "kms_decrypt": (c_int32, (c_void_p, c_void_p, c_size_t, c_char_p, *_OUT, _ERR)),
    "kms_generate_data_key": (c_int32, (c_void_p, c_char_p, c_size_t, c_char_p, *_OUT, *_OUT, _ERR)),
    "kms_reencrypt": (c_int32, (c_void_p, c_void_p, c_size_t, c_char_p, c_char_p, c_char_p, *_OUT, _ERR)),
    "kms_sign": (c_int32, (*_PAIR, c_void_p, c_size_t, *_OUT, _ERR)),
    "kms_verify": (c_int32, (*_PAIR, c_void_p, c_size_t, c_void_p, c_size_t, POINTER(c_bool), _ERR)),
    "kms_asymmetric_encrypt": (c_int32, (*_PAIR, c_void_p, c_size_t, *_OUT, _ERR)),
    "kms_asymmetric_decrypt": (c_int32, (*_PAIR, c_void_p, c_size_t, *_OUT, _ERR)),
    "kms_get_public_key": (c_int32, (c_void_p, c_char_p, c_char_p, POINTER(c_void_p), _ERR)),
    "kms_digest": (c_int32, (*_PAIR, c_void_p, c_size_t, c_char_p, c_void_p, _ERR)),
    "kms_digest_init": (c_int32, (*_PAIR, c_char_p, POINTER(c_void_p), _ERR)),
    "kms_digest_update": (c_int32, (c_void_p, c_void_p, c_size_t, _ERR)),
    "kms_digest_final": (c_int32, (c_void_p, c_void_p, _ERR)),
    "kms_digest_free": (None, (c_void_p,)),
    "kms_encrypt_batch": (c_int32, (c_void_p, c_char_p, c_size_t, *_ROW, *_CONTEXTS, *_OUT, *_ANSWERS, _ERR)),
    "kms_decrypt_batch": (c_int32, (c_void_p, c_size_t, *_ROW, *_CONTEXTS, *_OUT, *_ANSWERS, _ERR)),
    "kms_sign_batch": (c_int32, (*_PAIR, c_size_t, *_ROW, *_OUT, *_ANSWERS, _ERR)),
    "kms_verify_batch": (c_int32, (*_PAIR, c_size_t, *_ROW, *_ROW, POINTER(c_bool), *_ANSWERS, _ERR)),
    "kms_clock_advance": (c_int32, (c_void_p, c_int64, _ERR)),
    "kms_run_due": (c_int32, (c_void_p, POINTER(c_void_p), _ERR)),
    "kms_error_code": (c_char_p, (c_void_p,)),
    "kms_error_message": (c_char_p, (c_void_p,)),
    "kms_error_request_id": (c_char_p, (c_void_p,)),
    "kms_error_http_status": (c_int32, (c_void_p,)),
    "kms_error_status": (c_int32, (c_void_p,)),
    "kms_error_free": (None, (c_void_p,)),
    "kms_version": (c_char_p, ()),
}


def _file_name() -> str:
    if sys.platform == "win32":
        return "kms.dll"
    return "libkms.dylib" if sys.platform == "darwin" else "libkms.so"


def _candidates() -> list[Path]:
    """Return where the library may be, best first. KMS_LIBRARY is a decision, not a hint: it stands alone."""
    named = os.environ.get("KMS_LIBRARY")
    if named:
        return [Path(named)]
    package = Path(__file__).resolve().parent
    return [package / _file_name(), package.parents[2] / "target" / "release" / _file_name()]


def load() -> ctypes.CDLL:
    """Load libkms, or say where it was looked for."""
    candidates = _candidates()
    for path in candidates:
        if path.exists():
            library = ctypes.CDLL(str(path))
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(library, name)
                function.restype = result
                function.argtypes = arguments
            return library
    places = ", ".join(map(str, candidates))
    raise ImportError(f"libkms was not found at {places}; KMS_LIBRARY may name the file")
