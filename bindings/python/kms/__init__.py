"""An embedded key-management service: the whole Alibaba Cloud KMS model in this process.

An engine is opened on a store and may be used from any number of threads; the GIL is released while it works::

    import kms

    with kms.open("sled:/var/lib/app/kms", root_key_file="/etc/app/root.key") as engine:
        blob = engine.encrypt("alias/app", b"secret", {"tenant": "42"})
        assert engine.decrypt(blob, {"tenant": "42"}) == b"secret"

The operations of the hot path have methods that take and return bytes. Every action can be reached by its name::

    engine.call("CreateKey", KeySpec="Aliyun_SM4")["KeyMetadata"]["KeyId"]

Asymmetric keys sign, verify, encrypt and decrypt, and tell their public halves::

    digest = engine.digest("alias/signer", "ECDSA_SHA_256", message)
    signature = engine.sign("alias/signer", "ECDSA_SHA_256", digest)

Encrypt, decrypt, sign and verify have a form for many items, which crosses the border to C once::

    blobs = engine.encrypt_batch("alias/app", [b"one", b"two"], {"tenant": "42"})
    assert list(engine.decrypt_batch(blobs, {"tenant": "42"})) == [b"one", b"two"]

Failures are subclasses of :class:`KmsError`, which carries the code, the message, the request id and the HTTP status.
"""

from ._batch import Batch
from ._digest import Digest
from ._engine import DataKey, EncryptionAlgorithm, Engine, SigningAlgorithm, open, version
from .errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ClockNotManualError,
    ClosedError,
    ConfigError,
    DisabledError,
    ForkedError,
    InternalError,
    InvalidParameterError,
    KmsError,
    LimitExceededError,
    LocalError,
    MissingParameterError,
    NotFoundError,
    PendingDeletionError,
    PendingImportError,
    StateError,
    StoreError,
    StoreLockedError,
    UnsupportedError,
    WrongRootKeyError,
)

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "Batch",
    "ClockNotManualError",
    "ClosedError",
    "ConfigError",
    "DataKey",
    "Digest",
    "DisabledError",
    "EncryptionAlgorithm",
    "Engine",
    "ForkedError",
    "InternalError",
    "InvalidParameterError",
    "KmsError",
    "LimitExceededError",
    "LocalError",
    "MissingParameterError",
    "NotFoundError",
    "PendingDeletionError",
    "PendingImportError",
    "SigningAlgorithm",
    "StateError",
    "StoreError",
    "StoreLockedError",
    "UnsupportedError",
    "WrongRootKeyError",
    "open",
    "version",
]
