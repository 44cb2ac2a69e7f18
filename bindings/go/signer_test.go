package kms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"hash"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"kms"
)

// certify makes a certificate that the signer signs for itself.
func certify(t *testing.T, signer crypto.Signer, algorithm x509.SignatureAlgorithm) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "kms"},
		DNSNames:              []string{"kms.example"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		SignatureAlgorithm:    algorithm,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if certificate.SignatureAlgorithm != algorithm {
		t.Fatalf("signed with %v", certificate.SignatureAlgorithm)
	}
	return certificate
}

// The standard library makes certificates with keys of the engine, checks them, and serves TLS with them.
func TestSignerInTheStandardLibrary(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	for spec, algorithms := range map[string][]x509.SignatureAlgorithm{
		"RSA_2048": {x509.SHA256WithRSAPSS, x509.SHA256WithRSA},
		"EC_P256":  {x509.ECDSAWithSHA256},
	} {
		signer, err := engine.NewSigner(createPair(t, engine, spec, signing), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, algorithm := range algorithms {
			t.Run(algorithm.String(), func(t *testing.T) {
				certificate := certify(t, signer, algorithm)
				if err := certificate.CheckSignature(algorithm, certificate.RawTBSCertificate, certificate.Signature); err != nil {
					t.Error(err)
				}
				roots := x509.NewCertPool()
				roots.AddCert(certificate)
				if _, err := certificate.Verify(x509.VerifyOptions{DNSName: "kms.example", Roots: roots}); err != nil {
					t.Error(err)
				}
				handshake(t, tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: signer}, roots)
			})
		}
	}
}

// handshake lets a client check a server that has only this certificate.
func handshake(t *testing.T, certificate tls.Certificate, roots *x509.CertPool) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	served := make(chan error, 1)
	go func() {
		defer far.Close()
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}})
		_, err := server.Write([]byte("hello"))
		served <- err
	}()
	client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "kms.example"})
	greeting := make([]byte, 5)
	if _, err := io.ReadFull(client, greeting); err != nil || string(greeting) != "hello" {
		t.Errorf("read %q, %v", greeting, err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestSignerOptions(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	onRSA, err := engine.NewSigner(createPair(t, engine, "RSA_2048", signing), "")
	if err != nil {
		t.Fatal(err)
	}
	onCurve, err := engine.NewSigner(createPair(t, engine, "EC_P256", signing), "")
	if err != nil {
		t.Fatal(err)
	}
	pss := func(salt int, hash crypto.Hash) crypto.SignerOpts {
		return &rsa.PSSOptions{SaltLength: salt, Hash: hash}
	}
	digest := sha256.Sum256([]byte("a message"))
	for _, salt := range []int{rsa.PSSSaltLengthAuto, rsa.PSSSaltLengthEqualsHash, 32} {
		signature, err := onRSA.Sign(rand.Reader, digest[:], pss(salt, crypto.SHA256))
		if err != nil {
			t.Fatal(err)
		}
		options := &rsa.PSSOptions{SaltLength: 32}
		if err := rsa.VerifyPSS(onRSA.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], signature, options); err != nil {
			t.Error(err)
		}
	}
	for name, wrong := range map[string]struct {
		signer crypto.Signer
		digest []byte
		opts   crypto.SignerOpts
		says   string
	}{
		"no options":     {onRSA, digest[:], nil, "SHA-256"},
		"no hash":        {onCurve, digest[:], crypto.Hash(0), "SHA-256"},
		"PSS, no hash":   {onRSA, digest[:], pss(32, 0), "SHA-256"},
		"SHA-512":        {onRSA, make([]byte, 64), crypto.SHA512, "SHA-512"},
		"SHA-1, curve":   {onCurve, make([]byte, 20), crypto.SHA1, "SHA-1"},
		"PSS, SHA-384":   {onRSA, make([]byte, 48), pss(48, crypto.SHA384), "SHA-384"},
		"PSS, short":     {onRSA, digest[:], pss(20, crypto.SHA256), "32 bytes, not 20"},
		"PSS on a curve": {onCurve, digest[:], pss(32, crypto.SHA256), "RSA"},
		"short digest":   {onCurve, digest[:31], crypto.SHA256, "Digest"},
	} {
		if signature, err := wrong.signer.Sign(rand.Reader, wrong.digest, wrong.opts); err == nil || !strings.Contains(err.Error(), wrong.says) {
			t.Errorf("%s: %x, %v", name, signature, err)
		}
	}
}

func TestDecrypter(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	decrypter, err := engine.NewDecrypter(createPair(t, engine, "RSA_2048", encryption), "")
	if err != nil {
		t.Fatal(err)
	}
	public := decrypter.Public().(*rsa.PublicKey)
	plaintext := []byte("a secret")
	for hash, begin := range map[crypto.Hash]func() hash.Hash{crypto.SHA256: sha256.New, crypto.SHA1: sha1.New} {
		ciphertext, err := rsa.EncryptOAEP(begin(), rand.Reader, public, plaintext, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decrypter.Decrypt(nil, ciphertext, &rsa.OAEPOptions{Hash: hash}); err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%v: got %q, %v", hash, got, err)
		}
		for name, opts := range map[string]crypto.DecrypterOpts{
			"nothing":      nil,
			"PKCS #1 v1.5": &rsa.PKCS1v15DecryptOptions{},
			"no hash":      &rsa.OAEPOptions{},
			"SHA-512":      &rsa.OAEPOptions{Hash: crypto.SHA512},
			"a label":      &rsa.OAEPOptions{Hash: hash, Label: []byte("x")},
		} {
			if got, err := decrypter.Decrypt(nil, ciphertext, opts); err == nil {
				t.Errorf("%s: got %q", name, got)
			}
		}
		ciphertext[0] ^= 1
		_, err = decrypter.Decrypt(nil, ciphertext, &rsa.OAEPOptions{Hash: hash})
		wantCode(t, err, kms.ErrInvalidParameter)
	}
}

// Keys that do something else are refused at once, not at the first signature.
func TestSignersAndDecryptersOfOtherKeys(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	signs := createPair(t, engine, "RSA_2048", signing)
	decrypts := createPair(t, engine, "RSA_2048", encryption)
	_, err := engine.NewSigner("alias/nobody", "")
	wantCode(t, err, kms.ErrAliasNotFound)
	_, err = engine.NewSigner(signs, decrypts)
	wantCode(t, err, kms.ErrKeyVersionNotFound)
	_, err = engine.NewDecrypter(createKey(t, engine), "")
	wantCode(t, err, kms.ErrOperationRejected)
	for name, err := range map[string]error{
		"a key that decrypts":  second(engine.NewSigner(decrypts, "")),
		"a key that signs":     second(engine.NewDecrypter(signs, "")),
		"secp256k1":            second(engine.NewSigner(createPair(t, engine, "EC_P256K", signing), "")),
		"SM2":                  second(engine.NewSigner(createPair(t, engine, "EC_SM2", signing), "")),
		"SM2, which decrypts":  second(engine.NewDecrypter(createPair(t, engine, "EC_SM2", encryption), "")),
		"AES, which encrypts":  second(engine.NewSigner(createKey(t, engine), "")),
		"a NUL in the version": second(engine.NewSigner(signs, "\x00")),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}

	// The alias may go elsewhere; the signer stays.
	call(t, engine, "CreateAlias", map[string]any{"AliasName": "alias/signer", "KeyId": createPair(t, engine, "EC_P256", signing)})
	signer, err := engine.NewSigner("alias/signer", "")
	if err != nil {
		t.Fatal(err)
	}
	call(t, engine, "UpdateAlias", map[string]any{"AliasName": "alias/signer", "KeyId": signs})
	digest := sha256.Sum256(nil)
	signature, err := signer.Sign(nil, digest[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], signature) {
		t.Errorf("the signer went with the alias: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
