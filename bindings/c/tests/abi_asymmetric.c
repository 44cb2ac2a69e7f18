/*
 * Signatures, digests, and encryption to public keys: every key and algorithm, every argument that may be wrong.
 */
#include "abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD_UTF8 "\x80"
#define DIGEST_LEN 32

/* The longest signature of any key. */
#define MAX_SIGNATURE 384

#define NAMES(spec, algorithm) spec, algorithm, spec ": " algorithm

/* What signs, and how.  The longest signature is the length of the modulus, or that of two numbers in DER. */
static const struct {
    const char *spec;
    const char *algorithm;
    const char *name;
    size_t longest;
} signers[] = {
    {NAMES("RSA_2048", "RSA_PSS_SHA_256"), 256},
    {NAMES("RSA_2048", "RSA_PKCS1_SHA_256"), 256},
    {NAMES("EC_P256", "ECDSA_SHA_256"), 72},
    {NAMES("EC_P256K", "ECDSA_SHA_256"), 72},
    {NAMES("EC_SM2", "SM2DSA"), 72},
};

/* What encrypts, how, and how many bytes at most. */
static const struct {
    const char *spec;
    const char *algorithm;
    const char *name;
    size_t most;
} encrypters[] = {
    {NAMES("RSA_2048", "RSAES_OAEP_SHA_256"), 190},
    {NAMES("RSA_2048", "RSAES_OAEP_SHA_1"), 214},
    {NAMES("EC_SM2", "SM2PKE"), 6047},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void create(kms *engine, const char *spec, const char *usage, char key_id[KEY_ID_SIZE]) {
    char params[96];
    char *reply = NULL;
    kms_error *e = NULL;
    snprintf(params, sizeof params, "{\"KeySpec\":\"%s\",\"KeyUsage\":\"%s\"}", spec, usage);
    if (kms_call(engine, "CreateKey", params, &reply, &e) != KMS_OK || !json_text(reply, "KeyId", key_id, KEY_ID_SIZE)) {
        fatal("CreateKey %s: %s", params, kms_error_message(e));
    }
    kms_string_free(reply);
}

/* The id of the newest version of a key. */
static void newest(kms *engine, const char *key_id, char version[KEY_ID_SIZE]) {
    char params[64];
    char *reply = NULL;
    kms_error *e = NULL;
    snprintf(params, sizeof params, "{\"KeyId\":\"%s\"}", key_id);
    if (kms_call(engine, "ListKeyVersions", params, &reply, &e) != KMS_OK ||
        !json_text(reply, "KeyVersionId", version, KEY_ID_SIZE)) {
        fatal("ListKeyVersions: %s", kms_error_message(e));
    }
    kms_string_free(reply);
}

/* One signature: made, found good, and found bad once anything about it is changed. */
static void signature(kms *engine, const char *key_id, const char *algorithm, size_t longest) {
    kms_error *e = NULL;
    char version[KEY_ID_SIZE];
    uint8_t digest[DIGEST_LEN];
    uint8_t made[MAX_SIGNATURE];
    size_t made_len = 0;
    bool valid = false;
    newest(engine, key_id, version);
    ACCEPTED(kms_digest(engine, key_id, version, algorithm, plaintext, sizeof plaintext, NULL, digest, &e), &e);

    /* The bound is asked for with NULL, one byte less is refused, the bound itself is enough. */
    taint();
    REFUSED(kms_sign(engine, key_id, NULL, algorithm, digest, sizeof digest, NULL, 0, &out_len, &e), &e, "KMS_BUFFER_TOO_SMALL",
            0);
    CHECK(out_len == longest);
    REFUSED(kms_sign(engine, key_id, version, algorithm, digest, sizeof digest, out, longest - 1, &out_len, &e), &e,
            "KMS_BUFFER_TOO_SMALL", 0);
    CHECK(out_len == longest && bytes_untouched(out, sizeof out));
    uint8_t *exact = malloc(longest); /* on the heap, so that a sanitizer sees the first byte too many */
    if (exact == NULL) {
        fatal("no memory");
    }
    ACCEPTED(kms_sign(engine, key_id, version, algorithm, digest, sizeof digest, exact, longest, &made_len, &e), &e);
    CHECK(made_len <= longest && made_len >= (longest == 256 ? 256 : 60));
    memcpy(made, exact, made_len);
    free(exact);

    ACCEPTED(kms_verify(engine, key_id, version, algorithm, digest, sizeof digest, made, made_len, &valid, &e), &e);
    CHECK(valid);
    valid = false;
    ACCEPTED(kms_verify(engine, key_id, NULL, algorithm, digest, sizeof digest, made, made_len, &valid, &e), &e);
    CHECK(valid);
    for (size_t i = 0; i < made_len; i += made_len / 8) {
        made[i] ^= 1;
        ACCEPTED(kms_verify(engine, key_id, version, algorithm, digest, sizeof digest, made, made_len, &valid, &e), &e);
        CHECK(!valid);
        made[i] ^= 1;
    }
    for (size_t len = 0; len <= made_len; len += made_len / 4) {
        valid = false;
        ACCEPTED(kms_verify(engine, key_id, version, algorithm, digest, sizeof digest, made, len, &valid, &e), &e);
        CHECK(valid == (len == made_len));
    }
    ACCEPTED(kms_verify(engine, key_id, version, algorithm, digest, sizeof digest, out, sizeof out, &valid, &e), &e);
    CHECK(!valid);
    digest[0] ^= 1;
    ACCEPTED(kms_verify(engine, key_id, version, algorithm, digest, sizeof digest, made, made_len, &valid, &e), &e);
    CHECK(!valid);

    static const size_t wrong[] = {0, DIGEST_LEN - 1, DIGEST_LEN + 1};
    taint();
    for (size_t i = 0; i < COUNT(wrong); i++) {
        REFUSED(kms_sign(engine, key_id, version, algorithm, plaintext, wrong[i], out, sizeof out, &out_len, &e), &e,
                "InvalidParameter", 400);
        REFUSED(kms_verify(engine, key_id, version, algorithm, plaintext, wrong[i], made, made_len, &valid, &e), &e,
                "InvalidParameter", 400);
    }
    REFUSED(kms_sign(engine, key_id, UNKNOWN_KEY, algorithm, digest, sizeof digest, out, sizeof out, &out_len, &e), &e,
            "Forbidden.KeyVersionNotFound", 404);
    CHECK(untouched());
}

/* A key does what its algorithm says and nothing else. */
static void refusals(kms *engine, const char *key_id, const char *fits) {
    kms_error *e = NULL;
    taint();
    for (size_t i = 0; i < COUNT(signers); i++) {
        bool rsa = strncmp(fits, "RSA", 3) == 0 && strncmp(signers[i].algorithm, "RSA", 3) == 0;
        if (!rsa && strcmp(signers[i].algorithm, fits) != 0) {
            REFUSED(kms_sign(engine, key_id, NULL, signers[i].algorithm, plaintext, 0, out, sizeof out, &out_len, &e), &e,
                    "InvalidParameter", 400);
            REFUSED(kms_digest(engine, key_id, NULL, signers[i].algorithm, NULL, 0, NULL, out, &e), &e, "InvalidParameter", 400);
        }
    }
    static const char *const unknown[] = {"SHA256withRSA", "RSA_PSS_SHA_256 ", "rsa_pss_sha_256", "RSAES_OAEP_SHA_256"};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        REFUSED(kms_sign(engine, key_id, NULL, unknown[i], plaintext, 0, out, sizeof out, &out_len, &e), &e, "InvalidParameter",
                400);
    }
    REFUSED(kms_sign(engine, key_id, NULL, "", plaintext, 0, out, sizeof out, &out_len, &e), &e, "MissingParameter", 400);
    REFUSED(kms_asymmetric_encrypt(engine, key_id, NULL, "SM2PKE", plaintext, 1, out, sizeof out, &out_len, &e), &e,
            "Rejected.UnsupportedOperation", 400);
    REFUSED(kms_encrypt(engine, key_id, plaintext, 1, NULL, out, sizeof out, &out_len, &e), &e, "Rejected.UnsupportedOperation",
            400);
    CHECK(untouched());
}

/* A message in pieces has the digest of the whole; for SM2 the user id counts. */
static void digests(kms *engine, const char *key_id, const char *algorithm, bool sm2) {
    kms_error *e = NULL;
    kms_digester *digester = NULL;
    uint8_t whole[DIGEST_LEN];
    uint8_t pieces[DIGEST_LEN];
    static uint8_t message[1000];
    memset(message, 'm', sizeof message);
    ACCEPTED(kms_digest(engine, key_id, NULL, algorithm, message, sizeof message, NULL, whole, &e), &e);
    ACCEPTED(kms_digest_init(engine, key_id, NULL, algorithm, "1234567812345678", &digester, &e), &e);
    ACCEPTED(kms_digest_update(digester, message, 1, &e), &e);
    ACCEPTED(kms_digest_update(digester, NULL, 0, &e), &e);
    ACCEPTED(kms_digest_update(digester, message, 999, &e), &e);
    ACCEPTED(kms_digest_final(digester, pieces, &e), &e);
    CHECK(memcmp(whole, pieces, sizeof whole) == 0);
    memset(pieces, SENTINEL, sizeof pieces);
    REFUSED(kms_digest_update(digester, message, 1, &e), &e, "KMS_CLOSED", 0);
    REFUSED(kms_digest_final(digester, pieces, &e), &e, "KMS_CLOSED", 0);
    CHECK(bytes_untouched(pieces, sizeof pieces));
    kms_digest_free(digester);

    /* One that is given up before its end. */
    digester = NULL;
    ACCEPTED(kms_digest_init(engine, key_id, NULL, algorithm, "somebody", &digester, &e), &e);
    ACCEPTED(kms_digest_update(digester, message, sizeof message, &e), &e);
    kms_digest_free(digester);

    ACCEPTED(kms_digest(engine, key_id, NULL, algorithm, message, sizeof message, "somebody", pieces, &e), &e);
    CHECK((memcmp(whole, pieces, sizeof whole) != 0) == sm2);
    char *long_id = malloc(8193);
    if (long_id == NULL) {
        fatal("no memory");
    }
    memset(long_id, 'i', 8192);
    long_id[8192] = '\0';
    kms_status status = kms_digest(engine, key_id, NULL, algorithm, message, 1, long_id, pieces, &e);
    if (sm2) {
        REFUSED(status, &e, "InvalidParameter", 400);
    } else {
        ACCEPTED(status, &e);
    }
    long_id[8191] = '\0';
    ACCEPTED(kms_digest(engine, key_id, NULL, algorithm, message, 1, long_id, pieces, &e), &e);
    free(long_id);
    REFUSED(kms_digest(engine, key_id, NULL, algorithm, message, sizeof message, NULL, message + 968, &e), &e, "KMS_OVERLAP", 0);
    CHECK(message[968] == 'm' && message[999] == 'm');
}

static void encryption(kms *engine, const char *key_id, const char *algorithm, size_t most) {
    kms_error *e = NULL;
    char version[KEY_ID_SIZE];
    static uint8_t large[6048];
    static uint8_t ciphertext[MAX_BLOB];
    newest(engine, key_id, version);
    for (size_t i = 0; i < sizeof large; i++) {
        large[i] = (uint8_t)(i * 5);
    }
    const size_t lengths[] = {1, 32, most};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        taint();
        REFUSED(kms_asymmetric_encrypt(engine, key_id, NULL, algorithm, large, lengths[i], NULL, 0, &out_len, &e), &e,
                "KMS_BUFFER_TOO_SMALL", 0);
        size_t bound = out_len;
        CHECK(bound == (most == 6047 ? lengths[i] + 97 : 256));
        REFUSED(kms_asymmetric_encrypt(engine, key_id, NULL, algorithm, large, lengths[i], out, bound - 1, &out_len, &e), &e,
                "KMS_BUFFER_TOO_SMALL", 0);
        CHECK(bytes_untouched(out, sizeof out));
        size_t len = 0;
        ACCEPTED(kms_asymmetric_encrypt(engine, key_id, version, algorithm, large, lengths[i], ciphertext, bound, &len, &e), &e);
        CHECK(len == bound);

        REFUSED(kms_asymmetric_decrypt(engine, key_id, version, algorithm, ciphertext, len, NULL, 0, &out_len, &e), &e,
                "KMS_BUFFER_TOO_SMALL", 0);
        bound = out_len;
        CHECK(bound >= lengths[i] && bound < len);
        REFUSED(kms_asymmetric_decrypt(engine, key_id, version, algorithm, ciphertext, len, out, bound - 1, &out_len, &e), &e,
                "KMS_BUFFER_TOO_SMALL", 0);
        CHECK(bytes_untouched(out, sizeof out));
        uint8_t *exact = malloc(bound);
        if (exact == NULL) {
            fatal("no memory");
        }
        ACCEPTED(kms_asymmetric_decrypt(engine, key_id, NULL, algorithm, ciphertext, len, exact, bound, &out_len, &e), &e);
        CHECK(out_len == lengths[i] && memcmp(exact, large, out_len) == 0);
        free(exact);

        /* Asking how long the plaintext of what is no ciphertext is leads to the same error, not in a circle. */
        REFUSED(kms_asymmetric_decrypt(engine, key_id, NULL, algorithm, ciphertext, 1, NULL, 0, &out_len, &e), &e,
                "KMS_BUFFER_TOO_SMALL", 0);
        CHECK(out_len == 1);
        REFUSED(kms_asymmetric_decrypt(engine, key_id, NULL, algorithm, ciphertext, 1, out, out_len, &out_len, &e), &e,
                "InvalidParameter", 400);

        /* Altered, cut short, longer: one error for all. */
        taint();
        for (size_t at = 0; at < len; at += len / 8 + 1) {
            ciphertext[at] ^= 1;
            REFUSED(kms_asymmetric_decrypt(engine, key_id, NULL, algorithm, ciphertext, len, out, sizeof out, &out_len, &e), &e,
                    "InvalidParameter", 400);
            ciphertext[at] ^= 1;
        }
        for (size_t cut = 0; cut < len; cut += len / 4 + 1) {
            REFUSED(kms_asymmetric_decrypt(engine, key_id, NULL, algorithm, ciphertext, cut, out, sizeof out, &out_len, &e), &e,
                    "InvalidParameter", 400);
        }
        REFUSED(kms_asymmetric_decrypt(engine, key_id, NULL, algorithm, ciphertext, len + 1, out, sizeof out, &out_len, &e), &e,
                "InvalidParameter", 400);
        CHECK(untouched());
    }
    REFUSED(kms_asymmetric_encrypt(engine, key_id, NULL, algorithm, large, 0, out, sizeof out, &out_len, &e), &e,
            "InvalidParameter", 400);
    REFUSED(kms_asymmetric_encrypt(engine, key_id, NULL, algorithm, large, most + 1, out, sizeof out, &out_len, &e), &e,
            "InvalidParameter", 400);
    REFUSED(kms_asymmetric_encrypt(engine, key_id, NULL, algorithm, large, SIZE_MAX, out, sizeof out, &out_len, &e), &e, NULL,
            400);
    REFUSED(kms_sign(engine, key_id, NULL, "SM2DSA", plaintext, 0, out, sizeof out, &out_len, &e), &e, NULL, 400);
    CHECK(untouched());
}

static void public_key(kms *engine, const char *key_id, const char *symmetric) {
    kms_error *e = NULL;
    char *pem = NULL;
    char *again = NULL;
    char version[KEY_ID_SIZE];
    static const char end[] = "\n-----END PUBLIC KEY-----\n";
    newest(engine, key_id, version);
    ACCEPTED(kms_get_public_key(engine, key_id, NULL, &pem, &e), &e);
    ACCEPTED(kms_get_public_key(engine, key_id, version, &again, &e), &e);
    CHECK(pem != NULL && again != NULL && strcmp(pem, again) == 0);
    CHECK(strncmp(pem, "-----BEGIN PUBLIC KEY-----\n", 27) == 0);
    CHECK(strcmp(pem + strlen(pem) - strlen(end), end) == 0);
    kms_string_free(pem);
    kms_string_free(again);
    pem = NULL;
    REFUSED(kms_get_public_key(engine, symmetric, NULL, &pem, &e), &e, "Rejected.UnsupportedOperation", 400);
    REFUSED(kms_get_public_key(engine, UNKNOWN_KEY, NULL, &pem, &e), &e, "Forbidden.KeyNotFound", 404);
    CHECK(pem == NULL);
}

/* Every pointer that may be NULL or hold what is no text. */
static void arguments(kms *engine, const char *key_id) {
    kms_error *e = NULL;
    char *pem = NULL;
    kms_digester *digester = NULL;
    bool valid = true;
    uint8_t digest[DIGEST_LEN] = {0};
    const char *algorithm = "ECDSA_SHA_256";

#define IS(code, call)                   \
    do {                                 \
        taint();                         \
        REFUSED((call), &e, code, 0);    \
        CHECK(untouched() && valid);     \
    } while (0)
#define IS_NULL(call) IS("KMS_NULL_ARGUMENT", call)
#define IS_TEXTLESS(call) IS("KMS_INVALID_UTF8", call)

    IS_NULL(kms_sign(NULL, key_id, NULL, algorithm, digest, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_sign(engine, NULL, NULL, algorithm, digest, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_sign(engine, key_id, NULL, NULL, digest, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_sign(engine, key_id, NULL, algorithm, NULL, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_sign(engine, key_id, NULL, algorithm, digest, 32, out, sizeof out, NULL, &e));
    IS_NULL(kms_verify(NULL, key_id, NULL, algorithm, digest, 32, digest, 32, &valid, &e));
    IS_NULL(kms_verify(engine, NULL, NULL, algorithm, digest, 32, digest, 32, &valid, &e));
    IS_NULL(kms_verify(engine, key_id, NULL, NULL, digest, 32, digest, 32, &valid, &e));
    IS_NULL(kms_verify(engine, key_id, NULL, algorithm, NULL, 32, digest, 32, &valid, &e));
    IS_NULL(kms_verify(engine, key_id, NULL, algorithm, digest, 32, NULL, 32, &valid, &e));
    IS_NULL(kms_verify(engine, key_id, NULL, algorithm, digest, 32, digest, 32, NULL, &e));
    IS_NULL(kms_asymmetric_encrypt(NULL, key_id, NULL, "SM2PKE", digest, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_asymmetric_encrypt(engine, NULL, NULL, "SM2PKE", digest, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_asymmetric_encrypt(engine, key_id, NULL, NULL, digest, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_asymmetric_encrypt(engine, key_id, NULL, "SM2PKE", NULL, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_asymmetric_encrypt(engine, key_id, NULL, "SM2PKE", digest, 32, out, sizeof out, NULL, &e));
    IS_NULL(kms_asymmetric_decrypt(NULL, key_id, NULL, "SM2PKE", digest, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_asymmetric_decrypt(engine, NULL, NULL, "SM2PKE", digest, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_asymmetric_decrypt(engine, key_id, NULL, NULL, digest, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_asymmetric_decrypt(engine, key_id, NULL, "SM2PKE", NULL, 32, out, sizeof out, &out_len, &e));
    IS_NULL(kms_asymmetric_decrypt(engine, key_id, NULL, "SM2PKE", digest, 32, out, sizeof out, NULL, &e));
    IS_NULL(kms_get_public_key(NULL, key_id, NULL, &pem, &e));
    IS_NULL(kms_get_public_key(engine, NULL, NULL, &pem, &e));
    IS_NULL(kms_get_public_key(engine, key_id, NULL, NULL, &e));
    IS_NULL(kms_digest(NULL, key_id, NULL, algorithm, digest, 32, NULL, out, &e));
    IS_NULL(kms_digest(engine, NULL, NULL, algorithm, digest, 32, NULL, out, &e));
    IS_NULL(kms_digest(engine, key_id, NULL, NULL, digest, 32, NULL, out, &e));
    IS_NULL(kms_digest(engine, key_id, NULL, algorithm, NULL, 32, NULL, out, &e));
    IS_NULL(kms_digest(engine, key_id, NULL, algorithm, digest, 32, NULL, NULL, &e));
    IS_NULL(kms_digest_init(NULL, key_id, NULL, algorithm, NULL, &digester, &e));
    IS_NULL(kms_digest_init(engine, NULL, NULL, algorithm, NULL, &digester, &e));
    IS_NULL(kms_digest_init(engine, key_id, NULL, NULL, NULL, &digester, &e));
    IS_NULL(kms_digest_init(engine, key_id, NULL, algorithm, NULL, NULL, &e));
    IS_NULL(kms_digest_update(NULL, digest, 32, &e));
    IS_NULL(kms_digest_final(NULL, out, &e));
    CHECK(pem == NULL && digester == NULL);
    kms_digest_free(NULL);
    ACCEPTED(kms_digest_init(engine, key_id, NULL, algorithm, NULL, &digester, &e), &e);
    IS_NULL(kms_digest_update(digester, NULL, 1, &e));
    IS_NULL(kms_digest_final(digester, NULL, &e));
    ACCEPTED(kms_digest_final(digester, digest, &e), &e);
    kms_digest_free(digester);
    digester = NULL;

    IS_TEXTLESS(kms_sign(engine, BAD_UTF8, NULL, algorithm, digest, 32, out, sizeof out, &out_len, &e));
    IS_TEXTLESS(kms_sign(engine, key_id, BAD_UTF8, algorithm, digest, 32, out, sizeof out, &out_len, &e));
    IS_TEXTLESS(kms_sign(engine, key_id, NULL, BAD_UTF8, digest, 32, out, sizeof out, &out_len, &e));
    IS_TEXTLESS(kms_verify(engine, key_id, BAD_UTF8, algorithm, digest, 32, digest, 32, &valid, &e));
    IS_TEXTLESS(kms_asymmetric_encrypt(engine, key_id, NULL, BAD_UTF8, digest, 32, out, sizeof out, &out_len, &e));
    IS_TEXTLESS(kms_asymmetric_decrypt(engine, BAD_UTF8, NULL, "SM2PKE", digest, 32, out, sizeof out, &out_len, &e));
    IS_TEXTLESS(kms_get_public_key(engine, key_id, BAD_UTF8, &pem, &e));
    IS_TEXTLESS(kms_digest(engine, key_id, NULL, algorithm, digest, 32, BAD_UTF8, out, &e));
    IS_TEXTLESS(kms_digest_init(engine, key_id, NULL, BAD_UTF8, NULL, &digester, &e));
    CHECK(pem == NULL && digester == NULL);

    /* An output over an input, and over the length of another output. */
    uint8_t both[512] = {0};
    REFUSED(kms_sign(engine, key_id, NULL, algorithm, both, 32, both, sizeof both, &out_len, &e), &e, "KMS_OVERLAP", 0);
    REFUSED(kms_sign(engine, key_id, NULL, algorithm, both, 32, both + 31, 400, &out_len, &e), &e, "KMS_OVERLAP", 0);
    REFUSED(kms_sign(engine, key_id, NULL, algorithm, digest, 32, (uint8_t *)&out_len, 500, &out_len, &e), &e, NULL, 0);
    REFUSED(kms_verify(engine, key_id, NULL, algorithm, digest, 32, both, 70, (bool *)(both + 69), &e), &e, "KMS_OVERLAP", 0);
    static const uint8_t zero[sizeof both];
    CHECK(memcmp(both, zero, sizeof both) == 0);
#undef IS_TEXTLESS
#undef IS_NULL
#undef IS
}

/* A key that may not be used, through the typed functions. */
static void key_states(kms *engine, const char *key_id) {
    kms_error *e = NULL;
    char *pem = NULL;
    bool valid = true;
    uint8_t digest[DIGEST_LEN] = {0};
    ACCEPTED(call_key(engine, "DisableKey", key_id, &e), &e);
    taint();
    const char *algorithm = "ECDSA_SHA_256";
    REFUSED(kms_sign(engine, key_id, NULL, algorithm, digest, 32, out, sizeof out, &out_len, &e), &e, "Rejected.Disabled", 409);
    REFUSED(kms_sign(engine, key_id, NULL, algorithm, digest, 32, NULL, 0, &out_len, &e), &e, NULL, -1);
    REFUSED(kms_verify(engine, key_id, NULL, algorithm, digest, 32, digest, 32, &valid, &e), &e, "Rejected.Disabled", 409);
    REFUSED(kms_get_public_key(engine, key_id, NULL, &pem, &e), &e, "Rejected.Disabled", 409);
    REFUSED(kms_digest(engine, key_id, NULL, algorithm, digest, 32, NULL, out, &e), &e, "Rejected.Disabled", 409);
    CHECK(bytes_untouched(out, sizeof out) && valid && pem == NULL);
    ACCEPTED(call_key(engine, "EnableKey", key_id, &e), &e);
    ACCEPTED(kms_sign(engine, key_id, NULL, algorithm, digest, 32, out, sizeof out, &out_len, &e), &e);
}

void check_asymmetric(kms *engine, const char *symmetric) {
    char key_id[KEY_ID_SIZE];
    char curve[KEY_ID_SIZE] = "";
    for (size_t i = 0; i < COUNT(signers); i++) {
        group(signers[i].name);
        if (i == 0 || strcmp(signers[i].spec, signers[i - 1].spec) != 0) {
            create(engine, signers[i].spec, "SIGN/VERIFY", key_id);
        }
        if (strcmp(signers[i].spec, "EC_P256") == 0) {
            memcpy(curve, key_id, sizeof curve);
        }
        signature(engine, key_id, signers[i].algorithm, signers[i].longest);
        refusals(engine, key_id, signers[i].algorithm);
        digests(engine, key_id, signers[i].algorithm, strcmp(signers[i].algorithm, "SM2DSA") == 0);
        public_key(engine, key_id, symmetric);
    }
    for (size_t i = 0; i < COUNT(encrypters); i++) {
        group(encrypters[i].name);
        if (i == 0 || strcmp(encrypters[i].spec, encrypters[i - 1].spec) != 0) {
            create(engine, encrypters[i].spec, "ENCRYPT/DECRYPT", key_id);
        }
        encryption(engine, key_id, encrypters[i].algorithm, encrypters[i].most);
        public_key(engine, key_id, symmetric);
    }
    group("asymmetric functions: arguments that are wrong");
    arguments(engine, curve);
    group("asymmetric functions: keys that may not be used");
    key_states(engine, curve);
}
