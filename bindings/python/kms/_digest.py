"""The digest of a message that comes in pieces."""

from __future__ import annotations

import contextlib
import threading
from ctypes import byref, c_void_p
from typing import TYPE_CHECKING, Any

from ._native import address_of, check, input_argument, lib
from .errors import ClosedError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer, Self

#: Bytes of every digest that is signed.
DIGEST_SIZE = 32


class Digest:
    """A message on its way to its digest, much like the objects of :mod:`hashlib`.

    :meth:`kms.Engine.new_digest` makes it. It does not depend on the engine, which may be closed meanwhile. One that is
    not wanted any more is given back by :meth:`close`, at the end of a ``with`` block, or when it is collected.
    """

    #: Bytes of the digest.
    digest_size = DIGEST_SIZE

    def __init__(self, handle: int) -> None:
        """Take over a digester of the library, which this object frees."""
        self._handle: int | None = handle
        self._digest: bytes | None = None
        # The library lets one thread only use a digester at a time, and ctypes lets the others run meanwhile.
        self._lock = threading.Lock()

    def update(self, data: Buffer) -> None:
        """Add a piece of the message; :class:`~kms.ClosedError` after :meth:`digest` or :meth:`close`."""
        piece, length = input_argument(data)
        error = c_void_p()
        with self._lock:
            status = lib.kms_digest_update(self._open(), piece, length, byref(error))
        check(status, error)

    def digest(self) -> bytes:
        """End the message and return its digest, 32 bytes; called again, it returns the same.

        Unlike those of :mod:`hashlib`, the object takes nothing more after it.
        """
        with self._lock:
            if self._digest is None:
                out = bytearray(DIGEST_SIZE)
                error = c_void_p()
                check(lib.kms_digest_final(self._open(), address_of(out), byref(error)), error)
                self._digest = bytes(out)
                self._free()
            return self._digest

    def hexdigest(self) -> str:
        """End the message and return its digest as 64 hexadecimal digits; see :meth:`digest`."""
        return self.digest().hex()

    def close(self) -> None:
        """Give up a message that has not ended. Closing twice is fine, and so is closing after :meth:`digest`."""
        with self._lock:
            self._free()

    def _open(self) -> int:
        if self._handle is None:
            raise ClosedError("KMS_CLOSED", "the message has ended")
        return self._handle

    def _free(self) -> None:
        """Free the digester, once; the lock is held."""
        handle, self._handle = self._handle, None
        if handle is not None:
            lib.kms_digest_free(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Nothing may be left of the module when the interpreter ends.
        with contextlib.suppress(Exception):
            self.close()

    def __repr__(self) -> str:
        return f"<kms.Digest {'ended' if self._handle is None else 'open'}>"

    def __reduce__(self) -> Any:
        raise TypeError("a digest cannot be pickled or copied")
