/*
 * Signatures with libkms: the key that signs never leaves the store, and anybody can verify.
 *
 *     sign STORE_DIR ROOT_KEY_FILE create ALIAS KEY_SPEC
 *     sign STORE_DIR ROOT_KEY_FILE sign   KEY ALGORITHM FILE SIGNATURE PUBLIC_KEY
 *     sign STORE_DIR ROOT_KEY_FILE verify KEY ALGORITHM FILE SIGNATURE
 *
 * `create` makes a key pair and its name, for instance alias/signer and EC_P256.
 * `sign` digests the file, signs the digest, and writes the signature and the public key, as PEM.
 * `verify` asks the engine, which needs no public key for it.
 *
 * The Go and Python programs of the same name have the last two steps.  Whoever has no engine verifies with OpenSSL:
 *
 *     openssl dgst -sha256 -verify PUBLIC_KEY -signature SIGNATURE FILE                            (ECDSA_SHA_256)
 *     openssl pkeyutl -verify -rawin -digest sm3 -pkeyopt distid:1234567812345678 -pubin -inkey PUBLIC_KEY \
 *             -sigfile SIGNATURE -in FILE                                                          (SM2DSA)
 *
 * The exit status is 0 if all went well, 3 if the signature is not valid, and something else if nobody knows.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common.h"

const char program[] = "sign";

#define DIGEST_LEN 32u
/* Enough for the signature of every key. */
#define MAX_SIGNATURE 384u

enum status { DONE = 0, FAILED = 1, MISUSED = 2, NOT_VALID = 3 };

static bool create(kms *engine, const char *alias, const char *spec) {
    json_t *reply = NULL;
    const char *key_id = NULL;
    bool ok = call(engine, "CreateKey", json_pack("{s:s, s:s}", "KeySpec", spec, "KeyUsage", "SIGN/VERIFY"), &reply) &&
              json_unpack(reply, "{s:{s:s}}", "KeyMetadata", "KeyId", &key_id) == 0 &&
              call(engine, "CreateAlias", json_pack("{s:s, s:s}", "AliasName", alias, "KeyId", key_id), NULL);
    if (ok) {
        say("created key pair %s (%s) and named it %s", key_id, spec, alias);
    }
    json_decref(reply);
    return ok;
}

/*
 * Digests a file piece by piece, however large it is.  For ECDSA this is plain SHA-256; for SM2 the digest hangs on the
 * key too, which is why the engine makes it.
 */
static bool digest_file(kms *engine, const char *key, const char *algorithm, const char *path, uint8_t digest[DIGEST_LEN]) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        complain("cannot read %s: %s", path, strerror(errno));
        return false;
    }
    kms_digester *digester = NULL;
    kms_error *error = NULL;
    kms_status status = kms_digest_init(engine, key, NULL, algorithm, NULL, &digester, &error);
    uint8_t piece[65536];
    size_t len;
    while (status == KMS_OK && (len = fread(piece, 1, sizeof piece, file)) > 0) {
        status = kms_digest_update(digester, piece, len, &error);
    }
    if (status == KMS_OK) {
        status = kms_digest_final(digester, digest, &error);
    }
    kms_digest_free(digester);
    bool whole = !ferror(file);
    fclose(file);
    if (status != KMS_OK) {
        return kms_failed("cannot digest the file", error);
    }
    if (!whole) {
        complain("cannot read %s completely", path);
    }
    return whole;
}

static bool sign(kms *engine, const char *key, const char *algorithm, const char *path, const char *signature_path,
                 const char *public_path) {
    uint8_t digest[DIGEST_LEN];
    uint8_t signature[MAX_SIGNATURE];
    size_t len = 0;
    char *pem = NULL;
    kms_error *error = NULL;
    if (!digest_file(engine, key, algorithm, path, digest)) {
        return false;
    }
    /* Without a version, the newest one signs, and its public half is told. */
    if (kms_sign(engine, key, NULL, algorithm, digest, sizeof digest, signature, sizeof signature, &len, &error) != KMS_OK) {
        return kms_failed("cannot sign", error);
    }
    if (kms_get_public_key(engine, key, NULL, &pem, &error) != KMS_OK) {
        return kms_failed("cannot get the public key", error);
    }
    bool ok = write_file(signature_path, signature, len) && write_file(public_path, (const uint8_t *)pem, strlen(pem));
    kms_string_free(pem);
    if (ok) {
        say("signed %s with %s, %s: signature in %s (%zu bytes), public key in %s", path, key, algorithm, signature_path, len,
            public_path);
    }
    return ok;
}

static bool read_signature(const char *path, uint8_t signature[MAX_SIGNATURE], size_t *len) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        complain("cannot read %s: %s", path, strerror(errno));
        return false;
    }
    *len = fread(signature, 1, MAX_SIGNATURE, file);
    bool ok = !ferror(file) && fgetc(file) == EOF;
    fclose(file);
    if (!ok) {
        complain("%s is no signature", path);
    }
    return ok;
}

static enum status verify(kms *engine, const char *key, const char *algorithm, const char *path, const char *signature_path) {
    uint8_t digest[DIGEST_LEN];
    uint8_t signature[MAX_SIGNATURE];
    size_t len = 0;
    bool valid = false;
    kms_error *error = NULL;
    if (!read_signature(signature_path, signature, &len) || !digest_file(engine, key, algorithm, path, digest)) {
        return FAILED;
    }
    if (kms_verify(engine, key, NULL, algorithm, digest, sizeof digest, signature, len, &valid, &error) != KMS_OK) {
        kms_failed("cannot verify", error);
        return FAILED;
    }
    say("verified %s with %s: %s is %s", path, key, signature_path, valid ? "valid" : "NOT valid");
    return valid ? DONE : NOT_VALID;
}

int main(int argc, char **argv) {
    const char *step = argc > 3 ? argv[3] : "";
    bool is_create = strcmp(step, "create") == 0 && argc == 6;
    bool is_sign = strcmp(step, "sign") == 0 && argc == 9;
    bool is_verify = strcmp(step, "verify") == 0 && argc == 8;
    if (!is_create && !is_sign && !is_verify) {
        fputs("usage: sign STORE_DIR ROOT_KEY_FILE create ALIAS KEY_SPEC\n"
              "       sign STORE_DIR ROOT_KEY_FILE sign   KEY ALGORITHM FILE SIGNATURE PUBLIC_KEY\n"
              "       sign STORE_DIR ROOT_KEY_FILE verify KEY ALGORITHM FILE SIGNATURE\n",
              stderr);
        return MISUSED;
    }

    kms *engine = open_store(argv[1], argv[2], is_create);
    if (engine == NULL) {
        return FAILED;
    }
    enum status status;
    if (is_verify) {
        status = verify(engine, argv[4], argv[5], argv[6], argv[7]);
    } else {
        bool ok = is_create ? create(engine, argv[4], argv[5])
                            : sign(engine, argv[4], argv[5], argv[6], argv[7], argv[8]);
        status = ok ? DONE : FAILED;
    }
    kms_close(engine);
    return (int)status;
}
