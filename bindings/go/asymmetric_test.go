package kms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kms"
)

const (
	signing    = "SIGN/VERIFY"
	encryption = "ENCRYPT/DECRYPT"
)

func createPair(t testing.TB, engine *kms.Engine, spec, usage string) string {
	t.Helper()
	reply := call(t, engine, "CreateKey", map[string]any{"KeySpec": spec, "KeyUsage": usage})
	return reply["KeyMetadata"].(map[string]any)["KeyId"].(string)
}

func newestVersion(t testing.TB, engine *kms.Engine, key string) string {
	t.Helper()
	list := call(t, engine, "ListKeyVersions", map[string]any{"KeyId": key})["KeyVersions"].(map[string]any)["KeyVersion"]
	return list.([]any)[0].(map[string]any)["KeyVersionId"].(string)
}

func TestSignatures(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	message := []byte("a message")
	plain := sha256.Sum256(message)
	for _, kind := range []struct {
		spec      string
		algorithm kms.SigningAlgorithm
		// by is Go's own verification; nil where it has none.
		by func(public crypto.PublicKey, signature []byte) bool
	}{
		{"RSA_2048", kms.RSAPSSSHA256, func(public crypto.PublicKey, signature []byte) bool {
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, plain[:], signature, options) == nil
		}},
		{"RSA_2048", kms.RSAPKCS1SHA256, func(public crypto.PublicKey, signature []byte) bool {
			return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, plain[:], signature) == nil
		}},
		{"EC_P256", kms.ECDSASHA256, func(public crypto.PublicKey, signature []byte) bool {
			return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), plain[:], signature)
		}},
		{"EC_P256K", kms.ECDSASHA256, nil},
		{"EC_SM2", kms.SM2DSA, nil},
	} {
		t.Run(fmt.Sprint(kind.spec, kind.algorithm), func(t *testing.T) {
			key := createPair(t, engine, kind.spec, signing)
			version := newestVersion(t, engine, key)
			digest, err := engine.Digest(key, version, kind.algorithm, message)
			if err != nil || len(digest) != kms.DigestSize {
				t.Fatalf("digest %x, %v", digest, err)
			}
			if isSHA256 := bytes.Equal(digest, plain[:]); isSHA256 != (kind.algorithm != kms.SM2DSA) {
				t.Errorf("digest %x", digest)
			}
			signature, err := engine.Sign(key, "", kind.algorithm, digest)
			if err != nil {
				t.Fatal(err)
			}
			for _, named := range []string{"", version} {
				if valid, err := engine.Verify(key, named, kind.algorithm, digest, signature); err != nil || !valid {
					t.Errorf("%q: %v, %v", named, valid, err)
				}
			}
			public, err := engine.PublicKey(key, version)
			if kind.by == nil {
				if err == nil || !strings.Contains(err.Error(), "PublicKeyPEM") {
					t.Errorf("a key that Go does not know: %v, %v", public, err)
				}
			} else if err != nil || !kind.by(public, signature) {
				t.Errorf("Go does not take the signature: %v", err)
			}

			signature[len(signature)-1] ^= 1
			for _, bad := range [][]byte{signature, signature[:len(signature)-1], {}, nil} {
				if valid, err := engine.Verify(key, version, kind.algorithm, digest, bad); err != nil || valid {
					t.Errorf("%d bytes: %v, %v", len(bad), valid, err)
				}
			}
			for _, n := range []int{0, 31, 33} {
				_, err := engine.Sign(key, version, kind.algorithm, make([]byte, n))
				wantCode(t, err, kms.ErrInvalidParameter)
				_, err = engine.Verify(key, version, kind.algorithm, make([]byte, n), signature)
				wantCode(t, err, kms.ErrInvalidParameter)
			}
			_, err = engine.Sign(key, key, kind.algorithm, digest)
			wantCode(t, err, kms.ErrKeyVersionNotFound)
			_, err = engine.Sign(key, version, "MD5", digest)
			wantCode(t, err, kms.ErrInvalidParameter)
			_, err = engine.AsymmetricEncrypt(key, version, kms.SM2PKE, []byte("x"))
			wantCode(t, err, kms.ErrOperationRejected)
		})
	}
}

func TestEncryptionToPublicKeys(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	for _, kind := range []struct {
		spec      string
		algorithm kms.EncryptionAlgorithm
		most      int
		// hash is that of Go's OAEP; nil where Go has no such encryption.
		hash func() hash.Hash
	}{
		{"RSA_2048", kms.RSAOAEPSHA256, 190, sha256.New},
		{"RSA_2048", kms.RSAOAEPSHA1, 214, sha1.New},
		{"RSA_3072", kms.RSAOAEPSHA1, 342, sha1.New},
		{"EC_SM2", kms.SM2PKE, 6047, nil},
	} {
		t.Run(fmt.Sprint(kind.spec, kind.algorithm), func(t *testing.T) {
			key := createPair(t, engine, kind.spec, encryption)
			version := newestVersion(t, engine, key)
			for _, n := range []int{1, 32, kind.most} {
				plaintext := bytes.Repeat([]byte{0xa7}, n)
				ciphertexts := make([][]byte, 1, 2)
				var err error
				if ciphertexts[0], err = engine.AsymmetricEncrypt(key, "", kind.algorithm, plaintext); err != nil {
					t.Fatal(err)
				}
				if kind.hash != nil {
					public, err := engine.PublicKey(key, version)
					if err != nil {
						t.Fatal(err)
					}
					theirs, err := rsa.EncryptOAEP(kind.hash(), rand.Reader, public.(*rsa.PublicKey), plaintext, nil)
					if err != nil {
						t.Fatal(err)
					}
					ciphertexts = append(ciphertexts, theirs)
				}
				for _, ciphertext := range ciphertexts {
					got, err := engine.AsymmetricDecrypt(key, version, kind.algorithm, ciphertext)
					if err != nil || !bytes.Equal(got, plaintext) {
						t.Errorf("%d bytes came back as %d, %v", n, len(got), err)
					}
					ciphertext[len(ciphertext)-1] ^= 1
					_, err = engine.AsymmetricDecrypt(key, version, kind.algorithm, ciphertext)
					wantCode(t, err, kms.ErrInvalidParameter)
				}
			}
			for _, n := range []int{0, kind.most + 1} {
				_, err := engine.AsymmetricEncrypt(key, version, kind.algorithm, make([]byte, n))
				wantCode(t, err, kms.ErrInvalidParameter)
			}
			for _, n := range []int{0, 1, 10_000} {
				_, err := engine.AsymmetricDecrypt(key, version, kind.algorithm, make([]byte, n))
				wantCode(t, err, kms.ErrInvalidParameter)
			}
			_, err := engine.Sign(key, version, kms.SM2DSA, make([]byte, kms.DigestSize))
			wantCode(t, err, kms.ErrOperationRejected)
		})
	}
}

func TestPublicKeyPEM(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createPair(t, engine, "EC_SM2", signing)
	text, err := engine.PublicKeyPEM(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if block, rest := pem.Decode(text); block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 {
		t.Errorf("not one PEM block: %s", text)
	}
	_, err = engine.PublicKeyPEM(createKey(t, engine), "")
	wantCode(t, err, kms.ErrOperationRejected)
	_, err = engine.PublicKey("alias/nobody", "")
	wantCode(t, err, kms.ErrAliasNotFound)
}

func TestDigestInPieces(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createPair(t, engine, "EC_SM2", signing)
	message := bytes.Repeat([]byte("0123456789"), 10_000)
	begin := func(options ...kms.DigestOption) *kms.Digest {
		t.Helper()
		digest, err := engine.NewDigest(key, "", kms.SM2DSA, options...)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	whole := func(options ...kms.DigestOption) []byte {
		t.Helper()
		digest, err := engine.Digest(key, "", kms.SM2DSA, message, options...)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	usual := whole()
	if got := whole(kms.SM2UserID("1234567812345678")); !bytes.Equal(got, usual) {
		t.Errorf("the usual id gave %x, none gave %x", got, usual)
	}
	seen := map[string]string{}
	for _, id := range []string{"1234567812345678", "", "somebody"} {
		pieces := begin(kms.SM2UserID(id))
		reader := io.MultiReader(bytes.NewReader(message[:1]), bytes.NewReader(nil), bytes.NewReader(message[1:]))
		if n, err := io.CopyBuffer(struct{ io.Writer }{pieces}, reader, make([]byte, 777)); err != nil || n != int64(len(message)) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		sum, err := pieces.Sum()
		if err != nil || !bytes.Equal(sum, whole(kms.SM2UserID(id))) {
			t.Errorf("%q: %x, %v", id, sum, err)
		}
		if other, twice := seen[string(sum)]; twice {
			t.Errorf("%q and %q have the same digest", id, other)
		}
		seen[string(sum)] = id
		sum[0] ^= 1 // the caller's own
		if again, err := pieces.Sum(); err != nil || bytes.Equal(again, sum) || !bytes.Equal(again[1:], sum[1:]) {
			t.Errorf("asked again: %x, %v", again, err)
		}
		_, err = pieces.Write(message)
		wantCode(t, err, kms.ErrClosed)
	}
	_, err := engine.NewDigest(key, "", kms.SM2DSA, kms.SM2UserID(strings.Repeat("i", 8192)))
	wantCode(t, err, kms.ErrInvalidParameter)
	_, err = engine.Digest(key, "", kms.ECDSASHA256, message)
	wantCode(t, err, kms.ErrInvalidParameter)

	given := begin()
	for i := 0; i < 2; i++ {
		if err := given.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err = given.Sum()
	wantCode(t, err, kms.ErrClosed)
	_, err = given.Write(nil)
	wantCode(t, err, kms.ErrClosed)

	// It outlives its engine, and the collector gives back what nobody has ended.
	kept := begin()
	for i := 0; i < 100; i++ {
		begin()
	}
	runtime.GC()
	engine.Close()
	if _, err := kept.Write(message); err != nil {
		t.Fatal(err)
	}
	if sum, err := kept.Sum(); err != nil || !bytes.Equal(sum, usual) {
		t.Errorf("after the engine was closed: %x, %v", sum, err)
	}
}

// A mistake, but a harmless one: every piece arrives whole, and what comes too late is refused.
func TestDigestIsShared(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createPair(t, engine, "EC_P256", signing)
	piece := make([]byte, 1000)
	for round := 0; round < 20; round++ {
		digest, err := engine.NewDigest(key, "", kms.ECDSASHA256)
		if err != nil {
			t.Fatal(err)
		}
		var accepted atomic.Int32
		var workers sync.WaitGroup
		for i := 0; i < 4; i++ {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for j := 0; j < 100; j++ {
					if _, err := digest.Write(piece); err != nil {
						if !errors.Is(err, kms.ErrClosed) {
							t.Error(err)
						}
						return
					}
					accepted.Add(1)
				}
			}()
		}
		sum, err := digest.Sum()
		workers.Wait()
		expected := sha256.Sum256(bytes.Repeat(piece, int(accepted.Load())))
		if err != nil || !bytes.Equal(sum, expected[:]) {
			t.Fatalf("after %d pieces: %x, %v", accepted.Load(), sum, err)
		}
	}
}

func TestAsymmetricTextsAndClose(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createPair(t, engine, "EC_P256", signing)
	digest := make([]byte, kms.DigestSize)
	calls := func(key, version, id string) map[string]error {
		errs := map[string]error{}
		_, errs["Sign"] = engine.Sign(key, version, kms.ECDSASHA256, digest)
		_, errs["Verify"] = engine.Verify(key, version, kms.ECDSASHA256, digest, digest)
		_, errs["AsymmetricEncrypt"] = engine.AsymmetricEncrypt(key, version, kms.SM2PKE, digest)
		_, errs["AsymmetricDecrypt"] = engine.AsymmetricDecrypt(key, version, kms.SM2PKE, digest)
		_, errs["PublicKey"] = engine.PublicKey(key, version)
		_, errs["Digest"] = engine.Digest(key, version, kms.ECDSASHA256, digest, kms.SM2UserID(id))
		_, errs["NewDigest"] = engine.NewDigest(key, version, kms.ECDSASHA256, kms.SM2UserID(id))
		_, errs["NewSigner"] = engine.NewSigner(key, version)
		_, errs["NewDecrypter"] = engine.NewDecrypter(key, version)
		return errs
	}
	for name, err := range calls(key+"\x00", "", "") {
		if err == nil {
			t.Errorf("%s: a NUL in the key id was cut off", name)
		}
	}
	for name, err := range calls(key, newestVersion(t, engine, key)+"\x00", "") {
		if err == nil {
			t.Errorf("%s: a NUL in the version's id was cut off", name)
		}
	}
	if _, err := engine.Sign(key, "", kms.ECDSASHA256+"\x00", digest); err == nil {
		t.Error("a NUL in the algorithm was cut off")
	}
	bad := calls(key, "", "a\x00b")
	if bad["Digest"] == nil || bad["NewDigest"] == nil {
		t.Error("a NUL in the user id was cut off")
	}
	wantCode(t, calls(key, "", "\xff")["Digest"], "KMS_INVALID_UTF8")
	wantCode(t, calls("\xff", "", "")["Verify"], "KMS_INVALID_UTF8")
	call(t, engine, "DisableKey", map[string]any{"KeyId": key})
	for _, name := range []string{"Sign", "Verify", "PublicKey", "Digest", "NewDigest", "NewSigner"} {
		wantCode(t, calls(key, "", "")[name], kms.ErrDisabled)
	}
	engine.Close()
	for _, err := range calls(key, "", "") {
		wantCode(t, err, kms.ErrClosed)
	}
}

// Old versions go on verifying after a new one has come.
func TestVersionsOfAPair(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:", ManualClock: start})
	key := createPair(t, engine, "EC_P256", signing)
	old := newestVersion(t, engine, key)
	digest := make([]byte, kms.DigestSize)
	signature, err := engine.Sign(key, "", kms.ECDSASHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := engine.NewSigner(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.AdvanceClock(7 * 24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	call(t, engine, "CreateKeyVersion", map[string]any{"KeyId": key})
	for version, expected := range map[string]bool{old: true, "": false, newestVersion(t, engine, key): false} {
		if valid, err := engine.Verify(key, version, kms.ECDSASHA256, digest, signature); err != nil || valid != expected {
			t.Errorf("%q: %v, %v", version, valid, err)
		}
	}
	// A signer stays with the version whose public key it has told.
	if signature, err = signer.Sign(nil, digest, crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest, signature) {
		t.Error("the signer went on to the new version")
	}
	if signer, err = engine.NewSigner(key, ""); err != nil {
		t.Fatal(err)
	}
	if ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest, signature) {
		t.Error("a new signer has the old version")
	}
}

// A stored key signs after the store was opened anew, and goroutines share it.
func TestPairsAtWork(t *testing.T) {
	config := kms.Config{Store: "sled:" + filepath.Join(t.TempDir(), "kms"), RootKey: make([]byte, 32)}
	engine := open(t, config)
	key := createPair(t, engine, "EC_P256", signing)
	engine.Close()
	engine = open(t, config)
	signer, err := engine.NewSigner(key, "")
	if err != nil {
		t.Fatal(err)
	}
	var workers sync.WaitGroup
	for i := 0; i < 4; i++ {
		workers.Add(1)
		go func(seed byte) {
			defer workers.Done()
			for round := byte(0); round < 20; round++ {
				digest := sha256.Sum256([]byte{seed, round})
				signature, err := signer.Sign(nil, digest[:], crypto.SHA256)
				if err != nil || !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], signature) {
					t.Errorf("%d, %d: %v", seed, round, err)
				}
			}
		}(byte(i))
	}
	workers.Wait()
}
