package kms

// Error is a failure that the engine reported.
type Error struct {
	// Status is the number of the code in kms.h. It never changes.
	Status int
	// Code says what happened, for example "Rejected.Disabled".
	Code Code
	// Message is for people. That of InvalidParameter and MissingParameter names the parameter.
	Message string
	// RequestID identifies the call in the audit log.
	RequestID string
	// HTTPStatus is what the service would answer with; 0 for the failures of this library alone.
	HTTPStatus int
}

// Error returns code and message.
func (e *Error) Error() string {
	return "kms: " + string(e.Code) + ": " + e.Message
}

// Is makes errors.Is match an error by its Code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Code names a kind of failure. It is an error itself, so that errors.Is can look for it; any code of the contract can be
// written as Code("Rejected.LimitExceeded").
type Code string

// Error returns the code.
func (c Code) Error() string { return string(c) }

// The codes that programs most often act on.
const (
	ErrKeyNotFound        Code = "Forbidden.KeyNotFound"
	ErrKeyVersionNotFound Code = "Forbidden.KeyVersionNotFound"
	ErrAliasNotFound      Code = "Forbidden.AliasNotFound"
	ErrAliasExists        Code = "AliasAlreadyExists"
	ErrDisabled           Code = "Rejected.Disabled"
	ErrPendingDeletion    Code = "Rejected.PendingDeletion"
	ErrPendingImport      Code = "Rejected.PendingImport"
	ErrInvalidParameter   Code = "InvalidParameter"
	ErrMissingParameter   Code = "MissingParameter"
	// ErrOperationRejected says that this is not done with a key of this kind or usage.
	ErrOperationRejected Code = "Rejected.UnsupportedOperation"

	ErrClosed         Code = "KMS_CLOSED"
	ErrInvalidConfig  Code = "KMS_INVALID_CONFIG"
	ErrWrongRootKey   Code = "KMS_WRONG_ROOT_KEY"
	ErrStoreLocked    Code = "KMS_STORE_LOCKED"
	ErrStoreForeign   Code = "KMS_STORE_FOREIGN"
	ErrStoreCorrupt   Code = "KMS_STORE_CORRUPT"
	ErrClockNotManual Code = "KMS_CLOCK_NOT_MANUAL"
)
