package kms_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"kms"
)

func Example() {
	engine, err := kms.Open(kms.Config{Store: "memory:"})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	reply, err := engine.Call("CreateKey", map[string]any{"Description": "orders"})
	if err != nil {
		log.Fatal(err)
	}
	var created struct {
		KeyMetadata struct{ KeyId, KeyState string }
	}
	if err := json.Unmarshal(reply, &created); err != nil {
		log.Fatal(err)
	}
	fmt.Println("key is", created.KeyMetadata.KeyState)

	context := map[string]string{"order": "4711"}
	blob, err := engine.Encrypt(created.KeyMetadata.KeyId, []byte("a secret"), context)
	if err != nil {
		log.Fatal(err)
	}
	plaintext, err := engine.Decrypt(blob, context)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", plaintext)
	// Output:
	// key is Enabled
	// a secret
}

func ExampleCode() {
	engine, err := kms.Open(kms.Config{Store: "memory:"})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	_, err = engine.Encrypt("alias/nobody", []byte("a secret"), nil)
	var failure *kms.Error
	switch {
	case errors.Is(err, kms.ErrAliasNotFound):
		fmt.Println("no such alias")
	case errors.As(err, &failure):
		fmt.Println("refused:", failure.Code)
	}
	// Output: no such alias
}

func ExampleEngine_GenerateDataKey() {
	engine, err := kms.Open(kms.Config{Store: "memory:"})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	reply, err := engine.Call("CreateKey", nil)
	if err != nil {
		log.Fatal(err)
	}
	var created struct{ KeyMetadata struct{ KeyId string } }
	if err := json.Unmarshal(reply, &created); err != nil {
		log.Fatal(err)
	}

	dataKey, blob, err := engine.GenerateDataKey(created.KeyMetadata.KeyId, 32, nil)
	if err != nil {
		log.Fatal(err)
	}
	// Encrypt with dataKey, wipe it, keep blob. Later:
	again, err := engine.Decrypt(blob, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(dataKey), string(dataKey) == string(again))
	// Output: 32 true
}

func ExampleEngine_NewDigest() {
	engine, err := kms.Open(kms.Config{Store: "memory:"})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	reply, err := engine.Call("CreateKey", map[string]any{"KeySpec": "EC_SM2", "KeyUsage": "SIGN/VERIFY"})
	if err != nil {
		log.Fatal(err)
	}
	var created struct{ KeyMetadata struct{ KeyId string } }
	if err := json.Unmarshal(reply, &created); err != nil {
		log.Fatal(err)
	}
	key := created.KeyMetadata.KeyId

	message, err := engine.NewDigest(key, "", kms.SM2DSA)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(message, strings.NewReader("a long message")); err != nil {
		log.Fatal(err)
	}
	digest, err := message.Sum()
	if err != nil {
		log.Fatal(err)
	}
	signature, err := engine.Sign(key, "", kms.SM2DSA, digest)
	if err != nil {
		log.Fatal(err)
	}
	valid, err := engine.Verify(key, "", kms.SM2DSA, digest, signature)
	fmt.Println(valid, err)
	// Output: true <nil>
}
