"""The engine: one open store."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import threading
import weakref
from collections.abc import Iterable
from ctypes import byref, c_bool, c_char, c_size_t, c_void_p
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Callable, Literal, NamedTuple

from . import _library
from ._batch import Answers, Batch, Context, Row, contexts_argument, fill, valid_array
from ._digest import DIGEST_SIZE, Digest
from ._native import address_of, check, input_argument, lib, take_text, text_argument, to_json, wipe
from .errors import ClosedError, KmsError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer, Self

#: More than a ciphertext of the present format adds to its plaintext. A first guess only: the engine says how much it
#: needs when it needs more.
_OVERHEAD = 128

#: One more than the longest data key. Larger requests are cut to it: the engine refuses them, and no memory is spent.
_MAX_DATA_KEY = 1024 + 1

#: First guesses only, likewise: bytes of the longest signature, of one of a curve, and of the longest ciphertext of an
#: RSA key.
_SIGNATURE = 384
_CURVE_SIGNATURE = 72
_RSA_CIPHERTEXT = 384

#: How keys of usage SIGN/VERIFY sign: the first two are for RSA, then for EC_P256 and EC_P256K, then for EC_SM2.
SigningAlgorithm = Literal["RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256", "ECDSA_SHA_256", "SM2DSA"]

#: How keys of usage ENCRYPT/DECRYPT encrypt: the first two are for RSA, the last is for EC_SM2.
EncryptionAlgorithm = Literal["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1", "SM2PKE"]


class DataKey(NamedTuple):
    """A data key: use and wipe the plaintext, keep the blob."""

    #: The key itself, in memory that can be overwritten: ``key.plaintext[:] = bytes(len(key.plaintext))``.
    plaintext: bytearray
    #: The key encrypted, which :meth:`Engine.decrypt` turns into the plaintext again.
    blob: bytes


def version() -> str:
    """Return the version of the library."""
    text: bytes = lib.kms_version()
    return text.decode()


def _context(context: Context) -> bytes | None:
    return to_json(dict(context)) if context else None


def _optional(name: str, value: str | None) -> bytes | None:
    return None if value is None else text_argument(name, value)


def _pair(key_id: str, key_version_id: str | None, algorithm: str) -> tuple[bytes, bytes | None, bytes]:
    """Return how the arguments of the asymmetric functions begin."""
    return (
        text_argument("key_id", key_id),
        _optional("key_version_id", key_version_id),
        text_argument("algorithm", algorithm),
    )


def _time(value: datetime | str) -> str:
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise ValueError("manual_clock needs a time zone")
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Engine:
    """An open key store.

    All methods may be called from any thread at once; closing waits for the calls that are running. An engine belongs
    to the process that opened it: after a fork the child gets :class:`~kms.ForkedError` and opens its own,
    on disk only if the parent had opened none on disk.
    """

    def __init__(
        self,
        store: str,
        *,
        root_key: Buffer | None = None,
        root_key_file: str | os.PathLike[str] | None = None,
        create_root_key_file: bool = False,
        passphrase: str | None = None,
        account_id: str | None = None,
        region: str | None = None,
        manual_clock: datetime | str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        """Open a store, and make it if it does not exist.

        Args:
            store: ``"sled:PATH"``, ``"redb:PATH"``, ``"memory:"`` or the URL of a database; a bare path is sled.
            root_key: the 32 bytes that seal the store. All but ``"memory:"`` need this, a file or a passphrase.
            root_key_file: a file with the 32 bytes.
            create_root_key_file: make the file, readable by its owner only, if it does not exist.
            passphrase: a text that is stretched to a root key.
            account_id: part of every ARN; a store keeps the one it was made with.
            region: likewise.
            manual_clock: stops the clock at this time; only :meth:`advance_clock` moves it. For tests.
            seed: makes ids and the engine's own random bytes reproducible, not those of RSA and P-256; needs a manual
                clock and ``"memory:"``. For tests.
            **options: further members of the engine's configuration, such as ``limits`` or ``hsm``.
        """
        self._handle: int | None = None
        self._running = 0
        self._changed = threading.Condition()
        if sum(given is not None for given in (root_key, root_key_file, passphrase)) > 1:
            raise ValueError("root_key, root_key_file and passphrase exclude each other")
        config: dict[str, Any] = {"store": store, **options}
        if root_key_file is not None:
            config["root_key"] = {"file": os.fspath(root_key_file), "create": create_root_key_file}
        if passphrase is not None:
            config["root_key"] = {"passphrase": passphrase}
        if account_id is not None:
            config["account_id"] = account_id
        if region is not None:
            config["region"] = region
        if manual_clock is not None:
            config["clock"] = {"manual": _time(manual_clock)}
        if seed is not None:
            config["seed"] = seed

        host = None
        secret = bytearray()
        if root_key is not None:
            secret = bytearray(memoryview(root_key)) or bytearray(1)
            host = _library.Host(
                size=ctypes.sizeof(_library.Host),
                root_key=ctypes.addressof(c_char.from_buffer(secret)),
                root_key_len=memoryview(root_key).nbytes,
            )
        handle = c_void_p()
        error = c_void_p()
        try:
            status = lib.kms_open(
                _library.ABI_VERSION,
                to_json(config),
                None if host is None else byref(host),
                byref(handle),
                byref(error),
            )
        finally:
            wipe(secret)  # the library keeps no pointer to it
        check(status, error)
        self._handle = handle.value
        _open_engines.add(self)

    def close(self) -> None:
        """Wait for the calls that are running, then close the store. Closing twice is fine."""
        with self._changed:
            handle, self._handle = self._handle, None
            if handle is None:
                return
            self._changed.wait_for(lambda: self._running == 0)
        lib.kms_close(handle)

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
        return f"<kms.Engine {'closed' if self._handle is None else 'open'}>"

    def __reduce__(self) -> Any:
        raise TypeError("an engine cannot be pickled: open one in each process")

    def _use(self, function: Callable[..., int], *arguments: Any) -> None:
        """Call a function of the library with the handle, which cannot be closed meanwhile."""
        with self._changed:
            handle = self._handle
            if handle is None:
                raise ClosedError("KMS_CLOSED", "the engine is closed")
            self._running += 1
        error = c_void_p()
        try:
            status = function(handle, *arguments, byref(error))
        finally:
            with self._changed:
                self._running -= 1
                if self._handle is None:
                    self._changed.notify_all()
        check(status, error)

    def _after_fork_in_child(self) -> None:
        """Forget the parent's other threads: they may have held the lock, and will never end their calls here."""
        self._changed = threading.Condition()
        self._running = 0

    def _fill(self, guess: int, function: Callable[..., int], *arguments: Any) -> bytes:
        """Call a function that writes bytes; once more if the first guess at their number was too small."""
        length = c_size_t()
        for last_try in (False, True):
            out = bytearray(max(guess, 1))
            try:
                self._use(function, *arguments, address_of(out), len(out), byref(length))
                return bytes(memoryview(out)[: length.value])
            except KmsError as error:
                if last_try or error.code != "KMS_BUFFER_TOO_SMALL":
                    raise
                guess = length.value
            finally:
                wipe(out)  # it may hold a plaintext
        raise AssertionError("unreachable")

    def call_json(self, action: str, params: str) -> str:
        """Run any action with its parameters as JSON text, and return the reply as JSON text."""
        reply = c_void_p()
        self._use(lib.kms_call, text_argument("action", action), text_argument("params", params), byref(reply))
        return take_text(reply)

    def call(self, action: str, /, **params: Any) -> dict[str, Any]:
        """Run any action by its name; the reply is the JSON object of the action, RequestId included."""
        reply: dict[str, Any] = json.loads(self.call_json(action, to_json(params).decode()))
        return reply

    def encrypt(self, key_id: str, plaintext: Buffer, context: Context = None) -> bytes:
        """Encrypt up to 6144 bytes under the primary version of a symmetric key, named by id, ARN or alias.

        The context is authenticated but not stored: decryption needs an equal one.
        """
        data, length = input_argument(plaintext)
        return self._fill(
            length + _OVERHEAD, lib.kms_encrypt, text_argument("key_id", key_id), data, length, _context(context)
        )

    def decrypt(self, blob: Buffer, context: Context = None) -> bytes:
        """Decrypt what :meth:`encrypt`, :meth:`generate_data_key` or :meth:`reencrypt` made; it names its key."""
        data, length = input_argument(blob)
        return self._fill(length, lib.kms_decrypt, data, length, _context(context))

    def decrypt_into(self, blob: Buffer, buffer: bytearray | memoryview, context: Context = None) -> int:
        """Decrypt into a buffer that the caller can wipe, and return the number of bytes.

        A buffer as long as the blob is always large enough.
        """
        data, length = input_argument(blob)
        view = memoryview(buffer)
        if view.readonly or not view.c_contiguous or view.nbytes == 0:
            raise ValueError("the buffer must be writable, contiguous and not empty")
        written = c_size_t()
        self._use(
            lib.kms_decrypt, data, length, _context(context), address_of(view.cast("B")), view.nbytes, byref(written)
        )
        return written.value

    def generate_data_key(self, key_id: str, number_of_bytes: int = 32, context: Context = None) -> DataKey:
        """Make a random key of 1 to 1024 bytes to encrypt data with outside the engine."""
        number = min(max(number_of_bytes, 0), _MAX_DATA_KEY)
        plaintext = bytearray(max(number, 1))
        written = c_size_t()
        blob = self._fill(
            number + _OVERHEAD,
            lib.kms_generate_data_key,
            text_argument("key_id", key_id),
            number,
            _context(context),
            address_of(plaintext),
            len(plaintext),
            byref(written),
        )
        return DataKey(plaintext, blob)

    def generate_data_key_without_plaintext(
        self, key_id: str, number_of_bytes: int = 32, context: Context = None
    ) -> bytes:
        """Make a data key for somebody else: only the blob is returned."""
        number = min(max(number_of_bytes, 0), _MAX_DATA_KEY)
        return self._fill(
            number + _OVERHEAD,
            lib.kms_generate_data_key,
            text_argument("key_id", key_id),
            number,
            _context(context),
            None,
            0,
            None,
        )

    def reencrypt(
        self,
        blob: Buffer,
        destination_key_id: str,
        *,
        source_context: Context = None,
        destination_context: Context = None,
    ) -> bytes:
        """Decrypt and encrypt again inside the engine: under another key, another context or the newest version."""
        data, length = input_argument(blob)
        return self._fill(
            length + _OVERHEAD,
            lib.kms_reencrypt,
            data,
            length,
            _context(source_context),
            text_argument("destination_key_id", destination_key_id),
            _context(destination_context),
        )

    def sign(
        self, key_id: str, algorithm: SigningAlgorithm, digest: Buffer, *, key_version_id: str | None = None
    ) -> bytes:
        """Sign a digest of 32 bytes, which :meth:`digest` and :meth:`new_digest` make, with an asymmetric key.

        The key is named by id, ARN or alias; without a version it is its newest. An RSA signature is as long as the
        modulus, the others are DER of at most 72 bytes.
        """
        data, length = input_argument(digest)
        return self._fill(_SIGNATURE, lib.kms_sign, *_pair(key_id, key_version_id, algorithm), data, length)

    def verify(
        self,
        key_id: str,
        algorithm: SigningAlgorithm,
        digest: Buffer,
        signature: Buffer,
        *,
        key_version_id: str | None = None,
    ) -> bool:
        """Say whether a signature is one of the digest by a version of an asymmetric key.

        A signature that is malformed is false; an exception means that nothing was verified.
        """
        valid = c_bool()
        self._use(
            lib.kms_verify,
            *_pair(key_id, key_version_id, algorithm),
            *input_argument(digest),
            *input_argument(signature),
            byref(valid),
        )
        return valid.value

    def encrypt_batch(
        self,
        key_id: str,
        plaintexts: Iterable[Buffer],
        context: Context = None,
        *,
        contexts: Iterable[Context] | None = None,
    ) -> Batch[bytes]:
        """Encrypt many plaintexts under one key in one call, each as :meth:`encrypt` would.

        Args:
            key_id: the key for all.
            plaintexts: up to 6144 bytes each.
            context: the context for all.
            contexts: instead of it, one for each plaintext.

        Only what concerns no single item is raised here; what has become of each is in the :class:`Batch`.
        """
        row = Row(plaintexts)
        guess = row.total + row.count * _OVERHEAD
        key = text_argument("key_id", key_id)
        own = contexts_argument(context, contexts, row.count)
        return fill(self._use, guess, row.count, lib.kms_encrypt_batch, key, row.count, row.data, row.lens, *own)

    def decrypt_batch(
        self,
        blobs: Iterable[Buffer],
        context: Context = None,
        *,
        contexts: Iterable[Context] | None = None,
    ) -> Batch[bytes]:
        """Decrypt many blobs, of any keys, in one call, each as :meth:`decrypt` would.

        The contexts are as for :meth:`encrypt_batch`.
        """
        row = Row(blobs)
        own = contexts_argument(context, contexts, row.count)
        return fill(self._use, row.total, row.count, lib.kms_decrypt_batch, row.count, row.data, row.lens, *own)

    def sign_batch(
        self,
        key_id: str,
        algorithm: SigningAlgorithm,
        digests: Iterable[Buffer],
        *,
        key_version_id: str | None = None,
    ) -> Batch[bytes]:
        """Sign many digests with one key in one call, each as :meth:`sign` would."""
        row = Row(digests)
        pair = _pair(key_id, key_version_id, algorithm)
        guess = row.count * (_SIGNATURE if algorithm.startswith("RSA_") else _CURVE_SIGNATURE)
        return fill(self._use, guess, row.count, lib.kms_sign_batch, *pair, row.count, row.data, row.lens)

    def verify_batch(
        self,
        key_id: str,
        algorithm: SigningAlgorithm,
        digests: Iterable[Buffer],
        signatures: Iterable[Buffer],
        *,
        key_version_id: str | None = None,
    ) -> Batch[bool]:
        """Say for many signatures by one key whether each is one of its digest, as :meth:`verify` would."""
        row, signed = Row(digests), Row(signatures)
        if row.count != signed.count:
            raise ValueError(f"there are {signed.count} signatures for {row.count} digests")
        valid = valid_array(row.count)
        answers = Answers(row.count)
        self._use(
            lib.kms_verify_batch,
            *_pair(key_id, key_version_id, algorithm),
            row.count,
            row.data,
            row.lens,
            signed.data,
            signed.lens,
            valid,
            answers.statuses,
            answers.errors,
        )
        return Batch(list(valid), answers.take())

    def asymmetric_encrypt(
        self, key_id: str, algorithm: EncryptionAlgorithm, plaintext: Buffer, *, key_version_id: str | None = None
    ) -> bytes:
        """Encrypt to the public half of a version of an asymmetric key.

        The plaintext has 1 to 190 bytes (214 with SHA-1) for RSA_2048, to 318 (342) for RSA_3072, to 6047 for EC_SM2.
        The ciphertext is a standard one and does not name its key: keep the version's id beside it.
        """
        data, length = input_argument(plaintext)
        guess = length + _OVERHEAD if algorithm == "SM2PKE" else _RSA_CIPHERTEXT
        return self._fill(guess, lib.kms_asymmetric_encrypt, *_pair(key_id, key_version_id, algorithm), data, length)

    def asymmetric_decrypt(
        self, key_id: str, algorithm: EncryptionAlgorithm, ciphertext: Buffer, *, key_version_id: str | None = None
    ) -> bytes:
        """Decrypt what was encrypted to a version of an asymmetric key, by whoever has the public key.

        Whatever is wrong with the ciphertext, it is :class:`~kms.InvalidParameterError`.
        """
        data, length = input_argument(ciphertext)
        return self._fill(length, lib.kms_asymmetric_decrypt, *_pair(key_id, key_version_id, algorithm), data, length)

    def public_key(self, key_id: str, *, key_version_id: str | None = None) -> str:
        """Return the public half of a version of an asymmetric key: its SubjectPublicKeyInfo in PEM."""
        pem = c_void_p()
        self._use(
            lib.kms_get_public_key,
            text_argument("key_id", key_id),
            _optional("key_version_id", key_version_id),
            byref(pem),
        )
        return take_text(pem)

    def digest(
        self,
        key_id: str,
        algorithm: SigningAlgorithm,
        message: Buffer,
        *,
        key_version_id: str | None = None,
        sm2_user_id: str | None = None,
    ) -> bytes:
        """Compute the digest of a message for :meth:`sign` and :meth:`verify`.

        It is SHA-256, or for SM2DSA the SM3 of Z_A, which hangs on the key and the signer's id, and the message.

        Args:
            key_id: the key that signs or has signed.
            algorithm: how it signs.
            message: the whole message.
            key_version_id: the version of the key; without it, the newest.
            sm2_user_id: the signer's id for SM2DSA, up to 8191 bytes in UTF-8; without it ``"1234567812345678"``, which
                nearly everybody uses. The other algorithms do not look at it.
        """
        data, length = input_argument(message)
        out = bytearray(DIGEST_SIZE)
        self._use(
            lib.kms_digest,
            *_pair(key_id, key_version_id, algorithm),
            data,
            length,
            _optional("sm2_user_id", sm2_user_id),
            address_of(out),
        )
        return bytes(out)

    def new_digest(
        self,
        key_id: str,
        algorithm: SigningAlgorithm,
        *,
        key_version_id: str | None = None,
        sm2_user_id: str | None = None,
    ) -> Digest:
        """Start the digest of a message that comes in pieces; the arguments are those of :meth:`digest`."""
        handle = c_void_p()
        self._use(
            lib.kms_digest_init,
            *_pair(key_id, key_version_id, algorithm),
            _optional("sm2_user_id", sm2_user_id),
            byref(handle),
        )
        assert handle.value is not None
        return Digest(handle.value)

    def advance_clock(self, by: timedelta | int) -> None:
        """Move a manual clock forward by a whole number of seconds."""
        if isinstance(by, timedelta):
            if by.microseconds:
                raise ValueError("the clock counts whole seconds")
            by = by.days * 86400 + by.seconds
        if not -(2**63) <= by < 2**63:
            raise OverflowError("the step of the clock does not fit 64 bits")
        self._use(lib.kms_clock_advance, by)

    def run_due(self) -> dict[str, Any]:
        """Do what is due now: rotations, deletions, expiries.

        Returns three numbers: ``DeletedKeys``, ``ExpiredMaterials`` and ``RotatedKeys``. An engine that was opened with
        ``sweep``, a number of seconds, does it by itself.
        """
        text = c_void_p()
        self._use(lib.kms_run_due, byref(text))
        report: dict[str, Any] = json.loads(take_text(text))
        return report


#: Opens a store: ``with kms.open("memory:") as engine: ...``
open = Engine

_open_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for engine in list(_open_engines):
        engine._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
