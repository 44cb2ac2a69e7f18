package kms

/*
#include "kms.h"
*/
import "C"

import (
	"runtime"
	"sync"
)

// DigestSize is the length in bytes of every digest that is signed.
const DigestSize = 32

// DigestOption changes how a digest is made.
type DigestOption func(*digestOptions)

type digestOptions struct {
	sm2UserID *string
}

// SM2UserID is the signer's id in a digest for SM2DSA, up to 8191 bytes, in place of "1234567812345678", which nearly
// everybody uses. Whoever verifies must say the same. The other algorithms do not look at it.
func SM2UserID(id string) DigestOption {
	return func(options *digestOptions) { options.sm2UserID = &id }
}

// cUserID returns what the options say for C: NULL is the usual id, which is another than the empty one.
func cUserID(options []DigestOption) (*C.char, error) {
	var chosen digestOptions
	for _, option := range options {
		option(&chosen)
	}
	if chosen.sm2UserID == nil {
		return nil, nil
	}
	return cString("SM2UserID", *chosen.sm2UserID)
}

// Digest computes the digest of a message for Sign and Verify: SHA-256, or for SM2DSA the SM3 of Z_A, which hangs on the key
// and the signer's id, and the message. An empty keyVersionID means the newest version of the key.
func (e *Engine) Digest(keyID, keyVersionID string, algorithm SigningAlgorithm, message []byte, options ...DigestOption) ([]byte, error) {
	ref, err := newVersionRef(keyID, keyVersionID, string(algorithm))
	if err != nil {
		return nil, err
	}
	userID, err := cUserID(options)
	if err != nil {
		return nil, err
	}
	digest := make([]byte, DigestSize)
	err = e.use(func(h *C.kms, f **C.kms_error) C.kms_status {
		return C.kms_digest(h, ref.key, ref.version, ref.algorithm, pointer(message), C.size_t(len(message)), userID, pointer(digest), f)
	})
	if err != nil {
		return nil, err
	}
	return digest, nil
}

// Digest takes a message in pieces, as an io.Writer, and tells its digest in the end. It does not depend on the engine that
// made it, which may be closed meanwhile. What was begun and is not wanted any more is given back by Close, or when it is
// collected.
type Digest struct {
	// mu makes mistakes harmless: C lets one goroutine only use a digester at a time.
	mu     sync.Mutex
	handle *C.kms_digester
	digest []byte
}

// NewDigest starts the digest of a message that comes in pieces; see Engine.Digest.
func (e *Engine) NewDigest(keyID, keyVersionID string, algorithm SigningAlgorithm, options ...DigestOption) (*Digest, error) {
	ref, err := newVersionRef(keyID, keyVersionID, string(algorithm))
	if err != nil {
		return nil, err
	}
	userID, err := cUserID(options)
	if err != nil {
		return nil, err
	}
	var handle *C.kms_digester
	err = e.use(func(h *C.kms, f **C.kms_error) C.kms_status {
		return C.kms_digest_init(h, ref.key, ref.version, ref.algorithm, userID, &handle, f)
	})
	if err != nil {
		return nil, err
	}
	digest := &Digest{handle: handle}
	runtime.SetFinalizer(digest, func(d *Digest) { d.Close() })
	return digest, nil
}

// Write adds a piece of the message. After Sum or Close the error matches ErrClosed.
func (d *Digest) Write(piece []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handle == nil {
		return 0, errDigestClosed()
	}
	var failure *C.kms_error
	if status := C.kms_digest_update(d.handle, pointer(piece), C.size_t(len(piece)), &failure); status != C.KMS_OK {
		return 0, takeError(status, failure)
	}
	return len(piece), nil
}

// Sum ends the message and returns its digest, of DigestSize bytes; called again, it returns the same. Unlike the Sum of a
// hash.Hash it lets nothing be written after it. After a Close before it, the error matches ErrClosed.
func (d *Digest) Sum() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handle == nil && d.digest == nil {
		return nil, errDigestClosed()
	}
	if d.handle != nil {
		digest := make([]byte, DigestSize)
		var failure *C.kms_error
		if status := C.kms_digest_final(d.handle, pointer(digest), &failure); status != C.KMS_OK {
			return nil, takeError(status, failure)
		}
		d.digest = digest
		d.free()
	}
	return append([]byte(nil), d.digest...), nil
}

// Close gives up a message that has not ended; after Sum it does nothing. The error is always nil.
func (d *Digest) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handle != nil {
		d.free()
	}
	return nil
}

// free is called once, with mu held.
func (d *Digest) free() {
	C.kms_digest_free(d.handle)
	d.handle = nil
	runtime.SetFinalizer(d, nil)
}

func errDigestClosed() error {
	return &Error{Status: C.KMS_CLOSED, Code: ErrClosed, Message: "the message has ended"}
}
