package kms

/*
#include "kms.h"

enum { go_batch_buffer_too_small = KMS_BUFFER_TOO_SMALL };
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Result is what one item of a batch came to: a value, or why there is none. The error is that of a single call.
type Result[T any] struct {
	Value T
	Err   error
}

// row holds inputs as C takes them: one behind the other, and their lengths. Pointers to each could not be passed: C may
// not be given Go memory that holds Go pointers.
type row struct {
	bytes []byte
	lens  []C.size_t
}

func newRow(items [][]byte) row {
	total := 0
	for _, item := range items {
		total += len(item)
	}
	r := row{make([]byte, 0, total), make([]C.size_t, len(items))}
	for i, item := range items {
		r.bytes = append(r.bytes, item...)
		r.lens[i] = C.size_t(len(item))
	}
	return r
}

// first returns the address of an array of C's, NULL for an empty one.
func first[T any](array []T) *T {
	if len(array) == 0 {
		return nil
	}
	return &array[0]
}

// answers is where C says how each item went.
type answers struct {
	statuses []C.kms_status
	errors   []*C.kms_error
}

func newAnswers(count int) answers {
	return answers{make([]C.kms_status, count), make([]*C.kms_error, count)}
}

// take returns the error of an item and frees C's.
func (a answers) take(i int) error {
	if a.statuses[i] == C.KMS_OK {
		return nil
	}
	return takeError(a.statuses[i], a.errors[i])
}

// packed is where the results of a batch go, one behind the other.
type packed struct {
	out  []byte
	lens []C.size_t
	answers
}

func newPacked(count, size int) packed {
	return packed{make([]byte, size), make([]C.size_t, count), newAnswers(count)}
}

// fillBatch runs a batch that writes bytes. If the first guess at their number is too small, it is repeated once with the
// bounds that the engine asks for.
func (e *Engine) fillBatch(count, guess int, call func(h *C.kms, p *packed, f **C.kms_error) C.kms_status) ([]Result[[]byte], error) {
	p := newPacked(count, guess)
	err := e.use(func(handle *C.kms, failure **C.kms_error) C.kms_status {
		status := call(handle, &p, failure)
		if status == C.go_batch_buffer_too_small {
			C.kms_error_free(*failure)
			*failure = nil
			size := 0
			for _, n := range p.lens {
				size += int(n)
			}
			p.out = make([]byte, size)
			status = call(handle, &p, failure)
		}
		return status
	})
	if err != nil {
		return nil, err
	}
	results := make([]Result[[]byte], count)
	at := 0
	for i := range results {
		end := at + int(p.lens[i])
		if err := p.take(i); err != nil {
			results[i].Err = err
		} else {
			// Not one byte more, so that an append does not reach into the next one.
			results[i].Value = p.out[at:end:end]
		}
		at = end
	}
	return results, nil
}

// contextsOf returns the contexts of a batch as C takes them.
func contextsOf(contexts []map[string]string, count int) (*C.char, *C.size_t, error) {
	switch len(contexts) {
	case 0:
		return nil, nil, nil
	case 1:
		context, err := cContext(contexts[0])
		return context, nil, err
	case count:
		var texts []byte
		lens := make([]C.size_t, count)
		for i, context := range contexts {
			text, err := contextJSON(context)
			if err != nil {
				return nil, nil, err
			}
			texts = append(texts, text...)
			lens[i] = C.size_t(len(text))
		}
		return (*C.char)(unsafe.Pointer(pointer(texts))), &lens[0], nil
	}
	return nil, nil, fmt.Errorf("kms: there are %d contexts for %d items", len(contexts), count)
}

// EncryptBatch encrypts many plaintexts under one key in one call, each as Encrypt would. The contexts are one for each
// plaintext, a single one for all, or none. The error is of what concerns no single item; otherwise there is a Result for
// each, in their order.
func (e *Engine) EncryptBatch(keyID string, plaintexts [][]byte, contexts []map[string]string) ([]Result[[]byte], error) {
	key, err := cString("keyID", keyID)
	if err != nil {
		return nil, err
	}
	texts, textLens, err := contextsOf(contexts, len(plaintexts))
	if err != nil {
		return nil, err
	}
	in := newRow(plaintexts)
	defer wipe(in.bytes)
	count := len(plaintexts)
	return e.fillBatch(count, len(in.bytes)+count*blobOverhead, func(h *C.kms, p *packed, f **C.kms_error) C.kms_status {
		return C.kms_encrypt_batch(h, key, C.size_t(count), pointer(in.bytes), first(in.lens), texts, textLens,
			pointer(p.out), C.size_t(len(p.out)), first(p.lens), first(p.statuses), first(p.errors), f)
	})
}

// DecryptBatch decrypts many blobs, of any keys, in one call, each as Decrypt would. Contexts, error and results are as for
// EncryptBatch. The plaintexts share one array: overwrite each when you are done with it.
func (e *Engine) DecryptBatch(blobs [][]byte, contexts []map[string]string) ([]Result[[]byte], error) {
	texts, textLens, err := contextsOf(contexts, len(blobs))
	if err != nil {
		return nil, err
	}
	in := newRow(blobs)
	count := len(blobs)
	return e.fillBatch(count, len(in.bytes), func(h *C.kms, p *packed, f **C.kms_error) C.kms_status {
		return C.kms_decrypt_batch(h, C.size_t(count), pointer(in.bytes), first(in.lens), texts, textLens,
			pointer(p.out), C.size_t(len(p.out)), first(p.lens), first(p.statuses), first(p.errors), f)
	})
}

// SignBatch signs many digests with one key in one call, each as Sign would. The error is of what concerns no single item;
// otherwise there is a Result for each, in their order.
func (e *Engine) SignBatch(keyID, keyVersionID string, algorithm SigningAlgorithm, digests [][]byte) ([]Result[[]byte], error) {
	ref, err := newVersionRef(keyID, keyVersionID, string(algorithm))
	if err != nil {
		return nil, err
	}
	in := newRow(digests)
	count, guess := len(digests), signatureGuess
	if algorithm == ECDSASHA256 || algorithm == SM2DSA {
		guess = curveSignatureGuess
	}
	return e.fillBatch(count, count*guess, func(h *C.kms, p *packed, f **C.kms_error) C.kms_status {
		return C.kms_sign_batch(h, ref.key, ref.version, ref.algorithm, C.size_t(count), pointer(in.bytes), first(in.lens),
			pointer(p.out), C.size_t(len(p.out)), first(p.lens), first(p.statuses), first(p.errors), f)
	})
}

// VerifyBatch says for many signatures by one key whether each is one of the digest at the same place, as Verify would. The
// error is of what concerns no single item; otherwise there is a Result for each, in their order.
func (e *Engine) VerifyBatch(keyID, keyVersionID string, algorithm SigningAlgorithm, digests, signatures [][]byte) ([]Result[bool], error) {
	if len(digests) != len(signatures) {
		return nil, fmt.Errorf("kms: there are %d signatures for %d digests", len(signatures), len(digests))
	}
	ref, err := newVersionRef(keyID, keyVersionID, string(algorithm))
	if err != nil {
		return nil, err
	}
	in, signed := newRow(digests), newRow(signatures)
	count := len(digests)
	valid, told := make([]C.bool, count), newAnswers(count)
	err = e.use(func(h *C.kms, f **C.kms_error) C.kms_status {
		return C.kms_verify_batch(h, ref.key, ref.version, ref.algorithm, C.size_t(count), pointer(in.bytes), first(in.lens),
			pointer(signed.bytes), first(signed.lens), first(valid), first(told.statuses), first(told.errors), f)
	})
	if err != nil {
		return nil, err
	}
	results := make([]Result[bool], count)
	for i := range results {
		results[i] = Result[bool]{bool(valid[i]), told.take(i)}
	}
	return results, nil
}
