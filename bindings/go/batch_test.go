package kms_test

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"kms"
)

// same checks that a batch says of an item what a single call says.
func same(t *testing.T, what string, batch, single error) {
	t.Helper()
	if (batch == nil) != (single == nil) {
		t.Fatalf("%s: %v in a batch, %v alone", what, batch, single)
	}
	if batch == nil {
		return
	}
	var together, alone *kms.Error
	if !errors.As(batch, &together) || !errors.As(single, &alone) {
		t.Fatalf("%s: %v and %v", what, batch, single)
	}
	if len(together.RequestID) != 36 || together.RequestID == alone.RequestID {
		t.Errorf("%s: a failed item is named %q", what, together.RequestID)
	}
	one, other := *together, *alone
	one.RequestID, other.RequestID = "", ""
	if one != other {
		t.Errorf("%s: %+v in a batch, %+v alone", what, one, other)
	}
}

func TestBatchOfMessages(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createKey(t, engine)
	plaintexts := [][]byte{[]byte("one"), nil, make([]byte, 6145), bytes.Repeat([]byte{7}, 6144), {}, []byte("six")}
	own := make([]map[string]string, len(plaintexts))
	for i := range own {
		own[i] = map[string]string{"id": fmt.Sprint(i)}
	}
	own[4] = nil
	for name, contexts := range map[string][]map[string]string{
		"none":          nil,
		"one for all":   {{"tenant": "<42> & more"}},
		"one for each":  own,
		"none for each": make([]map[string]string, len(plaintexts)),
	} {
		contextOf := func(i int) map[string]string {
			switch len(contexts) {
			case 0:
				return nil
			case 1:
				return contexts[0]
			}
			return contexts[i]
		}
		encrypted, err := engine.EncryptBatch(key, plaintexts, contexts)
		if err != nil || len(encrypted) != len(plaintexts) {
			t.Fatalf("%s: %d results, %v", name, len(encrypted), err)
		}
		blobs := make([][]byte, len(encrypted))
		for i, result := range encrypted {
			_, err := engine.Encrypt(key, plaintexts[i], contextOf(i))
			same(t, fmt.Sprintf("%s: plaintext %d", name, i), result.Err, err)
			if blobs[i] = result.Value; result.Err != nil {
				continue
			}
			if got, err := engine.Decrypt(result.Value, contextOf(i)); err != nil || !bytes.Equal(got, plaintexts[i]) {
				t.Errorf("%s: plaintext %d came back as %d bytes, %v", name, i, len(got), err)
			}
		}
		// An append to one must not reach the next.
		_ = append(encrypted[0].Value, make([]byte, 100)...)
		decrypted, err := engine.DecryptBatch(blobs, contexts)
		if err != nil {
			t.Fatal(err)
		}
		for i, result := range decrypted {
			_, err := engine.Decrypt(blobs[i], contextOf(i))
			same(t, fmt.Sprintf("%s: blob %d", name, i), result.Err, err)
			if result.Err == nil && (result.Value == nil || !bytes.Equal(result.Value, plaintexts[i])) {
				t.Errorf("%s: blob %d is %d bytes", name, i, len(result.Value))
			}
		}
	}

	call(t, engine, "DisableKey", map[string]any{"KeyId": key})
	results, err := engine.EncryptBatch(key, plaintexts[:2], nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		wantCode(t, result.Err, kms.ErrDisabled)
		if result.Value != nil {
			t.Error("a refused item has a value")
		}
	}
}

func TestBatchOfSignatures(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	for spec, algorithm := range map[string]kms.SigningAlgorithm{
		"RSA_2048": kms.RSAPSSSHA256, "EC_P256": kms.ECDSASHA256, "EC_SM2": kms.SM2DSA,
	} {
		reply := call(t, engine, "CreateKey", map[string]any{"KeySpec": spec, "KeyUsage": "SIGN/VERIFY"})
		key := reply["KeyMetadata"].(map[string]any)["KeyId"].(string)
		digests := [][]byte{bytes.Repeat([]byte{1}, 32), make([]byte, 31), bytes.Repeat([]byte{3}, 32)}
		signed, err := engine.SignBatch(key, "", algorithm, digests)
		if err != nil {
			t.Fatal(err)
		}
		_, err = engine.Sign(key, "", algorithm, digests[1])
		same(t, spec, signed[1].Err, err)
		for _, i := range []int{0, 2} {
			if valid, err := engine.Verify(key, "", algorithm, digests[i], signed[i].Value); err != nil || !valid {
				t.Errorf("%s: signature %d: %v, %v", spec, i, valid, err)
			}
		}
		signatures := [][]byte{signed[0].Value, signed[0].Value, signed[0].Value}
		verified, err := engine.VerifyBatch(key, "", algorithm, digests, signatures)
		if err != nil {
			t.Fatal(err)
		}
		_, err = engine.Verify(key, "", algorithm, digests[1], signatures[1])
		same(t, spec, verified[1].Err, err)
		if !verified[0].Value || verified[1].Value || verified[2].Value || verified[0].Err != nil || verified[2].Err != nil {
			t.Errorf("%s: %v", spec, verified)
		}
	}
}

func TestBatchAsAWhole(t *testing.T) {
	engine := open(t, kms.Config{Store: "memory:"})
	key := createKey(t, engine)
	two := [][]byte{[]byte("a"), []byte("b")}
	for name, run := range map[string]func() (int, error){
		"EncryptBatch": func() (int, error) { r, err := engine.EncryptBatch(key, nil, nil); return len(r), err },
		"DecryptBatch": func() (int, error) { r, err := engine.DecryptBatch(nil, nil); return len(r), err },
		"SignBatch":    func() (int, error) { r, err := engine.SignBatch(key, "", kms.SM2DSA, nil); return len(r), err },
		"VerifyBatch":  func() (int, error) { r, err := engine.VerifyBatch(key, "", kms.SM2DSA, nil, nil); return len(r), err },
	} {
		if n, err := run(); n != 0 || err != nil {
			t.Errorf("%s of nothing: %d results, %v", name, n, err)
		}
	}
	_, err := engine.EncryptBatch("", two, nil)
	wantCode(t, err, kms.ErrMissingParameter)
	_, err = engine.SignBatch(key, "", "ROT13", two)
	wantCode(t, err, kms.ErrInvalidParameter)
	_, err = engine.EncryptBatch(key, two, []map[string]string{{"a": "\xff"}})
	wantCode(t, err, "KMS_INVALID_UTF8")
	_, err = engine.EncryptBatch(key, two, []map[string]string{nil, {"a": "\xff"}})
	wantCode(t, err, "KMS_INVALID_UTF8")
	_, err = engine.EncryptBatch(key, two, []map[string]string{{"": strings.Repeat("x", 9000)}})
	wantCode(t, err, kms.ErrInvalidParameter)
	if _, err = engine.EncryptBatch(key+"\x00", two, nil); err == nil {
		t.Error("a NUL in the key id was cut off")
	}
	if _, err = engine.DecryptBatch(two, make([]map[string]string, 3)); err == nil {
		t.Error("three contexts were taken for two blobs")
	}
	if _, err = engine.VerifyBatch(key, "", kms.SM2DSA, two, two[:1]); err == nil {
		t.Error("one signature was taken for two digests")
	}

	engine.Close()
	_, err = engine.EncryptBatch(key, two, nil)
	wantCode(t, err, kms.ErrClosed)
	_, err = engine.DecryptBatch(two, nil)
	wantCode(t, err, kms.ErrClosed)
	_, err = engine.SignBatch(key, "", kms.SM2DSA, two)
	wantCode(t, err, kms.ErrClosed)
	_, err = engine.VerifyBatch(key, "", kms.SM2DSA, two, two)
	wantCode(t, err, kms.ErrClosed)
}

// sideBySide lets single calls and a batch take turns of a millisecond or one repetition, so that whatever else the machine
// does falls on both alike, and reports medians: nanoseconds per item, and how many times as fast the batch is.
func sideBySide(b *testing.B, count int, single, batch func() error) {
	turn := func(work func() error, times int) float64 {
		began := time.Now()
		for i := 0; i < times; i++ {
			if err := work(); err != nil {
				b.Fatal(err)
			}
		}
		return float64(time.Since(began).Nanoseconds()) / float64(times*count)
	}
	repetitions := func(work func() error) int {
		return 1 + int(1e6/(turn(work, 10)*float64(count)))
	}
	singles, batches := repetitions(single), repetitions(batch)
	var alone, together, quotients []float64
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		one, other := turn(single, singles), turn(batch, batches)
		alone, together, quotients = append(alone, one), append(together, other), append(quotients, one/other)
	}
	median := func(values []float64) float64 {
		sort.Float64s(values)
		return values[len(values)/2]
	}
	b.ReportMetric(median(alone), "ns/single")
	b.ReportMetric(median(together), "ns/batched")
	b.ReportMetric(median(quotients), "times")
	b.ReportMetric(0, "ns/op") // a round is no operation
}

func BenchmarkBatch(b *testing.B) {
	engine := open(b, kms.Config{Store: "memory:"})
	key := createKey(b, engine)
	reply := call(b, engine, "CreateKey", map[string]any{"KeySpec": "EC_SM2", "KeyUsage": "SIGN/VERIFY"})
	signer := reply["KeyMetadata"].(map[string]any)["KeyId"].(string)
	context := map[string]string{"tenant": "42"}
	contexts := []map[string]string{context}
	for _, count := range []int{1, 16, 256} {
		items := make([][]byte, count)
		for i := range items {
			items[i] = bytes.Repeat([]byte{byte(i)}, 32)
		}
		values := func(results []kms.Result[[]byte], err error) [][]byte {
			if err != nil {
				b.Fatal(err)
			}
			all := make([][]byte, len(results))
			for i, result := range results {
				if all[i] = result.Value; result.Err != nil {
					b.Fatal(result.Err)
				}
			}
			return all
		}
		blobs := values(engine.EncryptBatch(key, items, nil))
		signatures := values(engine.SignBatch(signer, "", kms.SM2DSA, items))
		for _, task := range []struct {
			name   string
			single func(i int) error
			batch  func() error
		}{
			{"Encrypt",
				func(i int) error { _, err := engine.Encrypt(key, items[i], nil); return err },
				func() error { _, err := engine.EncryptBatch(key, items, nil); return err }},
			{"EncryptWithContext",
				func(i int) error { _, err := engine.Encrypt(key, items[i], context); return err },
				func() error { _, err := engine.EncryptBatch(key, items, contexts); return err }},
			{"Decrypt",
				func(i int) error { _, err := engine.Decrypt(blobs[i], nil); return err },
				func() error { _, err := engine.DecryptBatch(blobs, nil); return err }},
			{"SignSM2",
				func(i int) error { _, err := engine.Sign(signer, "", kms.SM2DSA, items[i]); return err },
				func() error { _, err := engine.SignBatch(signer, "", kms.SM2DSA, items); return err }},
			{"VerifySM2",
				func(i int) error {
					_, err := engine.Verify(signer, "", kms.SM2DSA, items[i], signatures[i])
					return err
				},
				func() error { _, err := engine.VerifyBatch(signer, "", kms.SM2DSA, items, signatures); return err }},
		} {
			single := func() error {
				for i := range items {
					if err := task.single(i); err != nil {
						return err
					}
				}
				return nil
			}
			b.Run(fmt.Sprintf("%s/%d", task.name, count), func(b *testing.B) { sideBySide(b, count, single, task.batch) })
		}
	}
}
