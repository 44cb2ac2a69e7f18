package kms

import (
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// pair is one version of an asymmetric key, whatever its alias and its newest version may be later: what Public returns
// must go on being the public half of what the engine uses.
type pair struct {
	engine         *Engine
	keyID, version string
	public         crypto.PublicKey
}

func (e *Engine) newPair(keyID, keyVersionID, usage string) (pair, error) {
	var described struct {
		KeyMetadata struct{ KeyId, KeyUsage string }
	}
	if err := e.ask("DescribeKey", map[string]any{"KeyId": keyID}, &described); err != nil {
		return pair{}, err
	}
	key := described.KeyMetadata
	if key.KeyUsage != usage {
		return pair{}, fmt.Errorf("kms: the key is for %s, not for %s", key.KeyUsage, usage)
	}
	if keyVersionID == "" {
		var listed struct {
			KeyVersions struct {
				KeyVersion []struct{ KeyVersionId string }
			}
		}
		// The newest comes first.
		if err := e.ask("ListKeyVersions", map[string]any{"KeyId": key.KeyId, "PageSize": 1}, &listed); err != nil {
			return pair{}, err
		}
		for _, version := range listed.KeyVersions.KeyVersion {
			keyVersionID = version.KeyVersionId
		}
	}
	public, err := e.PublicKey(key.KeyId, keyVersionID)
	if err != nil {
		return pair{}, err
	}
	return pair{e, key.KeyId, keyVersionID, public}, nil
}

// ask calls an action and reads its reply.
func (e *Engine) ask(action string, params map[string]any, reply any) error {
	text, err := e.Call(action, params)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, reply); err != nil {
		return fmt.Errorf("kms: the reply of %s: %w", action, err)
	}
	return nil
}

// Signer is a crypto.Signer whose private key stays in the engine: crypto/x509 makes certificates with it, crypto/tls
// serves with it. It may be used by any number of goroutines at once, until the engine is closed.
//
// It signs digests of SHA-256 alone, which crypto/tls does not know: name what it can do in the
// SupportedSignatureAlgorithms of the tls.Certificate (tls.PSSWithSHA256 and tls.PKCS1WithSHA256 for RSA,
// tls.ECDSAWithP256AndSHA256 for EC_P256), or a peer that prefers SHA-384 or SHA-512 is promised what fails.
type Signer struct {
	pair pair
}

var _ crypto.Signer = (*Signer)(nil)

// NewSigner returns a signer for a version of an asymmetric key whose usage is SIGN/VERIFY, of one of the specs RSA_2048,
// RSA_3072 and EC_P256. An empty keyVersionID means the version that is the newest now.
func (e *Engine) NewSigner(keyID, keyVersionID string) (*Signer, error) {
	pair, err := e.newPair(keyID, keyVersionID, "SIGN/VERIFY")
	if err != nil {
		return nil, err
	}
	return &Signer{pair}, nil
}

// Public returns an *rsa.PublicKey or an *ecdsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.pair.public }

// Sign signs a digest of SHA-256: crypto.SHA256 as opts means ECDSA or RSA PKCS #1 v1.5, whichever the key can, and an
// *rsa.PSSOptions means RSA PSS. The salt then has 32 bytes, so SaltLength must be rsa.PSSSaltLengthAuto,
// rsa.PSSSaltLengthEqualsHash or 32. The random numbers are the engine's own; the reader may be nil.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	algorithm, err := s.algorithm(opts)
	if err != nil {
		return nil, err
	}
	return s.pair.engine.Sign(s.pair.keyID, s.pair.version, algorithm, digest)
}

func (s *Signer) algorithm(opts crypto.SignerOpts) (SigningAlgorithm, error) {
	if opts == nil || opts.HashFunc() == 0 {
		return "", errors.New("kms: a digest of SHA-256 is signed, and opts must say that it is one")
	}
	if hash := opts.HashFunc(); hash != crypto.SHA256 {
		return "", fmt.Errorf("kms: a digest of SHA-256 is signed, not one of %v", hash)
	}
	pss, isPSS := opts.(*rsa.PSSOptions)
	_, isRSA := s.pair.public.(*rsa.PublicKey)
	switch {
	case isPSS && !isRSA:
		return "", errors.New("kms: PSS is for RSA keys, and this is none")
	case isPSS:
		switch pss.SaltLength {
		case rsa.PSSSaltLengthAuto, rsa.PSSSaltLengthEqualsHash, crypto.SHA256.Size():
			return RSAPSSSHA256, nil
		}
		return "", fmt.Errorf("kms: the salt of PSS has %d bytes, not %d", crypto.SHA256.Size(), pss.SaltLength)
	case isRSA:
		return RSAPKCS1SHA256, nil
	default:
		return ECDSASHA256, nil
	}
}

// Decrypter is a crypto.Decrypter whose private key stays in the engine. It may be used by any number of goroutines at once,
// until the engine is closed.
type Decrypter struct {
	pair pair
}

var _ crypto.Decrypter = (*Decrypter)(nil)

// NewDecrypter returns a decrypter for a version of an asymmetric key whose usage is ENCRYPT/DECRYPT, of one of the specs
// RSA_2048 and RSA_3072. An empty keyVersionID means the version that is the newest now.
func (e *Engine) NewDecrypter(keyID, keyVersionID string) (*Decrypter, error) {
	pair, err := e.newPair(keyID, keyVersionID, "ENCRYPT/DECRYPT")
	if err != nil {
		return nil, err
	}
	return &Decrypter{pair}, nil
}

// Public returns an *rsa.PublicKey.
func (d *Decrypter) Public() crypto.PublicKey { return d.pair.public }

// Decrypt decrypts what rsa.EncryptOAEP has encrypted to the public key. opts must be an *rsa.OAEPOptions whose Hash is
// crypto.SHA256 or crypto.SHA1 and whose Label is empty. The reader is not used; it may be nil.
func (d *Decrypter) Decrypt(_ io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	oaep, ok := opts.(*rsa.OAEPOptions)
	if !ok {
		return nil, fmt.Errorf("kms: decryption is by OAEP, and opts must be *rsa.OAEPOptions, not %T", opts)
	}
	if len(oaep.Label) != 0 {
		return nil, errors.New("kms: the label of OAEP must be empty")
	}
	var algorithm EncryptionAlgorithm
	switch oaep.Hash {
	case crypto.SHA256:
		algorithm = RSAOAEPSHA256
	case crypto.SHA1:
		algorithm = RSAOAEPSHA1
	default:
		return nil, fmt.Errorf("kms: OAEP goes with SHA-256 or SHA-1, not with %v", oaep.Hash)
	}
	return d.pair.engine.AsymmetricDecrypt(d.pair.keyID, d.pair.version, algorithm, ciphertext)
}
