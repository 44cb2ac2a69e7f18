package kms_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"

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
