/*
 * What the parts of the test `abi` share: outputs that tell whether a call wrote to them, and the parts themselves.
 */
#ifndef KMS_TESTS_ABI_H
#define KMS_TESTS_ABI_H

#include "common.h"

#define SENTINEL 0xA5
#define SENTINEL_LEN ((size_t)0x5EA5A5A5)
#define PLAINTEXT "the quick brown fox"
#define UNKNOWN_KEY "00000000-0000-4000-8000-000000000000"

/* The outputs that most calls are given. */
extern uint8_t out[MAX_BLOB];
extern size_t out_len;

/* What most calls encrypt, its NUL included. */
extern const uint8_t plaintext[sizeof PLAINTEXT];

/* Prepares the outputs so that `untouched` can tell whether a call wrote to them. */
void taint(void);
bool untouched(void);
bool bytes_untouched(const uint8_t *bytes, size_t len);

/* Checks that the engine still answers for its key. */
void describe_works(kms *engine, const char *key_id);

/* Encrypts or ends the test; the result is the length of the blob. */
size_t encrypt_or_die(kms *engine, const char *key_id, const uint8_t *data, size_t len, const char *context, uint8_t *blob,
                      size_t cap);

/* abi_arguments.c: pointers, texts, buffers and errors. */
void check_arguments(kms *engine, const char *key_id);

/* abi_crypt.c: sizes, contexts, damaged ciphertexts, keys that may not be used. */
void check_crypt(kms *engine, const char *key_id);

/* abi_asymmetric.c: signatures, digests, public keys and encryption to them. */
void check_asymmetric(kms *engine, const char *symmetric);

/* abi_batch.c: many items in one call. */
void check_batch(kms *engine, const char *key_id);

/* abi_open.c: configurations, clocks, stores.  It runs `program --open PATH`, which is answered by `open_and_tell`. */
void check_open(const char *program);
int open_and_tell(const char *path);

#endif
