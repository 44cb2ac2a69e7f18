"""What can go wrong, as a hierarchy of exceptions.

The code of a failure decides its class. Codes that no table names are plain :class:`KmsError`, so that a newer library
never breaks an older package.
"""

from __future__ import annotations


class KmsError(Exception):
    """A failure that the engine reported.

    Attributes:
        code: what happened, for example ``"Rejected.Disabled"``.
        message: for people; that of InvalidParameter and MissingParameter names the parameter.
        request_id: identifies the call in the audit log; empty for failures of the library alone.
        http_status: what the service would answer with; 0 for failures of the library alone.
        status: the number of the code in ``kms.h``; it never changes.
    """

    def __init__(self, code: str, message: str, request_id: str = "", http_status: int = 0, status: int = 0) -> None:
        # All of them go to the base class, so that the exception survives pickling between processes.
        super().__init__(code, message, request_id, http_status, status)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.http_status = http_status
        self.status = status

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class NotFoundError(KmsError):
    """The key, version, alias, secret or certificate does not exist."""


class AlreadyExistsError(KmsError):
    """The name is taken."""


class InvalidParameterError(KmsError):
    """A parameter is missing, malformed or out of range; also a ciphertext that does not open."""


class MissingParameterError(InvalidParameterError):
    """A required parameter is absent or empty."""


class StateError(KmsError):
    """The state of the resource does not allow the operation."""


class DisabledError(StateError):
    """The key is Disabled."""


class PendingDeletionError(StateError):
    """The key is PendingDeletion."""


class PendingImportError(StateError):
    """The key is PendingImport: it has no material."""


class UnsupportedError(KmsError):
    """The operation does not exist, or not for this kind of resource."""


class LimitExceededError(KmsError):
    """A quota or a rate limit is exhausted."""


class AccessDeniedError(KmsError):
    """The caller or the account may not do this."""


class InternalError(KmsError):
    """The engine failed; the same call may succeed later."""


class LocalError(KmsError):
    """A failure of the library itself, which the service does not know: its code begins with ``KMS_``."""


class ConfigError(LocalError):
    """The configuration is not valid."""


class WrongRootKeyError(LocalError):
    """The store is sealed with another root key."""


class StoreError(LocalError):
    """The store cannot be used: foreign, damaged, full or failed."""


class StoreLockedError(StoreError):
    """The store is open elsewhere."""


class ForkedError(LocalError):
    """The engine, or what its store runs on, belongs to the parent process, from before a fork."""


class ClockNotManualError(LocalError):
    """Only a manual clock can be advanced."""


class ClosedError(LocalError):
    """The engine is closed."""


# The longest prefix of the code wins.
_CLASSES: dict[str, type[KmsError]] = {
    "AliasAlreadyExists": AlreadyExistsError,
    "Certificate.NotFound": NotFoundError,
    "ExpiredImportToken": InvalidParameterError,
    "Forbidden.": AccessDeniedError,
    "Forbidden.AliasNotFound": NotFoundError,
    "Forbidden.KeyNotFound": NotFoundError,
    "Forbidden.KeyVersionNotFound": NotFoundError,
    "Forbidden.Opened": AlreadyExistsError,
    "Forbidden.ResourceNotFound": NotFoundError,
    "InternalFailure": InternalError,
    "InvalidImportToken": InvalidParameterError,
    "InvalidKeyMaterial": InvalidParameterError,
    "InvalidParameter": InvalidParameterError,
    "KMS_": LocalError,
    "KMS_ABI_MISMATCH": ConfigError,
    "KMS_CLOCK_NOT_MANUAL": ClockNotManualError,
    "KMS_CLOSED": ClosedError,
    "KMS_FORKED": ForkedError,
    "KMS_INVALID_CONFIG": ConfigError,
    "KMS_STORE_": StoreError,
    "KMS_STORE_LOCKED": StoreLockedError,
    "KMS_WRONG_ROOT_KEY": WrongRootKeyError,
    "MissingParameter": MissingParameterError,
    "ParseRequestParameterException": InvalidParameterError,
    "Rejected.Disabled": DisabledError,
    "Rejected.InvalidRequest": InvalidParameterError,
    "Rejected.LimitExceeded": LimitExceededError,
    "Rejected.PendingDeletion": PendingDeletionError,
    "Rejected.PendingImport": PendingImportError,
    "Rejected.ResourceExist": AlreadyExistsError,
    "Rejected.ResourceInDeleteWindow": StateError,
    "Rejected.ResourceInUse": StateError,
    "Rejected.StateModifiedFailed": StateError,
    "Rejected.Throttling": LimitExceededError,
    "Rejected.Unavailable": StateError,
    "Rejected.UnsupportedOperation": UnsupportedError,
    "ServiceUnavailableTemporary": InternalError,
    "Throttling": LimitExceededError,
    "Unsupported.": UnsupportedError,
    "UnsupportedOperation": UnsupportedError,
}


def class_of(code: str) -> type[KmsError]:
    """Return the exception class of a code."""
    for end in range(len(code), 0, -1):
        found = _CLASSES.get(code[:end])
        # A prefix must be meant as one: "Forbidden." covers its children, "InvalidParameter" only itself.
        if found is not None and (end == len(code) or code[end - 1] in "._"):
            return found
    return KmsError
