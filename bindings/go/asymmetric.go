package kms

/*
#include "kms.h"
*/
import "C"

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// SigningAlgorithm names how an asymmetric key signs.
type SigningAlgorithm string

// How the keys whose usage is SIGN/VERIFY sign.
const (
	// RSAPSSSHA256 is RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes. For RSA_2048 and RSA_3072.
	RSAPSSSHA256 SigningAlgorithm = "RSA_PSS_SHA_256"
	// RSAPKCS1SHA256 is RSASSA-PKCS1-v1_5 with SHA-256. For RSA_2048 and RSA_3072.
	RSAPKCS1SHA256 SigningAlgorithm = "RSA_PKCS1_SHA_256"
	// ECDSASHA256 is ECDSA with SHA-256; a signature is DER. For EC_P256 and EC_P256K.
	ECDSASHA256 SigningAlgorithm = "ECDSA_SHA_256"
	// SM2DSA is the signature of GB/T 32918.2 with SM3; a signature is DER. For EC_SM2.
	SM2DSA SigningAlgorithm = "SM2DSA"
)

// EncryptionAlgorithm names how an asymmetric key encrypts.
type EncryptionAlgorithm string

// How the keys whose usage is ENCRYPT/DECRYPT encrypt.
const (
	// RSAOAEPSHA256 is RSAES-OAEP with SHA-256, for MGF1 too, and an empty label. For RSA_2048 and RSA_3072.
	RSAOAEPSHA256 EncryptionAlgorithm = "RSAES_OAEP_SHA_256"
	// RSAOAEPSHA1 is the same with SHA-1.
	RSAOAEPSHA1 EncryptionAlgorithm = "RSAES_OAEP_SHA_1"
	// SM2PKE is the encryption of GB/T 32918.4. For EC_SM2.
	SM2PKE EncryptionAlgorithm = "SM2PKE"
)

// First guesses only, like blobOverhead: the longest signature, that of a curve, and what a ciphertext has at most or has more
// than its plaintext.
const (
	signatureGuess      = 384
	curveSignatureGuess = 72
	rsaCiphertextGuess  = 384
	sm2CiphertextExcess = 97
)

// versionRef is how the arguments of the asymmetric functions begin.
type versionRef struct {
	key, version, algorithm *C.char
}

// newVersionRef makes C's texts; an empty version is the newest, which is NULL to C.
func newVersionRef(keyID, keyVersionID, algorithm string) (versionRef, error) {
	var ref versionRef
	var err error
	if ref.key, err = cString("keyID", keyID); err != nil {
		return versionRef{}, err
	}
	if keyVersionID != "" {
		if ref.version, err = cString("keyVersionID", keyVersionID); err != nil {
			return versionRef{}, err
		}
	}
	if ref.algorithm, err = cString("algorithm", algorithm); err != nil {
		return versionRef{}, err
	}
	return ref, nil
}

// Sign signs a digest of 32 bytes, which Digest and NewDigest make, with a version of an asymmetric key. The key is named
// by id, ARN or alias; an empty keyVersionID means its newest version. An RSA signature is as long as the modulus, the
// others are DER of at most 72 bytes.
func (e *Engine) Sign(keyID, keyVersionID string, algorithm SigningAlgorithm, digest []byte) ([]byte, error) {
	ref, err := newVersionRef(keyID, keyVersionID, string(algorithm))
	if err != nil {
		return nil, err
	}
	return e.fill(signatureGuess, func(h *C.kms, out *C.uint8_t, size C.size_t, n *C.size_t, f **C.kms_error) C.kms_status {
		return C.kms_sign(h, ref.key, ref.version, ref.algorithm, pointer(digest), C.size_t(len(digest)), out, size, n, f)
	})
}

// Verify says whether a signature is one of the digest by a version of an asymmetric key; an empty keyVersionID means the
// newest. A signature that is malformed is false and no error; an error means that nothing was verified.
func (e *Engine) Verify(keyID, keyVersionID string, algorithm SigningAlgorithm, digest, signature []byte) (bool, error) {
	ref, err := newVersionRef(keyID, keyVersionID, string(algorithm))
	if err != nil {
		return false, err
	}
	var valid C.bool
	err = e.use(func(h *C.kms, f **C.kms_error) C.kms_status {
		return C.kms_verify(h, ref.key, ref.version, ref.algorithm, pointer(digest), C.size_t(len(digest)),
			pointer(signature), C.size_t(len(signature)), &valid, f)
	})
	return bool(valid), err
}

// AsymmetricEncrypt encrypts to the public half of a version of an asymmetric key; an empty keyVersionID means the newest.
// The plaintext has 1 to 190 (RSAOAEPSHA256) or 214 (RSAOAEPSHA1) bytes for RSA_2048, to 318 or 342 for RSA_3072, to 6047
// for EC_SM2. The ciphertext is a standard one and does not name its key: keep the version's id beside it.
func (e *Engine) AsymmetricEncrypt(keyID, keyVersionID string, algorithm EncryptionAlgorithm, plaintext []byte) ([]byte, error) {
	ref, err := newVersionRef(keyID, keyVersionID, string(algorithm))
	if err != nil {
		return nil, err
	}
	guess := rsaCiphertextGuess
	if algorithm == SM2PKE {
		guess = len(plaintext) + sm2CiphertextExcess
	}
	return e.fill(guess, func(h *C.kms, out *C.uint8_t, size C.size_t, n *C.size_t, f **C.kms_error) C.kms_status {
		return C.kms_asymmetric_encrypt(h, ref.key, ref.version, ref.algorithm, pointer(plaintext), C.size_t(len(plaintext)), out, size, n, f)
	})
}

// AsymmetricDecrypt decrypts what was encrypted to a version of an asymmetric key, by AsymmetricEncrypt or by anybody who
// has the public key; an empty keyVersionID means the newest. Whatever is wrong with the ciphertext, the error matches
// ErrInvalidParameter.
func (e *Engine) AsymmetricDecrypt(keyID, keyVersionID string, algorithm EncryptionAlgorithm, ciphertext []byte) ([]byte, error) {
	ref, err := newVersionRef(keyID, keyVersionID, string(algorithm))
	if err != nil {
		return nil, err
	}
	return e.fill(len(ciphertext), func(h *C.kms, out *C.uint8_t, size C.size_t, n *C.size_t, f **C.kms_error) C.kms_status {
		return C.kms_asymmetric_decrypt(h, ref.key, ref.version, ref.algorithm, pointer(ciphertext), C.size_t(len(ciphertext)), out, size, n, f)
	})
}

// PublicKeyPEM returns the public half of a version of an asymmetric key: its SubjectPublicKeyInfo in PEM. An empty
// keyVersionID means the newest version.
func (e *Engine) PublicKeyPEM(keyID, keyVersionID string) ([]byte, error) {
	ref, err := newVersionRef(keyID, keyVersionID, "")
	if err != nil {
		return nil, err
	}
	var text []byte
	err = e.use(func(h *C.kms, f **C.kms_error) C.kms_status {
		var out *C.char
		status := C.kms_get_public_key(h, ref.key, ref.version, &out, f)
		text = takeText(status, out)
		return status
	})
	return text, err
}

// PublicKey returns the same as a value of Go's own: an *rsa.PublicKey, or an *ecdsa.PublicKey for EC_P256. The standard
// library has no keys of the curves secp256k1 (EC_P256K) and SM2, so for these it is an error; PublicKeyPEM has them.
func (e *Engine) PublicKey(keyID, keyVersionID string) (crypto.PublicKey, error) {
	text, err := e.PublicKeyPEM(keyID, keyVersionID)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("kms: the public key is no PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("kms: only PublicKeyPEM gives this key: %w", err)
	}
	return key, nil
}
