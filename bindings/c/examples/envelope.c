/*
 * Envelope encryption with libkms: the key that protects your data never leaves the store.
 *
 *     envelope STORE_DIR ROOT_KEY_FILE create
 *     envelope STORE_DIR ROOT_KEY_FILE encrypt   IN OUT
 *     envelope STORE_DIR ROOT_KEY_FILE decrypt   IN OUT
 *     envelope STORE_DIR ROOT_KEY_FILE lifecycle ENCRYPTED_FILE
 *
 * `create` makes the root key file (if there is none), the store, a master key and its name, alias/demo.
 * `encrypt` asks for a fresh data key, encrypts the file locally with AES-256-GCM, and keeps only the wrapped data key.
 * `decrypt` has the data key unwrapped and opens the file.
 * `lifecycle` shows that whoever controls the master key controls every file: disabled or doomed keys open nothing.
 *
 * The Go and Python programs of the same name read and write the same files:
 *
 *     offset   size  field
 *     0        8     "KMSENV01"
 *     8        2     L, the length of the wrapped data key, big-endian
 *     10       L     the wrapped data key, as kms_generate_data_key wrote it
 *     10+L     12    GCM nonce
 *     22+L     n     ciphertext, as long as the plaintext
 *     22+L+n   16    GCM tag
 *
 * The GCM's additional data is everything before the ciphertext.  A data key encrypts one file only, so a random nonce
 * cannot repeat under it.  The file is handled in one piece: no byte of plaintext is written before all of it is verified.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "common.h"

const char program[] = "envelope";

#define MAGIC "KMSENV01"
#define MAGIC_LEN 8u
#define DATA_KEY_LEN 32u
#define NONCE_LEN 12u
#define TAG_LEN 16u
#define MAX_BLOB 1024u

static const char ALIAS[] = "alias/demo";
/* Bound to the wrapped data key, stored nowhere: whoever unwraps it must say the same. */
static const char CONTEXT[] = "{\"purpose\":\"envelope-demo\"}";

struct bytes {
    uint8_t *data;
    size_t len;
};

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static bool read_file(const char *path, struct bytes *out) {
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (file == NULL || fstat(fileno(file), &info) != 0) {
        complain("cannot read %s: %s", path, strerror(errno));
        if (file != NULL) {
            fclose(file);
        }
        return false;
    }
    if (!S_ISREG(info.st_mode)) {
        complain("cannot read %s: not a regular file", path);
        fclose(file);
        return false;
    }
    out->len = (size_t)info.st_size;
    out->data = malloc(out->len + 1); /* + 1: an empty file is a valid input */
    bool whole = out->data != NULL && fread(out->data, 1, out->len, file) == out->len;
    fclose(file);
    if (!whole) {
        complain("cannot read %s completely", path);
        free(out->data);
        out->data = NULL;
    }
    return whole;
}

/* OpenSSL counts in int; pieces keep files beyond 2 GiB correct. */
static bool cipher_update(EVP_CIPHER_CTX *cipher, uint8_t *out, const uint8_t *in, size_t len) {
    while (len > 0) {
        int piece = len > (1u << 30) ? (1 << 30) : (int)len;
        int written = 0;
        if (EVP_CipherUpdate(cipher, out, &written, in, piece) != 1 || written != piece) {
            return false;
        }
        if (out != NULL) {
            out += piece;
        }
        in += piece;
        len -= (size_t)piece;
    }
    return true;
}

/* AES-256-GCM over one message: encrypts and writes the tag, or decrypts and checks the tag. */
static bool gcm(bool encrypt, const uint8_t key[DATA_KEY_LEN], const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag) {
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    uint8_t no_more[TAG_LEN];
    int written = 0;
    bool ok = cipher != NULL && EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, nonce, encrypt ? 1 : 0) == 1 &&
              cipher_update(cipher, NULL, aad, aad_len) && cipher_update(cipher, out, in, len);
    if (ok && !encrypt) {
        ok = EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, (int)TAG_LEN, tag) == 1;
    }
    ok = ok && EVP_CipherFinal_ex(cipher, no_more, &written) == 1;
    if (ok && encrypt) {
        ok = EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, (int)TAG_LEN, tag) == 1;
    }
    EVP_CIPHER_CTX_free(cipher);
    return ok;
}

static bool create(kms *engine) {
    json_t *reply = NULL;
    const char *key_id = NULL;
    const char *spec = NULL;
    bool ok = call(engine, "CreateKey", json_pack("{s:s}", "Description", "envelope demo"), &reply) &&
              json_unpack(reply, "{s:{s:s, s:s}}", "KeyMetadata", "KeyId", &key_id, "KeySpec", &spec) == 0 &&
              call(engine, "CreateAlias", json_pack("{s:s, s:s}", "AliasName", ALIAS, "KeyId", key_id), NULL);
    if (ok) {
        say("created master key %s (%s) and named it %s", key_id, spec, ALIAS);
    }
    json_decref(reply);
    return ok;
}

static bool encrypt(kms *engine, const char *in_path, const char *out_path) {
    struct bytes in;
    if (!read_file(in_path, &in)) {
        return false;
    }
    uint8_t data_key[DATA_KEY_LEN];
    uint8_t blob[MAX_BLOB];
    size_t data_key_len = 0;
    size_t blob_len = 0;
    kms_error *error = NULL;
    double start = now_us();
    if (kms_generate_data_key(engine, ALIAS, sizeof data_key, CONTEXT, data_key, sizeof data_key, &data_key_len, blob,
                              sizeof blob, &blob_len, &error) != KMS_OK) {
        free(in.data);
        return kms_failed("cannot get a data key", error);
    }
    double took = now_us() - start;

    size_t head_len = MAGIC_LEN + 2 + blob_len + NONCE_LEN;
    uint8_t *out = malloc(head_len + in.len + TAG_LEN);
    bool ok = out != NULL;
    if (ok) {
        memcpy(out, MAGIC, MAGIC_LEN);
        out[MAGIC_LEN] = (uint8_t)(blob_len >> 8);
        out[MAGIC_LEN + 1] = (uint8_t)blob_len;
        memcpy(out + MAGIC_LEN + 2, blob, blob_len);
        uint8_t *nonce = out + head_len - NONCE_LEN;
        ok = RAND_bytes(nonce, (int)NONCE_LEN) == 1 &&
             gcm(true, data_key, nonce, out, head_len, in.data, in.len, out + head_len, out + head_len + in.len);
        if (!ok) {
            complain("AES-256-GCM failed");
        }
    }
    OPENSSL_cleanse(data_key, sizeof data_key); /* from here on only the master key can open the file */
    ok = ok && write_file(out_path, out, head_len + in.len + TAG_LEN);
    if (ok) {
        say("encrypted %s -> %s: %zu bytes under a data key of its own (%.0f us); its wrapped form, %zu bytes, is in the file",
            in_path, out_path, in.len, took, blob_len);
    }
    free(out);
    free(in.data);
    return ok;
}

/* Finds the parts of an encrypted file.  `head_len` reaches up to the ciphertext. */
static bool parse(const char *path, const struct bytes *file, const uint8_t **blob, size_t *blob_len, size_t *head_len) {
    size_t fixed = MAGIC_LEN + 2;
    if (file->len >= fixed && memcmp(file->data, MAGIC, MAGIC_LEN) == 0) {
        *blob_len = (size_t)file->data[MAGIC_LEN] << 8 | file->data[MAGIC_LEN + 1];
        *blob = file->data + fixed;
        *head_len = fixed + *blob_len + NONCE_LEN;
        if (file->len >= *head_len + TAG_LEN) {
            return true;
        }
    }
    complain("%s is not an envelope file, or it is cut short", path);
    return false;
}

/*
 * Has the data key of a file unwrapped; the caller wipes it.  The buffer is larger than our data keys, because the engine
 * wants room for the longest plaintext that a blob of this length can hold.
 */
static kms_status unwrap(kms *engine, const uint8_t *blob, size_t blob_len, uint8_t data_key[MAX_BLOB], size_t *len,
                         kms_error **error) {
    return kms_decrypt(engine, blob, blob_len, CONTEXT, data_key, MAX_BLOB, len, error);
}

static bool decrypt(kms *engine, const char *in_path, const char *out_path) {
    struct bytes in;
    const uint8_t *blob = NULL;
    size_t blob_len = 0;
    size_t head_len = 0;
    if (!read_file(in_path, &in)) {
        return false;
    }
    if (!parse(in_path, &in, &blob, &blob_len, &head_len)) {
        free(in.data);
        return false;
    }
    uint8_t data_key[MAX_BLOB];
    size_t data_key_len = 0;
    kms_error *error = NULL;
    double start = now_us();
    if (unwrap(engine, blob, blob_len, data_key, &data_key_len, &error) != KMS_OK) {
        free(in.data);
        return kms_failed("cannot unwrap the data key", error);
    }
    double took = now_us() - start;

    size_t len = in.len - head_len - TAG_LEN;
    uint8_t *out = malloc(len + 1);
    bool ok = out != NULL && data_key_len == DATA_KEY_LEN &&
              gcm(false, data_key, in.data + head_len - NONCE_LEN, in.data, head_len, in.data + head_len, len, out,
                  in.data + head_len + len);
    OPENSSL_cleanse(data_key, sizeof data_key);
    if (!ok) {
        complain("%s was altered: its authentication tag does not fit", in_path);
    }
    ok = ok && write_file(out_path, out, len);
    if (ok) {
        say("decrypted %s -> %s: %zu bytes, data key unwrapped in %.0f us, every byte authenticated", in_path, out_path, len,
            took);
    }
    if (out != NULL) {
        OPENSSL_cleanse(out, len);
    }
    free(out);
    free(in.data);
    return ok;
}

/* Tries to unwrap the file's data key and says what came of it; `expected` is the refusal's code, NULL for success. */
static bool attempt(kms *engine, const char *after, const uint8_t *blob, size_t blob_len, const char *expected) {
    uint8_t data_key[MAX_BLOB];
    size_t len = 0;
    kms_error *error = NULL;
    kms_status status = unwrap(engine, blob, blob_len, data_key, &len, &error);
    OPENSSL_cleanse(data_key, sizeof data_key);
    bool as_expected;
    if (status == KMS_OK) {
        say("%-28s -> decrypt works", after);
        as_expected = expected == NULL;
    } else {
        say("%-28s -> decrypt refused: %" PRId32 " %s", after, kms_error_http_status(error), kms_error_code(error));
        as_expected = expected != NULL && strcmp(expected, kms_error_code(error)) == 0;
    }
    kms_error_free(error);
    if (!as_expected) {
        complain("expected %s", expected != NULL ? expected : "success");
    }
    return as_expected;
}

static bool lifecycle(kms *engine, const char *path) {
    struct bytes file;
    const uint8_t *blob = NULL;
    size_t blob_len = 0;
    size_t head_len = 0;
    if (!read_file(path, &file)) {
        return false;
    }
    json_t *reply = NULL;
    const char *key = NULL;
    /* State changes take a key id, never an alias: an alias may point elsewhere by the time they act. */
    bool ok = parse(path, &file, &blob, &blob_len, &head_len) &&
              call(engine, "DescribeKey", json_pack("{s:s}", "KeyId", ALIAS), &reply) &&
              json_unpack(reply, "{s:{s:s}}", "KeyMetadata", "KeyId", &key) == 0 &&
              call(engine, "DisableKey", json_pack("{s:s}", "KeyId", key), NULL) &&
              attempt(engine, "key disabled", blob, blob_len, "Rejected.Disabled") &&
              call(engine, "EnableKey", json_pack("{s:s}", "KeyId", key), NULL) &&
              attempt(engine, "key enabled", blob, blob_len, NULL) &&
              call(engine, "ScheduleKeyDeletion", json_pack("{s:s, s:i}", "KeyId", key, "PendingWindowInDays", 7), NULL) &&
              attempt(engine, "deletion set for in 7 days", blob, blob_len, "Rejected.PendingDeletion") &&
              call(engine, "CancelKeyDeletion", json_pack("{s:s}", "KeyId", key), NULL) &&
              attempt(engine, "deletion cancelled", blob, blob_len, NULL);
    json_decref(reply);
    free(file.data);
    return ok;
}

int main(int argc, char **argv) {
    const char *step = argc > 3 ? argv[3] : "";
    bool is_create = strcmp(step, "create") == 0 && argc == 4;
    bool is_encrypt = strcmp(step, "encrypt") == 0 && argc == 6;
    bool is_decrypt = strcmp(step, "decrypt") == 0 && argc == 6;
    bool is_lifecycle = strcmp(step, "lifecycle") == 0 && argc == 5;
    if (!is_create && !is_encrypt && !is_decrypt && !is_lifecycle) {
        fputs("usage: envelope STORE_DIR ROOT_KEY_FILE create\n"
              "       envelope STORE_DIR ROOT_KEY_FILE encrypt   IN OUT\n"
              "       envelope STORE_DIR ROOT_KEY_FILE decrypt   IN OUT\n"
              "       envelope STORE_DIR ROOT_KEY_FILE lifecycle ENCRYPTED_FILE\n",
              stderr);
        return 2;
    }

    kms *engine = open_store(argv[1], argv[2], is_create);
    if (engine == NULL) {
        return 1;
    }
    bool ok = is_create    ? create(engine)
              : is_encrypt ? encrypt(engine, argv[4], argv[5])
              : is_decrypt ? decrypt(engine, argv[4], argv[5])
                           : lifecycle(engine, argv[4]);
    kms_close(engine);
    return ok ? 0 : 1;
}
