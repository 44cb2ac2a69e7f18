package kms_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kms"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func open(t testing.TB, config kms.Config) *kms.Engine {
	t.Helper()
	engine, err := kms.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	return engine
}

func call(t testing.TB, engine *kms.Engine, action string, params any) map[string]any {
	t.Helper()
	reply, err := engine.Call(action, params)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	var object map[string]any
	if err := json.Unmarshal(reply, &object); err != nil {
		t.Fatalf("%s: %v in %s", action, err, reply)
	}
	return object
}

func createKey(t testing.TB, engine *kms.Engine) string {
	t.Helper()
	return call(t, engine, "CreateKey", nil)["KeyMetadata"].(map[string]any)["KeyId"].(string)
}

// wantCode checks that err is an *Error with the code, and that every form of asking says so.
func wantCode(t testing.TB, err error, code kms.Code) *kms.Error {
	t.Helper()
	var failure *kms.Error
	if !errors.As(err, &failure) || !errors.Is(err, code) || failure.Code != code || errors.Is(err, kms.Code("Other")) {
		t.Fatalf("got %v, expected %s", err, code)
	}
	return failure
}

func TestVersion(t *testing.T) {
	if kms.Version() == "" {
		t.Fatal("the library has no version")
	}
}

func TestRoundTrip(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createKey(t, engine)
	context := map[string]string{"tenant": "<42> & more", "语言": "中文"}
	for _, plaintext := range [][]byte{nil, {}, {0}, []byte("hello"), bytes.Repeat([]byte{0xff}, 6144)} {
		blob, err := engine.Encrypt(key, plaintext, context)
		if err != nil {
			t.Fatal(err)
		}
		got, err := engine.Decrypt(blob, context)
		if err != nil || got == nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("%d bytes came back as %v, %v", len(plaintext), got, err)
		}
		_, err = engine.Decrypt(blob, nil)
		wantCode(t, err, kms.ErrInvalidParameter)
		moved, err := engine.ReEncrypt(blob, context, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = engine.Decrypt(moved, map[string]string{}); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("%d bytes came back as %v, %v", len(plaintext), got, err)
		}
	}
	_, err := engine.Encrypt(key, make([]byte, 6145), nil)
	wantCode(t, err, kms.ErrInvalidParameter)
	_, err = engine.Decrypt(nil, nil)
	if err == nil {
		t.Fatal("an empty blob was decrypted")
	}
}

// What a Go program encrypts, a client of the JSON action decrypts, and the other way round.
func TestTypedAndNamedActionsAgree(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createKey(t, engine)
	blob, err := engine.Encrypt(key, []byte("both ways"), nil)
	if err != nil {
		t.Fatal(err)
	}
	reply := call(t, engine, "Decrypt", map[string]any{"CiphertextBlob": blob}) // []byte is Base64 in JSON
	if reply["Plaintext"] != base64.StdEncoding.EncodeToString([]byte("both ways")) || reply["KeyId"] != key {
		t.Fatalf("unexpected reply %v", reply)
	}
	reply = call(t, engine, "Encrypt", map[string]any{"KeyId": key, "Plaintext": []byte("and back")})
	blob, err = base64.StdEncoding.DecodeString(reply["CiphertextBlob"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := engine.Decrypt(blob, nil); err != nil || string(got) != "and back" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestDataKeys(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createKey(t, engine)
	for _, n := range []int{1, 32, 1024} {
		plaintext, blob, err := engine.GenerateDataKey(key, n, nil)
		if err != nil || len(plaintext) != n {
			t.Fatalf("%d bytes: got %d, %v", n, len(plaintext), err)
		}
		if got, err := engine.Decrypt(blob, nil); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("%d bytes: another key came back, %v", n, err)
		}
		if blob, err = engine.GenerateDataKeyWithoutPlaintext(key, n, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := engine.Decrypt(blob, nil); err != nil || len(got) != n {
			t.Fatalf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
	for _, n := range []int{-1, 0, 1025, 1 << 40} {
		_, _, err := engine.GenerateDataKey(key, n, nil)
		wantCode(t, err, kms.ErrInvalidParameter)
		_, err = engine.GenerateDataKeyWithoutPlaintext(key, n, nil)
		wantCode(t, err, kms.ErrInvalidParameter)
	}
}

func TestErrors(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	_, err := engine.Call("DescribeKey", map[string]string{"KeyId": "00000000-0000-4000-8000-000000000000"})
	failure := wantCode(t, err, kms.ErrKeyNotFound)
	if failure.HTTPStatus != 404 || failure.Status <= 0 || len(failure.RequestID) != 36 || failure.Message == "" {
		t.Fatalf("incomplete: %+v", failure)
	}
	_, err = engine.Call("DescribeKey", nil)
	if failure = wantCode(t, err, kms.ErrMissingParameter); !strings.Contains(failure.Message, `"KeyId"`) {
		t.Fatalf("the message does not name the parameter: %s", failure.Message)
	}
	_, err = engine.Call("Frobnicate", nil)
	wantCode(t, err, "UnsupportedOperation")
	_, err = engine.Call("DescribeKey", json.RawMessage("{"))
	wantCode(t, err, "ParseRequestParameterException")
	_, err = engine.Encrypt("alias/none", nil, nil)
	wantCode(t, err, kms.ErrAliasNotFound)

	key := createKey(t, engine)
	call(t, engine, "DisableKey", map[string]any{"KeyId": key})
	_, err = engine.Encrypt(key, []byte("x"), nil)
	if failure = wantCode(t, err, kms.ErrDisabled); failure.HTTPStatus != 409 {
		t.Fatalf("HTTP status %d", failure.HTTPStatus)
	}
}

// Mistakes that Go makes easy, and that must not reach C as something else.
func TestTextsThatCDoesNotTake(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createKey(t, engine)
	if _, err := engine.Call("ListKeys\x00", nil); err == nil {
		t.Error("a NUL in the action was cut off")
	}
	if _, err := engine.Encrypt(key+"\x00", nil, nil); err == nil {
		t.Error("a NUL in the key id was cut off")
	}
	if _, err := engine.Call("ListKeys", json.RawMessage("{}\x00")); err == nil {
		t.Error("a NUL in the parameters was cut off")
	}
	_, err := engine.Encrypt(key, nil, map[string]string{"a": "\xff"})
	wantCode(t, err, "KMS_INVALID_UTF8")
	_, err = engine.Encrypt("\xff", nil, nil)
	wantCode(t, err, "KMS_INVALID_UTF8")
	if _, err := engine.Call("ListKeys", func() {}); err == nil {
		t.Error("a function was taken for parameters")
	}
	// A NUL inside a context is text like any other.
	blob, err := engine.Encrypt(key, []byte("x"), map[string]string{"a": "b\x00c"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = engine.Decrypt(blob, map[string]string{"a": "b"})
	wantCode(t, err, kms.ErrInvalidParameter)
}

func TestConfig(t *testing.T) {
	seed := uint64(1)
	for name, config := range map[string]kms.Config{
		"no store":              {},
		"no root key":           {Store: filepath.Join(t.TempDir(), "kms")},
		"short root key":        {Store: filepath.Join(t.TempDir(), "kms"), RootKey: make([]byte, 31)},
		"empty root key":        {Store: filepath.Join(t.TempDir(), "kms"), RootKey: []byte{}},
		"unknown member":        {Store: "memory:", Options: map[string]any{"colour": "blue"}},
		"seed without a clock":  {Store: "memory:", Seed: &seed},
		"root key and a file":   {Store: filepath.Join(t.TempDir(), "kms"), RootKey: make([]byte, 32), RootKeyFile: "x"},
		"account of the banker": {Store: "memory:", AccountID: "banker"},
	} {
		if engine, err := kms.Open(config); !errors.Is(err, kms.ErrInvalidConfig) || engine != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := kms.Open(kms.Config{Store: "memory:", Passphrase: "x", RootKeyFile: "y"}); err == nil {
		t.Error("two root keys were taken")
	}
	if _, err := kms.Open(kms.Config{Store: "memory:", Options: map[string]any{"store": "memory:"}}); err == nil {
		t.Error("two stores were taken")
	}
}

func TestManualClock(t *testing.T) {
	seed := uint64(7)
	config := kms.Config{Store: "memory:", ManualClock: start, Seed: &seed}
	engine := open(t, config)
	key := createKey(t, engine)
	if twin := createKey(t, open(t, config)); twin != key {
		t.Errorf("the same seed gave %s and %s", key, twin)
	}
	call(t, engine, "ScheduleKeyDeletion", map[string]any{"KeyId": key, "PendingWindowInDays": 7})
	if err := engine.AdvanceClock(7 * 24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := engine.Call("DescribeKey", map[string]any{"KeyId": key})
	wantCode(t, err, kms.ErrKeyNotFound)
	report, err := engine.RunDue()
	if want := `{"DeletedKeys":1,"ExpiredMaterials":0,"RotatedKeys":0}`; err != nil || string(report) != want {
		t.Errorf("report %s, %v, want %s", report, err, want)
	}
	if err := engine.AdvanceClock(time.Millisecond); err == nil {
		t.Error("the clock moved by less than a second")
	}
	wantCode(t, open(t, kms.Config{Store: "memory:"}).AdvanceClock(time.Second), kms.ErrClockNotManual)
}

// A key that is due rotates although nobody calls for it.
func TestSweep(t *testing.T) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	engine := open(t, kms.Config{Store: "memory:", ManualClock: start, Options: map[string]any{"sweep": 1}})
	metadata := func(action string, params map[string]any) map[string]any {
		t.Helper()
		return call(t, engine, action, params)["KeyMetadata"].(map[string]any)
	}
	created := metadata("CreateKey", map[string]any{"EnableAutomaticRotation": true, "RotationInterval": "7d"})
	if err := engine.AdvanceClock(7 * 24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	now, end := created, time.Now().Add(time.Minute)
	for now["PrimaryKeyVersion"] == created["PrimaryKeyVersion"] {
		if time.Now().After(end) {
			t.Fatal("the key has not rotated")
		}
		time.Sleep(50 * time.Millisecond)
		now = metadata("DescribeKey", map[string]any{"KeyId": created["KeyId"]})
	}
}

func TestStore(t *testing.T) {
	directory := t.TempDir()
	rootKey := bytes.Repeat([]byte{7}, 32)
	config := kms.Config{Store: "sled:" + filepath.Join(directory, "kms"), RootKey: rootKey}
	engine := open(t, config)
	key := createKey(t, engine)
	blob, err := engine.Encrypt(key, []byte("kept"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = kms.Open(config)
	wantCode(t, err, kms.ErrStoreLocked)
	engine.Close()

	_, err = kms.Open(kms.Config{Store: config.Store, RootKey: make([]byte, 32)})
	wantCode(t, err, kms.ErrWrongRootKey)
	engine = open(t, config)
	if got, err := engine.Decrypt(blob, nil); err != nil || string(got) != "kept" {
		t.Fatalf("got %q, %v", got, err)
	}

	file := filepath.Join(directory, "root.key")
	keyed := kms.Config{Store: filepath.Join(directory, "keyed"), RootKeyFile: file, CreateRootKeyFile: true}
	open(t, keyed).Close()
	if info, err := os.Stat(file); err != nil || info.Size() != 32 || info.Mode().Perm() != 0o600 {
		t.Fatalf("root key file: %v, %v", info, err)
	}
	keyed.CreateRootKeyFile = false
	open(t, keyed)

	if err := os.WriteFile(filepath.Join(directory, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = kms.Open(kms.Config{Store: directory, RootKey: rootKey})
	wantCode(t, err, kms.ErrStoreForeign)
}

func TestClose(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createKey(t, engine)
	for i := 0; i < 2; i++ {
		if err := engine.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := engine.Call("ListKeys", nil)
	wantCode(t, err, kms.ErrClosed)
	_, err = engine.Encrypt(key, nil, nil)
	wantCode(t, err, kms.ErrClosed)
	_, err = engine.Decrypt(nil, nil)
	wantCode(t, err, kms.ErrClosed)
	_, _, err = engine.GenerateDataKey(key, 32, nil)
	wantCode(t, err, kms.ErrClosed)
	_, err = engine.GenerateDataKeyWithoutPlaintext(key, 32, nil)
	wantCode(t, err, kms.ErrClosed)
	_, err = engine.ReEncrypt(nil, nil, key, nil)
	wantCode(t, err, kms.ErrClosed)
	wantCode(t, engine.AdvanceClock(0), kms.ErrClosed)
	_, err = engine.RunDue()
	wantCode(t, err, kms.ErrClosed)
}

// An engine that nobody closed gives its store back when it is collected.
func TestFinalizer(t *testing.T) {
	config := kms.Config{Store: filepath.Join(t.TempDir(), "kms"), RootKey: make([]byte, 32)}
	func() {
		engine, err := kms.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		createKey(t, engine)
	}()
	for deadline := time.Now().Add(30 * time.Second); ; {
		runtime.GC()
		engine, err := kms.Open(config)
		if err == nil {
			engine.Close()
			return
		}
		wantCode(t, err, kms.ErrStoreLocked)
		if time.Now().After(deadline) {
			t.Fatal("the store is still locked")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Goroutines work while the key is disabled and enabled and in the end the engine is closed. The phase counts up at every
// step of the main goroutine; if it did not move during a call, the answer is certain.
func TestConcurrency(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createKey(t, engine)
	blob, err := engine.Encrypt(key, []byte("shared"), nil)
	if err != nil {
		t.Fatal(err)
	}
	const (
		enabled  = 0
		disabled = 2
	)
	var phase, certain atomic.Uint32
	var workers sync.WaitGroup
	count := 2 * runtime.GOMAXPROCS(0)
	for i := 0; i < count; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				before := phase.Load()
				plaintext, err := engine.Decrypt(blob, nil)
				after := phase.Load()
				switch {
				case errors.Is(err, kms.ErrClosed):
					return
				case err == nil && string(plaintext) != "shared":
					t.Errorf("decrypted to %q", plaintext)
				case err != nil && !errors.Is(err, kms.ErrDisabled):
					t.Error(err)
				case before == after && before%4 == enabled && err != nil:
					t.Errorf("refused while enabled: %v", err)
				case before == after && before%4 == disabled && err == nil:
					t.Error("decrypted while disabled")
				}
				if before == after {
					certain.Add(1)
				}
				if _, err := engine.Encrypt(key, []byte("other"), nil); errors.Is(err, kms.ErrClosed) {
					return
				} else if err != nil && !errors.Is(err, kms.ErrDisabled) {
					t.Error(err)
				}
			}
		}()
	}
	letThemWork := func() {
		for enough := certain.Load() + uint32(4*count); certain.Load() < enough && !t.Failed(); {
			time.Sleep(100 * time.Microsecond)
		}
	}
	for round := 0; round < 50; round++ {
		for _, action := range []string{"DisableKey", "EnableKey"} {
			letThemWork()
			phase.Add(1)
			call(t, engine, action, map[string]any{"KeyId": key})
			phase.Add(1)
		}
	}
	letThemWork()
	engine.Close()
	workers.Wait()
}

func BenchmarkEncrypt32(b *testing.B) {
	engine := open(b, kms.Config{Store: "memory:"})
	key := createKey(b, engine)
	plaintext := make([]byte, 32)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if _, err := engine.Encrypt(key, plaintext, nil); err != nil {
			b.Fatal(err)
		}
	}
}
