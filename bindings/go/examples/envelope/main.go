// Command envelope shows envelope encryption with kms: the key that protects your data never leaves the store.
//
//	envelope STORE_DIR ROOT_KEY_FILE encrypt   IN OUT
//	envelope STORE_DIR ROOT_KEY_FILE decrypt   IN OUT
//	envelope STORE_DIR ROOT_KEY_FILE lifecycle ENCRYPTED_FILE
//
// The C program of the same name has a further step, create, which makes the store and the key alias/demo. All three
// programs (C, Go, Python) work on one store and read each other's files:
//
//	offset   size  field
//	0        8     "KMSENV01"
//	8        2     L, the length of the wrapped data key, big-endian
//	10       L     the wrapped data key, as GenerateDataKey made it
//	10+L     12    GCM nonce
//	22+L     n     ciphertext, as long as the plaintext
//	22+L+n   16    GCM tag
//
// The GCM's additional data is everything before the ciphertext.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"kms"
)

const (
	dataKeyLen = 32
	nonceLen   = 12
	tagLen     = 16
	alias      = "alias/demo"
)

var (
	magic = []byte("KMSENV01")
	// context is bound to the wrapped data key and stored nowhere: whoever unwraps it must say the same.
	context = map[string]string{"purpose": "envelope-demo"}
)

const usage = `usage: envelope STORE_DIR ROOT_KEY_FILE encrypt   IN OUT
       envelope STORE_DIR ROOT_KEY_FILE decrypt   IN OUT
       envelope STORE_DIR ROOT_KEY_FILE lifecycle ENCRYPTED_FILE`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "envelope:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	step := ""
	if len(args) > 2 {
		step = args[2]
	}
	isFile := (step == "encrypt" || step == "decrypt") && len(args) == 5
	if !isFile && !(step == "lifecycle" && len(args) == 4) {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	engine, err := kms.Open(kms.Config{Store: "sled:" + args[0], RootKeyFile: args[1]})
	if err != nil {
		return err
	}
	defer engine.Close()
	switch step {
	case "encrypt":
		return encrypt(engine, args[3], args[4])
	case "decrypt":
		return decrypt(engine, args[3], args[4])
	default:
		return lifecycle(engine, args[3])
	}
}

func say(format string, args ...any) {
	fmt.Printf("[Go]     "+format+"\n", args...)
}

func wipe(b []byte) {
	for i := range b {
		b[i] = 0
	}
}

// gcm returns AES-256-GCM under the data key, which may be wiped afterwards. The key schedule inside is out of our reach.
func gcm(dataKey []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// encrypt encrypts a file under a data key of its own.
func encrypt(engine *kms.Engine, in, out string) error {
	plaintext, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	start := time.Now()
	dataKey, blob, err := engine.GenerateDataKey(alias, dataKeyLen, context)
	if err != nil {
		return err
	}
	took := time.Since(start)
	aead, err := gcm(dataKey)
	wipe(dataKey) // from here on only the master key can open the file
	if err != nil {
		return err
	}
	head := append([]byte(nil), magic...)
	head = binary.BigEndian.AppendUint16(head, uint16(len(blob)))
	head = append(head, blob...)
	nonce := make([]byte, nonceLen)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	head = append(head, nonce...)
	file := aead.Seal(head, nonce, plaintext, head)
	if err := os.WriteFile(out, file, 0o600); err != nil {
		return err
	}
	say("encrypted %s -> %s: %d bytes under a data key of its own (%d us); its wrapped form, %d bytes, is in the file",
		in, out, len(plaintext), took.Microseconds(), len(blob))
	return nil
}

// parse splits an encrypted file into the wrapped data key, the head (up to the ciphertext) and the rest.
func parse(path string) (blob, head, sealed []byte, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, nil, err
	}
	blobStart := len(magic) + 2
	if len(data) >= blobStart && bytes.HasPrefix(data, magic) {
		blobEnd := blobStart + int(binary.BigEndian.Uint16(data[len(magic):]))
		headEnd := blobEnd + nonceLen
		if len(data) >= headEnd+tagLen {
			return data[blobStart:blobEnd], data[:headEnd], data[headEnd:], nil
		}
	}
	return nil, nil, nil, fmt.Errorf("%s is not an envelope file, or it is cut short", path)
}

// decrypt decrypts a file; no byte is written before all of it is verified.
func decrypt(engine *kms.Engine, in, out string) error {
	blob, head, sealed, err := parse(in)
	if err != nil {
		return err
	}
	start := time.Now()
	dataKey, err := engine.Decrypt(blob, context)
	if err != nil {
		return err
	}
	took := time.Since(start)
	aead, err := gcm(dataKey)
	wipe(dataKey)
	if err != nil {
		return err
	}
	plaintext, err := aead.Open(nil, head[len(head)-nonceLen:], sealed, head)
	if err != nil {
		return fmt.Errorf("%s was altered: its authentication tag does not fit", in)
	}
	if err := os.WriteFile(out, plaintext, 0o600); err != nil {
		return err
	}
	say("decrypted %s -> %s: %d bytes, data key unwrapped in %d us, every byte authenticated",
		in, out, len(plaintext), took.Microseconds())
	return nil
}

// attempt tries to unwrap a data key and says what came of it; expected is the refusal's code, "" for success.
func attempt(engine *kms.Engine, after string, blob []byte, expected kms.Code) error {
	dataKey, err := engine.Decrypt(blob, context)
	wipe(dataKey)
	var code kms.Code
	var failure *kms.Error
	switch {
	case err == nil:
		say("%-28s -> decrypt works", after)
	case errors.As(err, &failure):
		code = failure.Code
		say("%-28s -> decrypt refused: %d %s", after, failure.HTTPStatus, code)
	default:
		return err
	}
	if code != expected {
		return fmt.Errorf("expected %q, got %q", expected, code)
	}
	return nil
}

// lifecycle shows that whoever controls the master key controls every file.
func lifecycle(engine *kms.Engine, path string) error {
	blob, _, _, err := parse(path)
	if err != nil {
		return err
	}
	reply, err := engine.Call("DescribeKey", map[string]any{"KeyId": alias})
	if err != nil {
		return err
	}
	var described struct{ KeyMetadata struct{ KeyId string } }
	if err := json.Unmarshal(reply, &described); err != nil {
		return err
	}
	// State changes take a key id, never an alias: an alias may point elsewhere by the time they act.
	key := described.KeyMetadata.KeyId
	for _, step := range []struct {
		action   string
		params   map[string]any
		after    string
		expected kms.Code
	}{
		{"DisableKey", map[string]any{"KeyId": key}, "key disabled", kms.ErrDisabled},
		{"EnableKey", map[string]any{"KeyId": key}, "key enabled", ""},
		{"ScheduleKeyDeletion", map[string]any{"KeyId": key, "PendingWindowInDays": 7}, "deletion set for in 7 days", kms.ErrPendingDeletion},
		{"CancelKeyDeletion", map[string]any{"KeyId": key}, "deletion cancelled", ""},
	} {
		if _, err := engine.Call(step.action, step.params); err != nil {
			return err
		}
		if err := attempt(engine, step.after, blob, step.expected); err != nil {
			return err
		}
	}
	return nil
}
