// Command sign shows signatures with kms: the key that signs never leaves the store, and anybody can verify.
//
//	sign STORE_DIR ROOT_KEY_FILE sign   KEY ALGORITHM FILE SIGNATURE PUBLIC_KEY
//	sign STORE_DIR ROOT_KEY_FILE verify KEY ALGORITHM FILE SIGNATURE
//
// The C program of the same name has a further step, create, which makes the key; its head tells how OpenSSL verifies. All
// three programs (C, Go, Python) verify each other's signatures.
//
// The exit status is 0 if all went well, 3 if the signature is not valid, and something else if nobody knows.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"kms"
)

const usage = `usage: sign STORE_DIR ROOT_KEY_FILE sign   KEY ALGORITHM FILE SIGNATURE PUBLIC_KEY
       sign STORE_DIR ROOT_KEY_FILE verify KEY ALGORITHM FILE SIGNATURE`

var errNotValid = errors.New("the signature is not valid")

func main() {
	switch err := run(os.Args[1:]); {
	case errors.Is(err, errNotValid):
		os.Exit(3)
	case err != nil:
		fmt.Fprintln(os.Stderr, "sign:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	step := ""
	if len(args) > 2 {
		step = args[2]
	}
	if !(step == "sign" && len(args) == 8) && !(step == "verify" && len(args) == 7) {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	engine, err := kms.Open(kms.Config{Store: "sled:" + args[0], RootKeyFile: args[1]})
	if err != nil {
		return err
	}
	defer engine.Close()
	key, algorithm := args[3], kms.SigningAlgorithm(args[4])
	if step == "sign" {
		return sign(engine, key, algorithm, args[5], args[6], args[7])
	}
	return verify(engine, key, algorithm, args[5], args[6])
}

func say(format string, args ...any) {
	fmt.Printf("[Go]     "+format+"\n", args...)
}

// digestFile digests a file piece by piece, however large it is. For ECDSA this is plain SHA-256; for SM2 the digest hangs
// on the key too, which is why the engine makes it.
func digestFile(engine *kms.Engine, key string, algorithm kms.SigningAlgorithm, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	digest, err := engine.NewDigest(key, "", algorithm)
	if err != nil {
		return nil, err
	}
	defer digest.Close()
	if _, err := io.Copy(digest, file); err != nil {
		return nil, err
	}
	return digest.Sum()
}

func sign(engine *kms.Engine, key string, algorithm kms.SigningAlgorithm, path, signaturePath, publicPath string) error {
	digest, err := digestFile(engine, key, algorithm, path)
	if err != nil {
		return err
	}
	// Without a version, the newest one signs, and its public half is told.
	signature, err := engine.Sign(key, "", algorithm, digest)
	if err != nil {
		return err
	}
	public, err := engine.PublicKeyPEM(key, "")
	if err != nil {
		return err
	}
	if err := os.WriteFile(signaturePath, signature, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(publicPath, public, 0o644); err != nil {
		return err
	}
	say("signed %s with %s, %s: signature in %s (%d bytes), public key in %s",
		path, key, algorithm, signaturePath, len(signature), publicPath)
	return nil
}

func verify(engine *kms.Engine, key string, algorithm kms.SigningAlgorithm, path, signaturePath string) error {
	signature, err := os.ReadFile(signaturePath)
	if err != nil {
		return err
	}
	digest, err := digestFile(engine, key, algorithm, path)
	if err != nil {
		return err
	}
	valid, err := engine.Verify(key, "", algorithm, digest, signature)
	if err != nil {
		return err
	}
	if !valid {
		say("verified %s with %s: %s is NOT valid", path, key, signaturePath)
		return errNotValid
	}
	say("verified %s with %s: %s is valid", path, key, signaturePath)
	return nil
}
