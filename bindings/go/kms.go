// Package kms embeds a key-management service: the whole Alibaba Cloud KMS model in this process, with a store of its own.
//
// An Engine is opened on a store and used from any number of goroutines:
//
//	engine, err := kms.Open(kms.Config{Store: "sled:/var/lib/app/kms", RootKeyFile: "/etc/app/root.key"})
//	if err != nil {
//		return err
//	}
//	defer engine.Close()
//	blob, err := engine.Encrypt("alias/app", []byte("secret"), map[string]string{"tenant": "42"})
//
// The few operations of the hot path (Encrypt, Decrypt, GenerateDataKey, ReEncrypt) have methods that take and return
// bytes. Every action, these included, can be reached by its name through Call, with its parameters as JSON.
//
// Asymmetric keys have such methods too (Sign, Verify, AsymmetricEncrypt, AsymmetricDecrypt, PublicKey, Digest), and stand where
// the standard library takes a private key: NewSigner makes a crypto.Signer, NewDecrypter a crypto.Decrypter.
//
// EncryptBatch, DecryptBatch, SignBatch and VerifyBatch take many items and cross the border to C once.
//
// A failure of the engine is an *Error. It matches the Code of its kind:
//
//	if errors.Is(err, kms.ErrDisabled) { … }
//
// The package needs cgo and libkms. In the source tree it finds both by itself; elsewhere CGO_CFLAGS and CGO_LDFLAGS say
// where kms.h and the library are.
package kms

/*
#cgo CFLAGS: -I${SRCDIR}/../../include
#cgo LDFLAGS: -L${SRCDIR}/../../target/release -lkms
#cgo linux LDFLAGS: -Wl,-rpath,${SRCDIR}/../../target/release
#include "kms.h"

// kms_host holds a pointer, and Go may not pass C a pointer to memory that holds a Go pointer; so it is filled here.
static kms_status kms_go_open(const char *config, const uint8_t *root_key, size_t root_key_len, kms **out, kms_error **err) {
	kms_host host = {0};
	host.size = sizeof host;
	host.root_key = root_key;
	host.root_key_len = root_key_len;
	return kms_open(KMS_ABI_VERSION, config, root_key != NULL ? &host : NULL, out, err);
}

enum {
	go_buffer_too_small = KMS_BUFFER_TOO_SMALL,
	go_closed = KMS_CLOSED,
	go_invalid_utf8 = KMS_INVALID_UTF8,
};
*/
import "C"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"
)

// blobOverhead is more than a ciphertext of the present format adds to its plaintext. A first guess only: the engine
// says how much it needs when it needs more.
const blobOverhead = 128

// maxDataKey is one more than the longest data key. Larger requests are cut to it, so that the engine refuses them and no
// memory is spent on them.
const maxDataKey = 1024 + 1

// Config says where the keys are and how they are protected. Store is required, and one root key unless the store is
// "memory:"; everything else has a default.
type Config struct {
	// Store is "sled:PATH", "redb:PATH", "memory:" or the URL of a shared database. A bare path is sled.
	Store string

	// RootKey is the 32-byte key that seals the store. The engine copies it; the caller may wipe it after Open.
	RootKey []byte
	// RootKeyFile names a file with the 32 bytes instead. With CreateRootKeyFile it is made, readable by the owner
	// only, if it does not exist; an existing file is never overwritten.
	RootKeyFile       string
	CreateRootKeyFile bool
	// Passphrase is stretched to a root key instead.
	Passphrase string

	// AccountID and Region are part of every ARN. A store keeps those it was made with.
	AccountID string
	Region    string

	// ManualClock, unless zero, stops the engine's clock at this time; only AdvanceClock moves it. For tests.
	ManualClock time.Time
	// Seed makes ids and the engine's own random bytes reproducible, not those of RSA and P-256. It needs a manual clock and the "memory:" store. For tests.
	Seed *uint64

	// Options are further members of the engine's JSON configuration, such as "limits" or "hsm".
	Options map[string]any
}

// json writes the configuration for the engine. The caller wipes it: it may hold the passphrase.
func (c *Config) json() ([]byte, error) {
	members := make(map[string]any, len(c.Options)+6)
	for name, value := range c.Options {
		members[name] = value
	}
	var conflict error
	set := func(name string, value any) {
		if _, twice := members[name]; twice {
			conflict = fmt.Errorf("kms: %q is set twice in the configuration", name)
		}
		members[name] = value
	}
	set("store", c.Store)
	if c.RootKeyFile != "" {
		set("root_key", map[string]any{"file": c.RootKeyFile, "create": c.CreateRootKeyFile})
	}
	if c.Passphrase != "" {
		set("root_key", map[string]any{"passphrase": c.Passphrase})
	}
	if c.AccountID != "" {
		set("account_id", c.AccountID)
	}
	if c.Region != "" {
		set("region", c.Region)
	}
	if !c.ManualClock.IsZero() {
		set("clock", map[string]any{"manual": c.ManualClock.UTC().Format("2006-01-02T15:04:05Z")})
	}
	if c.Seed != nil {
		set("seed", *c.Seed)
	}
	if conflict != nil {
		return nil, conflict
	}
	return marshal(members)
}

// Engine is an open key store. All its methods may be called from any number of goroutines at once. After Close they
// return an error that matches ErrClosed.
type Engine struct {
	// mu is held shared during a call and exclusively by Close, so that no call meets a freed handle.
	mu     sync.RWMutex
	handle *C.kms
}

// Version returns the version of the library.
func Version() string {
	return C.GoString(C.kms_version())
}

// Open opens the store that config describes, and makes it if it does not exist.
func Open(config Config) (*Engine, error) {
	text, err := config.json()
	if err != nil {
		return nil, err
	}
	text = append(text, 0)
	defer wipe(text)
	var rootKey *C.uint8_t
	if config.RootKey != nil {
		rootKey = pointer(config.RootKey)
	}
	var handle *C.kms
	var failure *C.kms_error
	status := C.kms_go_open((*C.char)(unsafe.Pointer(&text[0])), rootKey, C.size_t(len(config.RootKey)), &handle, &failure)
	if status != C.KMS_OK {
		return nil, takeError(status, failure)
	}
	engine := &Engine{handle: handle}
	runtime.SetFinalizer(engine, func(e *Engine) { e.Close() })
	return engine, nil
}

// Close waits for the calls that are running, then closes the store. Closing twice is fine; the error is always nil.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handle != nil {
		C.kms_close(e.handle)
		e.handle = nil
		runtime.SetFinalizer(e, nil)
	}
	return nil
}

// use runs call with the handle, which cannot be closed meanwhile, and turns a failure into an error.
func (e *Engine) use(call func(handle *C.kms, failure **C.kms_error) C.kms_status) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.handle == nil {
		return &Error{Status: C.go_closed, Code: ErrClosed, Message: "the engine is closed"}
	}
	var failure *C.kms_error
	if status := call(e.handle, &failure); status != C.KMS_OK {
		return takeError(status, failure)
	}
	return nil
}

// fill runs a call that writes bytes. If the first guess at their number is too small, it is repeated once with the bound
// that the engine asks for. The result is never nil on success.
func (e *Engine) fill(guess int, call func(h *C.kms, out *C.uint8_t, size C.size_t, len *C.size_t, f **C.kms_error) C.kms_status) ([]byte, error) {
	var out []byte
	var written C.size_t
	err := e.use(func(handle *C.kms, failure **C.kms_error) C.kms_status {
		out = make([]byte, guess)
		status := call(handle, pointer(out), C.size_t(len(out)), &written, failure)
		if status == C.go_buffer_too_small {
			C.kms_error_free(*failure)
			*failure = nil
			out = make([]byte, int(written))
			status = call(handle, pointer(out), C.size_t(len(out)), &written, failure)
		}
		return status
	})
	if err != nil {
		return nil, err
	}
	return out[:written], nil
}

// Call runs any action by its name. The parameters are anything that encoding/json turns into an object, nil for none; a
// json.RawMessage reaches the engine as it is. The reply is the JSON object of the action, RequestId included.
func (e *Engine) Call(action string, params any) (json.RawMessage, error) {
	name, err := cString("action", action)
	if err != nil {
		return nil, err
	}
	var text []byte
	switch params := params.(type) {
	case nil:
		text = []byte("{}")
	case json.RawMessage:
		if bytes.IndexByte(params, 0) >= 0 {
			return nil, errors.New("kms: params contains a NUL byte")
		}
		text = append(text, params...)
	default:
		if text, err = marshal(params); err != nil {
			return nil, err
		}
	}
	text = append(text, 0)
	defer wipe(text)
	var reply json.RawMessage
	err = e.use(func(handle *C.kms, failure **C.kms_error) C.kms_status {
		var out *C.char
		status := C.kms_call(handle, name, (*C.char)(unsafe.Pointer(&text[0])), &out, failure)
		reply = takeText(status, out)
		return status
	})
	return reply, err
}

// Encrypt encrypts up to 6144 bytes under the primary version of a symmetric key, named by id, ARN or alias. The context
// is authenticated but not stored: Decrypt needs an equal one. A nil context equals an empty one.
func (e *Engine) Encrypt(keyID string, plaintext []byte, context map[string]string) ([]byte, error) {
	key, err := cString("keyID", keyID)
	if err != nil {
		return nil, err
	}
	ctx, err := cContext(context)
	if err != nil {
		return nil, err
	}
	return e.fill(len(plaintext)+blobOverhead, func(h *C.kms, out *C.uint8_t, size C.size_t, n *C.size_t, f **C.kms_error) C.kms_status {
		return C.kms_encrypt(h, key, pointer(plaintext), C.size_t(len(plaintext)), ctx, out, size, n, f)
	})
}

// Decrypt decrypts what Encrypt, GenerateDataKey or ReEncrypt made. The ciphertext itself names its key.
func (e *Engine) Decrypt(blob []byte, context map[string]string) ([]byte, error) {
	ctx, err := cContext(context)
	if err != nil {
		return nil, err
	}
	return e.fill(len(blob), func(h *C.kms, out *C.uint8_t, size C.size_t, n *C.size_t, f **C.kms_error) C.kms_status {
		return C.kms_decrypt(h, pointer(blob), C.size_t(len(blob)), ctx, out, size, n, f)
	})
}

// GenerateDataKey makes a random key of 1 to 1024 bytes. Encrypt your data with the plaintext, wipe it, and keep the blob
// beside the data: Decrypt turns it into the plaintext again.
func (e *Engine) GenerateDataKey(keyID string, numberOfBytes int, context map[string]string) (plaintext, blob []byte, err error) {
	return e.dataKey(keyID, numberOfBytes, context, true)
}

// GenerateDataKeyWithoutPlaintext makes a data key for somebody else: only the blob is returned.
func (e *Engine) GenerateDataKeyWithoutPlaintext(keyID string, numberOfBytes int, context map[string]string) ([]byte, error) {
	_, blob, err := e.dataKey(keyID, numberOfBytes, context, false)
	return blob, err
}

func (e *Engine) dataKey(keyID string, numberOfBytes int, context map[string]string, withPlaintext bool) (plaintext, blob []byte, err error) {
	key, err := cString("keyID", keyID)
	if err != nil {
		return nil, nil, err
	}
	ctx, err := cContext(context)
	if err != nil {
		return nil, nil, err
	}
	if numberOfBytes < 0 {
		numberOfBytes = 0
	} else if numberOfBytes > maxDataKey {
		numberOfBytes = maxDataKey
	}
	var secret *C.uint8_t
	var secretLen C.size_t
	if withPlaintext {
		plaintext = make([]byte, numberOfBytes)
		secret = pointer(plaintext)
	}
	blob, err = e.fill(numberOfBytes+blobOverhead, func(h *C.kms, out *C.uint8_t, size C.size_t, n *C.size_t, f **C.kms_error) C.kms_status {
		return C.kms_generate_data_key(h, key, C.size_t(numberOfBytes), ctx, secret, C.size_t(len(plaintext)), &secretLen, out, size, n, f)
	})
	if err != nil {
		return nil, nil, err
	}
	return plaintext[:secretLen], blob, nil
}

// ReEncrypt decrypts a blob and encrypts it under another key, another context or the newest key version. The plaintext
// never leaves the engine.
func (e *Engine) ReEncrypt(blob []byte, sourceContext map[string]string, destinationKeyID string, destinationContext map[string]string) ([]byte, error) {
	key, err := cString("destinationKeyID", destinationKeyID)
	if err != nil {
		return nil, err
	}
	from, err := cContext(sourceContext)
	if err != nil {
		return nil, err
	}
	to, err := cContext(destinationContext)
	if err != nil {
		return nil, err
	}
	return e.fill(len(blob)+blobOverhead, func(h *C.kms, out *C.uint8_t, size C.size_t, n *C.size_t, f **C.kms_error) C.kms_status {
		return C.kms_reencrypt(h, pointer(blob), C.size_t(len(blob)), from, key, to, out, size, n, f)
	})
}

// AdvanceClock moves a manual clock forward by a whole number of seconds.
func (e *Engine) AdvanceClock(by time.Duration) error {
	if by%time.Second != 0 {
		return fmt.Errorf("kms: the clock counts whole seconds, not %v", by)
	}
	return e.use(func(handle *C.kms, failure **C.kms_error) C.kms_status {
		return C.kms_clock_advance(handle, C.int64_t(by/time.Second), failure)
	})
}

// RunDue does what is due at the present time: rotations, deletions, expiries. It returns the report as JSON, an object of
// three numbers: DeletedKeys, ExpiredMaterials and RotatedKeys. An engine whose Options have "sweep", a number of seconds,
// does it by itself.
func (e *Engine) RunDue() (json.RawMessage, error) {
	var report json.RawMessage
	err := e.use(func(handle *C.kms, failure **C.kms_error) C.kms_status {
		var out *C.char
		status := C.kms_run_due(handle, &out, failure)
		report = takeText(status, out)
		return status
	})
	return report, err
}

// takeText copies a text of the engine and frees it, which also wipes it.
func takeText(status C.kms_status, text *C.char) json.RawMessage {
	if status != C.KMS_OK {
		return nil
	}
	defer C.kms_string_free(text)
	return json.RawMessage(C.GoString(text))
}

// empty is what the pointer of an empty slice points to: C takes no NULL, even with length 0.
var empty [1]byte

// pointer returns the address of the first byte. It is used as an argument of a C call only; C keeps none of them.
func pointer(b []byte) *C.uint8_t {
	if len(b) == 0 {
		return (*C.uint8_t)(unsafe.Pointer(&empty[0]))
	}
	return (*C.uint8_t)(unsafe.Pointer(&b[0]))
}

// cString copies s and ends it with the NUL that C expects. A NUL inside would silently cut it short.
func cString(name, s string) (*C.char, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, fmt.Errorf("kms: %s contains a NUL byte", name)
	}
	b := make([]byte, len(s)+1)
	copy(b, s)
	return (*C.char)(unsafe.Pointer(&b[0])), nil
}

// cContext writes an encryption context as JSON, or NULL for none.
func cContext(context map[string]string) (*C.char, error) {
	text, err := contextJSON(context)
	if len(text) == 0 {
		return nil, err
	}
	text = append(text, 0)
	return (*C.char)(unsafe.Pointer(&text[0])), nil
}

// contextJSON writes an encryption context as JSON, or nothing for none.
func contextJSON(context map[string]string) ([]byte, error) {
	if len(context) == 0 {
		return nil, nil
	}
	for name, value := range context {
		// encoding/json would replace bad bytes, and thereby make different contexts equal.
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, &Error{Status: C.go_invalid_utf8, Code: "KMS_INVALID_UTF8", Message: "the encryption context is not UTF-8"}
		}
	}
	return marshal(context)
}

// marshal writes JSON without the escapes for HTML, which would count against the engine's limits.
func marshal(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("kms: parameters: %w", err)
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}

func wipe(b []byte) {
	for i := range b {
		b[i] = 0
	}
	runtime.KeepAlive(b)
}

// takeError copies an error of the engine and frees it.
func takeError(status C.kms_status, failure *C.kms_error) error {
	if failure == nil {
		return errors.New("kms: the engine failed without saying why")
	}
	defer C.kms_error_free(failure)
	return &Error{
		Status:     int(status),
		Code:       Code(C.GoString(C.kms_error_code(failure))),
		Message:    C.GoString(C.kms_error_message(failure)),
		RequestID:  C.GoString(C.kms_error_request_id(failure)),
		HTTPStatus: int(C.kms_error_http_status(failure)),
	}
}
