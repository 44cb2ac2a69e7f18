/*
 * The C contract, promise by promise: what kms.h says about pointers, buffers, texts, errors and stores holds.
 *
 * Goal: a host that makes any one mistake gets an error that names it, an untouched output and a working engine.
 * Method: make each mistake once against an engine that works, then look at the status, the error and the output bytes.
 */
#define _POSIX_C_SOURCE 200809L

#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not UTF-8, however it is read: a lone continuation byte. */
#define BAD_UTF8 "\x80"
#define SENTINEL 0xA5
#define SENTINEL_LEN ((size_t)0x5EA5A5A5)
#define UNKNOWN_KEY "00000000-0000-4000-8000-000000000000"

static uint8_t out[MAX_BLOB];
static size_t out_len;
static const uint8_t plaintext[] = "the quick brown fox";

/* Prepares the outputs so that `untouched` can tell whether a call wrote to them. */
static void taint(void) {
    memset(out, SENTINEL, sizeof out);
    out_len = SENTINEL_LEN;
}

static bool bytes_untouched(const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != SENTINEL) {
            return false;
        }
    }
    return true;
}

static bool untouched(void) {
    return bytes_untouched(out, sizeof out) && out_len == SENTINEL_LEN;
}

static void describe_works(kms *engine, const char *key_id) {
    kms_error *error = NULL;
    ACCEPTED(call_key(engine, "DescribeKey", key_id, &error), &error);
}

static size_t encrypt_or_die(kms *engine, const char *key_id, const uint8_t *data, size_t len, const char *context,
                             uint8_t *blob, size_t cap) {
    size_t blob_len = 0;
    kms_error *error = NULL;
    if (kms_encrypt(engine, key_id, data, len, context, blob, cap, &blob_len, &error) != KMS_OK) {
        fatal("kms_encrypt: %s: %s", kms_error_code(error), kms_error_message(error));
    }
    return blob_len;
}

static void version_and_constants(void) {
    group("version and constants");
    CHECK(kms_version() != NULL && kms_version()[0] != '\0');
    CHECK(KMS_OK == 0);
    static const kms_status local[] = {
        KMS_NULL_ARGUMENT,  KMS_INVALID_UTF8,  KMS_INVALID_CONFIG, KMS_ABI_MISMATCH,   KMS_BUFFER_TOO_SMALL,
        KMS_WRONG_ROOT_KEY, KMS_STORE_LOCKED,  KMS_STORE_FOREIGN,  KMS_STORE_CORRUPT,  KMS_STORE_FULL,
        KMS_STORE_POISONED, KMS_FORKED,        KMS_CLOCK_NOT_MANUAL, KMS_CLOSED,
    };
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        CHECK(local[i] >= 1000);
        for (size_t j = 0; j < i; j++) {
            CHECK(local[i] != local[j]);
        }
    }
}

static void null_is_harmless(void) {
    group("NULL to the functions that cannot fail");
    kms_close(NULL);
    kms_string_free(NULL);
    kms_error_free(NULL);
    CHECK(kms_error_code(NULL) != NULL && kms_error_code(NULL)[0] == '\0');
    CHECK(kms_error_message(NULL) != NULL && kms_error_message(NULL)[0] == '\0');
    CHECK(kms_error_request_id(NULL) != NULL && kms_error_request_id(NULL)[0] == '\0');
    CHECK(kms_error_http_status(NULL) == 0);
    CHECK(kms_error_status(NULL) == KMS_OK);
}

static void null_arguments(kms *engine, const char *key_id, const uint8_t *blob, size_t blob_len) {
    group("NULL arguments");
    kms_error *e = NULL;
    kms *opened = NULL;
    char *text = NULL;
    uint8_t data_key[32];
    size_t data_key_len = 0;

#define IS_NULL_ARGUMENT(call)                         \
    do {                                               \
        taint();                                       \
        kms_status status = (call);                    \
        CHECK(status == KMS_NULL_ARGUMENT);            \
        REFUSED(status, &e, "KMS_NULL_ARGUMENT", 0);   \
        CHECK(untouched());                            \
    } while (0)

    IS_NULL_ARGUMENT(kms_open(KMS_ABI_VERSION, NULL, NULL, &opened, &e));
    IS_NULL_ARGUMENT(kms_open(KMS_ABI_VERSION, MEMORY, NULL, NULL, &e));
    CHECK(opened == NULL);

    IS_NULL_ARGUMENT(kms_call(NULL, "ListKeys", "{}", &text, &e));
    IS_NULL_ARGUMENT(kms_call(engine, NULL, "{}", &text, &e));
    IS_NULL_ARGUMENT(kms_call(engine, "ListKeys", NULL, &text, &e));
    IS_NULL_ARGUMENT(kms_call(engine, "ListKeys", "{}", NULL, &e));
    CHECK(text == NULL);

    IS_NULL_ARGUMENT(kms_encrypt(NULL, key_id, plaintext, 1, NULL, out, sizeof out, &out_len, &e));
    IS_NULL_ARGUMENT(kms_encrypt(engine, NULL, plaintext, 1, NULL, out, sizeof out, &out_len, &e));
    IS_NULL_ARGUMENT(kms_encrypt(engine, key_id, NULL, 1, NULL, out, sizeof out, &out_len, &e));
    IS_NULL_ARGUMENT(kms_encrypt(engine, key_id, plaintext, 1, NULL, out, sizeof out, NULL, &e));

    IS_NULL_ARGUMENT(kms_decrypt(NULL, blob, blob_len, NULL, out, sizeof out, &out_len, &e));
    IS_NULL_ARGUMENT(kms_decrypt(engine, NULL, blob_len, NULL, out, sizeof out, &out_len, &e));
    IS_NULL_ARGUMENT(kms_decrypt(engine, blob, blob_len, NULL, out, sizeof out, NULL, &e));

    IS_NULL_ARGUMENT(kms_generate_data_key(NULL, key_id, 32, NULL, data_key, sizeof data_key, &data_key_len, out, sizeof out,
                                           &out_len, &e));
    IS_NULL_ARGUMENT(kms_generate_data_key(engine, NULL, 32, NULL, data_key, sizeof data_key, &data_key_len, out, sizeof out,
                                           &out_len, &e));
    IS_NULL_ARGUMENT(kms_generate_data_key(engine, key_id, 32, NULL, data_key, sizeof data_key, NULL, out, sizeof out, &out_len,
                                           &e));
    IS_NULL_ARGUMENT(kms_generate_data_key(engine, key_id, 32, NULL, data_key, sizeof data_key, &data_key_len, out, sizeof out,
                                           NULL, &e));
    CHECK(data_key_len == 0);

    IS_NULL_ARGUMENT(kms_reencrypt(NULL, blob, blob_len, NULL, key_id, NULL, out, sizeof out, &out_len, &e));
    IS_NULL_ARGUMENT(kms_reencrypt(engine, NULL, blob_len, NULL, key_id, NULL, out, sizeof out, &out_len, &e));
    IS_NULL_ARGUMENT(kms_reencrypt(engine, blob, blob_len, NULL, NULL, NULL, out, sizeof out, &out_len, &e));
    IS_NULL_ARGUMENT(kms_reencrypt(engine, blob, blob_len, NULL, key_id, NULL, out, sizeof out, NULL, &e));

    IS_NULL_ARGUMENT(kms_clock_advance(NULL, 1, &e));
    IS_NULL_ARGUMENT(kms_run_due(NULL, &text, &e));
    IS_NULL_ARGUMENT(kms_run_due(engine, NULL, &e));
    CHECK(text == NULL);
#undef IS_NULL_ARGUMENT

    /* Where nobody wants the error object, the status still says everything. */
    CHECK(kms_open(KMS_ABI_VERSION, NULL, NULL, &opened, NULL) == KMS_NULL_ARGUMENT);
    CHECK(kms_call(engine, NULL, "{}", &text, NULL) == KMS_NULL_ARGUMENT);
    CHECK(kms_encrypt(engine, NULL, plaintext, 1, NULL, out, sizeof out, &out_len, NULL) == KMS_NULL_ARGUMENT);
    CHECK(kms_decrypt(engine, NULL, 1, NULL, out, sizeof out, &out_len, NULL) == KMS_NULL_ARGUMENT);
    CHECK(kms_generate_data_key(engine, NULL, 32, NULL, NULL, 0, NULL, out, sizeof out, &out_len, NULL) == KMS_NULL_ARGUMENT);
    CHECK(kms_reencrypt(engine, NULL, 1, NULL, key_id, NULL, out, sizeof out, &out_len, NULL) == KMS_NULL_ARGUMENT);
    CHECK(kms_clock_advance(NULL, 1, NULL) == KMS_NULL_ARGUMENT);
    CHECK(kms_run_due(NULL, &text, NULL) == KMS_NULL_ARGUMENT);
    describe_works(engine, key_id);
}

static void invalid_utf8(kms *engine, const char *key_id, const uint8_t *blob, size_t blob_len) {
    group("texts that are not UTF-8");
    kms_error *e = NULL;
    kms *opened = NULL;
    char *text = NULL;

#define IS_INVALID_UTF8(call)                       \
    do {                                            \
        taint();                                    \
        REFUSED((call), &e, "KMS_INVALID_UTF8", 0); \
        CHECK(untouched());                         \
    } while (0)

    IS_INVALID_UTF8(kms_open(KMS_ABI_VERSION, "{\"store\":\"" BAD_UTF8 "\"}", NULL, &opened, &e));
    IS_INVALID_UTF8(kms_call(engine, BAD_UTF8, "{}", &text, &e));
    IS_INVALID_UTF8(kms_call(engine, "ListKeys", "{\"" BAD_UTF8 "\":1}", &text, &e));
    IS_INVALID_UTF8(kms_encrypt(engine, BAD_UTF8, plaintext, 1, NULL, out, sizeof out, &out_len, &e));
    IS_INVALID_UTF8(kms_encrypt(engine, key_id, plaintext, 1, BAD_UTF8, out, sizeof out, &out_len, &e));
    IS_INVALID_UTF8(kms_decrypt(engine, blob, blob_len, BAD_UTF8, out, sizeof out, &out_len, &e));
    IS_INVALID_UTF8(kms_generate_data_key(engine, BAD_UTF8, 32, NULL, NULL, 0, NULL, out, sizeof out, &out_len, &e));
    IS_INVALID_UTF8(kms_generate_data_key(engine, key_id, 32, BAD_UTF8, NULL, 0, NULL, out, sizeof out, &out_len, &e));
    IS_INVALID_UTF8(kms_reencrypt(engine, blob, blob_len, BAD_UTF8, key_id, NULL, out, sizeof out, &out_len, &e));
    IS_INVALID_UTF8(kms_reencrypt(engine, blob, blob_len, NULL, BAD_UTF8, NULL, out, sizeof out, &out_len, &e));
    IS_INVALID_UTF8(kms_reencrypt(engine, blob, blob_len, NULL, key_id, BAD_UTF8, out, sizeof out, &out_len, &e));
#undef IS_INVALID_UTF8
    CHECK(opened == NULL && text == NULL);
    describe_works(engine, key_id);
}

static void buffers(kms *engine, const char *key_id) {
    group("buffers: NULL, too small, just large enough");
    kms_error *e = NULL;
    uint8_t *exact;
    uint8_t blob[MAX_BLOB];
    size_t blob_len;

#define TOO_SMALL(call) REFUSED((call), &e, "KMS_BUFFER_TOO_SMALL", 0)

    /* Encrypt: the bound is asked for with NULL, one byte less is refused, the bound itself is enough. */
    taint();
    TOO_SMALL(kms_encrypt(engine, key_id, plaintext, sizeof plaintext, NULL, NULL, 0, &out_len, &e));
    size_t bound = out_len;
    CHECK(bound > sizeof plaintext && bound <= sizeof plaintext + 256);
    out_len = SENTINEL_LEN;
    TOO_SMALL(kms_encrypt(engine, key_id, plaintext, sizeof plaintext, NULL, NULL, SIZE_MAX, &out_len, &e));
    CHECK(out_len == bound);
    out_len = SENTINEL_LEN;
    TOO_SMALL(kms_encrypt(engine, key_id, plaintext, sizeof plaintext, NULL, out, bound - 1, &out_len, &e));
    CHECK(out_len == bound);
    TOO_SMALL(kms_encrypt(engine, key_id, plaintext, sizeof plaintext, NULL, out, 0, &out_len, &e));
    CHECK(bytes_untouched(out, sizeof out));
    exact = malloc(bound); /* on the heap, so that a sanitizer sees the first byte too many */
    if (exact == NULL) {
        fatal("no memory");
    }
    ACCEPTED(kms_encrypt(engine, key_id, plaintext, sizeof plaintext, NULL, exact, bound, &out_len, &e), &e);
    CHECK(out_len <= bound);
    blob_len = out_len;
    memcpy(blob, exact, blob_len);
    free(exact);

    /* Decrypt. */
    taint();
    TOO_SMALL(kms_decrypt(engine, blob, blob_len, NULL, NULL, 0, &out_len, &e));
    bound = out_len;
    CHECK(bound >= sizeof plaintext && bound <= blob_len);
    out_len = SENTINEL_LEN;
    TOO_SMALL(kms_decrypt(engine, blob, blob_len, NULL, out, bound - 1, &out_len, &e));
    CHECK(out_len == bound);
    CHECK(bytes_untouched(out, sizeof out));
    exact = malloc(bound);
    if (exact == NULL) {
        fatal("no memory");
    }
    ACCEPTED(kms_decrypt(engine, blob, blob_len, NULL, exact, bound, &out_len, &e), &e);
    CHECK(out_len == sizeof plaintext && memcmp(exact, plaintext, sizeof plaintext) == 0);
    free(exact);

    /* GenerateDataKey: either buffer may be the short one, and neither is written then. */
    uint8_t data_key[32];
    size_t data_key_len = SENTINEL_LEN;
    memset(data_key, SENTINEL, sizeof data_key);
    taint();
    TOO_SMALL(kms_generate_data_key(engine, key_id, 32, NULL, data_key, 32, &data_key_len, NULL, 0, &out_len, &e));
    bound = out_len;
    CHECK(bound > 32 && bound <= 32 + 256);
    TOO_SMALL(kms_generate_data_key(engine, key_id, 32, NULL, data_key, 32, &data_key_len, out, bound - 1, &out_len, &e));
    CHECK(out_len == bound);
    TOO_SMALL(kms_generate_data_key(engine, key_id, 32, NULL, data_key, 31, &data_key_len, out, sizeof out, &out_len, &e));
    CHECK(data_key_len == 32);
    CHECK(bytes_untouched(data_key, sizeof data_key) && bytes_untouched(out, sizeof out));
    ACCEPTED(kms_generate_data_key(engine, key_id, 32, NULL, data_key, 32, &data_key_len, out, bound, &out_len, &e), &e);
    CHECK(data_key_len == 32 && out_len <= bound && !bytes_untouched(data_key, sizeof data_key));

    /* ReEncrypt. */
    taint();
    TOO_SMALL(kms_reencrypt(engine, blob, blob_len, NULL, key_id, NULL, NULL, 0, &out_len, &e));
    bound = out_len;
    TOO_SMALL(kms_reencrypt(engine, blob, blob_len, NULL, key_id, NULL, out, bound - 1, &out_len, &e));
    CHECK(out_len == bound);
    CHECK(bytes_untouched(out, sizeof out));
    ACCEPTED(kms_reencrypt(engine, blob, blob_len, NULL, key_id, NULL, out, bound, &out_len, &e), &e);
    CHECK(out_len <= bound);
#undef TOO_SMALL
}

static void configuration(void) {
    group("configuration");
    kms_error *e = NULL;
    kms *engine = NULL;
    const uint32_t wrong_versions[] = {0, KMS_ABI_VERSION + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong_versions / sizeof wrong_versions[0]; i++) {
        REFUSED(kms_open(wrong_versions[i], MEMORY, NULL, &engine, &e), &e, "KMS_ABI_MISMATCH", 0);
    }
    static const char *const bad[] = {
        "",
        "not json",
        "[]",
        "null",
        "{}",
        MEMORY "x",
        "{\"store\":1}",
        "{\"store\":\"\"}",
        "{\"store\":\"memory:\",\"store\":\"memory:\"}",
        "{\"store\":\"memory:\",\"colour\":\"blue\"}",
        "{\"store\":\"memory:\",\"account_id\":\"12\"}",
        "{\"store\":\"memory:\",\"account_id\":\"100000000000000x\"}",
        "{\"store\":\"memory:\",\"region\":\"\"}",
        "{\"store\":\"memory:\",\"clock\":\"sundial\"}",
        "{\"store\":\"memory:\",\"clock\":{\"manual\":\"yesterday\"}}",
        "{\"store\":\"memory:\",\"clock\":{\"manual\":\"2030-02-30T00:00:00Z\"}}",
        "{\"store\":\"memory:\",\"clock\":{\"sundial\":\"2030-01-01T00:00:00Z\"}}",
        "{\"store\":\"memory:\",\"seed\":1}",
        "{\"store\":\"memory:\",\"clock\":{\"manual\":\"2030-01-01T00:00:00Z\"},\"seed\":-1}",
        "{\"store\":\"memory:\",\"clock\":{\"manual\":\"2030-01-01T00:00:00Z\"},\"seed\":\"one\"}",
        "{\"store\":\"memory:\",\"hsm\":\"maybe\"}",
        "{\"store\":\"memory:\",\"limits\":{\"moons\":1}}",
        "{\"store\":\"memory:\",\"limits\":\"generous\"}",
        "{\"store\":\"memory:\",\"account_status\":\"Happy\"}",
        "{\"store\":\"sled:/nonexistent/kms-test\"}",
        "{\"store\":\"sled:/nonexistent/kms-test\",\"root_key\":{}}",
        "{\"store\":\"sled:/nonexistent/kms-test\",\"root_key\":\"secret\"}",
        "{\"store\":\"sled:/nonexistent/kms-test\",\"root_key\":{\"rot13\":\"secret\"}}",
        "{\"store\":\"sled:/nonexistent/kms-test\",\"root_key\":{\"hex\":\"00\"}}",
        "{\"store\":\"sled:/nonexistent/kms-test\",\"root_key\":{\"hex\":\"" ROOT_KEY_HEX "00\"}}",
        "{\"store\":\"sled:/nonexistent/kms-test\",\"root_key\":{\"hex\":\"" ROOT_KEY_HEX "\",\"passphrase\":\"x\"}}",
        "{\"store\":\"sled:/nonexistent/kms-test\",\"root_key\":{\"env\":\"KMS_TEST_NO_SUCH_VARIABLE\"}}",
        "{\"store\":\"sled:/nonexistent/kms-test\",\"root_key\":{\"hex\":\"" ROOT_KEY_HEX "\"},\"seed\":1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!REFUSED(kms_open(KMS_ABI_VERSION, bad[i], NULL, &engine, &e), &e, "KMS_INVALID_CONFIG", 0)) {
            fprintf(stderr, "    the configuration was: %s\n", bad[i]);
        }
    }
    /* What the file system refuses is not the configuration's fault; it must be refused all the same. */
    REFUSED(kms_open(KMS_ABI_VERSION,
                     "{\"store\":\"sled:/nonexistent/kms-test\",\"root_key\":{\"file\":\"/nonexistent/kms-root-key\"}}", NULL,
                     &engine, &e),
            &e, NULL, -1);
    CHECK(engine == NULL);

    static const char *const good[] = {
        MEMORY,
        MEMORY_MANUAL,
        "{\"store\":\"memory:\",\"clock\":\"system\",\"account_id\":\"1234567890123456\",\"region\":\"cn-shanghai\",\"hsm\":false}",
        "{\"store\":\"memory:\",\"clock\":{\"manual\":\"2030-01-01T00:00:00Z\"},\"seed\":18446744073709551615}",
        "{\"store\":\"memory:\",\"limits\":\"alibaba\",\"account_status\":\"Enabled\"}",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        engine = NULL;
        if (!ACCEPTED(kms_open(KMS_ABI_VERSION, good[i], NULL, &engine, &e), &e) || !CHECK(engine != NULL)) {
            fprintf(stderr, "    the configuration was: %s\n", good[i]);
        }
        kms_close(engine);
    }
}

static void json_calls(kms *engine, const char *key_id) {
    group("kms_call");
    kms_error *e = NULL;
    char *reply = NULL;
    static const char *const not_parameters[] = {"", "{", "[]", "1", "null", "\"x\"", "{}{}", "{\"KeyId\":\"a\",\"KeyId\":\"a\"}"};
    for (size_t i = 0; i < sizeof not_parameters / sizeof not_parameters[0]; i++) {
        REFUSED(kms_call(engine, "DescribeKey", not_parameters[i], &reply, &e), &e, "ParseRequestParameterException", 400);
    }
    static const char *const actions[] = {"", "describekey", "DescribeKey ", "Frobnicate"};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        REFUSED(kms_call(engine, actions[i], "{}", &reply, &e), &e, i == 0 ? NULL : "UnsupportedOperation", 400);
    }
    REFUSED(kms_call(engine, "DescribeKey", "{}", &reply, &e), &e, "MissingParameter", 400);
    REFUSED(kms_call(engine, "DescribeKey", "{\"KeyId\":null}", &reply, &e), &e, "MissingParameter", 400);
    REFUSED(kms_call(engine, "DescribeKey", "{\"KeyId\":\"" UNKNOWN_KEY "\"}", &reply, &e), &e, "Forbidden.KeyNotFound", 404);
    REFUSED(kms_call(engine, "CreateKey", "{\"KeySpec\":\"ROT13\"}", &reply, &e), &e, "InvalidParameter", 400);
    CHECK(reply == NULL);

    char params[128];
    char value[64];
    snprintf(params, sizeof params, "{\"KeyId\":\"%s\"}", key_id);
    ACCEPTED(kms_call(engine, "DescribeKey", params, &reply, &e), &e);
    if (CHECK(reply != NULL)) {
        CHECK(json_text(reply, "KeyId", value, sizeof value) && strcmp(value, key_id) == 0);
        CHECK(json_text(reply, "KeyState", value, sizeof value) && strcmp(value, "Enabled") == 0);
        CHECK(json_text(reply, "RequestId", value, sizeof value) && strlen(value) == 36);
    }
    kms_string_free(reply);
    describe_works(engine, key_id);
}

static void error_fields(void) {
    group("every field of an error, which outlives its engine");
    kms *engine = open_or_die(MEMORY);
    kms_error *first = NULL;
    kms_error *second = NULL;
    char *reply = NULL;
    kms_status status = kms_call(engine, "DescribeKey", "{\"KeyId\":\"" UNKNOWN_KEY "\"}", &reply, &first);
    CHECK(kms_call(engine, "DescribeKey", "{}", &reply, &second) != KMS_OK);
    kms_close(engine);

    CHECK(first != NULL && second != NULL && first != second);
    CHECK(status > 0 && status < 1000); /* a code of the contract, not one of ours */
    CHECK(kms_error_status(first) == status);
    CHECK(strcmp(kms_error_code(first), "Forbidden.KeyNotFound") == 0);
    CHECK(kms_error_http_status(first) == 404);
    CHECK(strlen(kms_error_message(first)) > 0);
    CHECK(strlen(kms_error_request_id(first)) == 36);
    CHECK(strcmp(kms_error_code(second), "MissingParameter") == 0);
    CHECK(strstr(kms_error_message(second), "KeyId") != NULL); /* the message names the parameter */
    CHECK(kms_error_http_status(second) == 400);
    CHECK(strcmp(kms_error_request_id(first), kms_error_request_id(second)) != 0);
    kms_error_free(first);
    kms_error_free(second);
}

static void sizes(kms *engine, const char *key_id) {
    group("sizes: plaintext 0 to 6144 bytes, data keys 1 to 1024");
    kms_error *e = NULL;
    static uint8_t large[6145];
    static uint8_t blob[MAX_BLOB];
    for (size_t i = 0; i < sizeof large; i++) {
        large[i] = (uint8_t)(i * 7);
    }
    static const size_t lengths[] = {0, 1, 15, 16, 17, 4095, 6143, 6144};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t blob_len = 0;
        taint();
        ACCEPTED(kms_encrypt(engine, key_id, large, lengths[i], NULL, blob, sizeof blob, &blob_len, &e), &e);
        ACCEPTED(kms_decrypt(engine, blob, blob_len, NULL, out, sizeof out, &out_len, &e), &e);
        CHECK(out_len == lengths[i] && memcmp(out, large, lengths[i]) == 0);
    }
    taint();
    REFUSED(kms_encrypt(engine, key_id, large, 6145, NULL, out, sizeof out, &out_len, &e), &e, "InvalidParameter", 400);
    CHECK(untouched());

    static const size_t key_lengths[] = {1, 16, 32, 1024};
    uint8_t data_key[1024];
    for (size_t i = 0; i < sizeof key_lengths / sizeof key_lengths[0]; i++) {
        size_t data_key_len = 0;
        size_t blob_len = 0;
        ACCEPTED(kms_generate_data_key(engine, key_id, key_lengths[i], NULL, data_key, sizeof data_key, &data_key_len, blob,
                                       sizeof blob, &blob_len, &e),
                 &e);
        CHECK(data_key_len == key_lengths[i]);
        ACCEPTED(kms_decrypt(engine, blob, blob_len, NULL, out, sizeof out, &out_len, &e), &e);
        CHECK(out_len == data_key_len && memcmp(out, data_key, data_key_len) == 0);
    }
    /* Without plaintext: the same blob, and nothing else is asked for. */
    size_t blob_len = 0;
    ACCEPTED(kms_generate_data_key(engine, key_id, 32, NULL, NULL, 0, NULL, blob, sizeof blob, &blob_len, &e), &e);
    ACCEPTED(kms_decrypt(engine, blob, blob_len, NULL, out, sizeof out, &out_len, &e), &e);
    CHECK(out_len == 32);

    static const size_t wrong[] = {0, 1025};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        taint();
        REFUSED(kms_generate_data_key(engine, key_id, wrong[i], NULL, NULL, 0, NULL, out, sizeof out, &out_len, &e), &e,
                "InvalidParameter", 400);
        CHECK(untouched());
    }
    REFUSED(kms_generate_data_key(engine, key_id, SIZE_MAX, NULL, NULL, 0, NULL, out, sizeof out, &out_len, &e), &e, NULL, -1);
    CHECK(bytes_untouched(out, sizeof out));
}

static void contexts(kms *engine, const char *key_id) {
    group("encryption contexts");
    kms_error *e = NULL;
    uint8_t blob[MAX_BLOB];
    static const char context[] = "{\"tenant\":\"one\",\"table\":\"users\"}";
    size_t blob_len = encrypt_or_die(engine, key_id, plaintext, sizeof plaintext, context, blob, sizeof blob);

    ACCEPTED(kms_decrypt(engine, blob, blob_len, " { \"table\" : \"users\", \"tenant\" : \"one\" } ", out, sizeof out, &out_len,
                         &e),
             &e);
    CHECK(out_len == sizeof plaintext && memcmp(out, plaintext, sizeof plaintext) == 0);
    static const char *const other[] = {
        NULL,
        "{}",
        "{\"tenant\":\"one\"}",
        "{\"tenant\":\"two\",\"table\":\"users\"}",
        "{\"tenant\":\"one\",\"table\":\"users\",\"more\":\"\"}",
        "{\"tenan\":\"tone\",\"table\":\"users\"}",
    };
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        taint();
        REFUSED(kms_decrypt(engine, blob, blob_len, other[i], out, sizeof out, &out_len, &e), &e, "InvalidParameter", 400);
        CHECK(untouched());
    }
    static const char *const malformed[] = {
        "{", "[]", "1", "{\"a\":1}", "{\"a\":{}}", "{\"a\":\"1\",\"a\":\"1\"}", "{\"a\":null}",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        taint();
        REFUSED(kms_encrypt(engine, key_id, plaintext, 1, malformed[i], out, sizeof out, &out_len, &e), &e, NULL, 400);
        CHECK(untouched());
    }

    /* No context and an empty one are the same. */
    blob_len = encrypt_or_die(engine, key_id, plaintext, sizeof plaintext, NULL, blob, sizeof blob);
    ACCEPTED(kms_decrypt(engine, blob, blob_len, "{}", out, sizeof out, &out_len, &e), &e);

    /* ReEncrypt opens with the one and seals with the other. */
    uint8_t moved[MAX_BLOB];
    size_t moved_len = 0;
    taint();
    REFUSED(kms_reencrypt(engine, blob, blob_len, context, key_id, NULL, out, sizeof out, &out_len, &e), &e, "InvalidParameter",
            400);
    CHECK(untouched());
    ACCEPTED(kms_reencrypt(engine, blob, blob_len, NULL, key_id, context, moved, sizeof moved, &moved_len, &e), &e);
    REFUSED(kms_decrypt(engine, moved, moved_len, NULL, out, sizeof out, &out_len, &e), &e, "InvalidParameter", 400);
    ACCEPTED(kms_decrypt(engine, moved, moved_len, context, out, sizeof out, &out_len, &e), &e);
    CHECK(out_len == sizeof plaintext && memcmp(out, plaintext, sizeof plaintext) == 0);
}

static void damaged_blobs(kms *engine, const char *key_id) {
    group("ciphertexts cut short at, or altered at, every position");
    kms_error *e = NULL;
    uint8_t blob[MAX_BLOB];
    size_t blob_len = encrypt_or_die(engine, key_id, plaintext, sizeof plaintext, NULL, blob, sizeof blob - 1);

    taint();
    for (size_t len = 0; len < blob_len; len++) {
        /* A copy of exactly this length, so that a sanitizer sees a read past its end. */
        uint8_t *cut = malloc(len + 1);
        if (cut == NULL) {
            fatal("no memory");
        }
        memcpy(cut + 1, blob, len);
        REFUSED(kms_decrypt(engine, cut + 1, len, NULL, out, sizeof out, &out_len, &e), &e, len == 0 ? NULL : "InvalidParameter",
                400);
        free(cut);
    }
    for (size_t i = 0; i < blob_len; i++) {
        for (int bit = 0; bit < 8; bit += 7) {
            blob[i] ^= (uint8_t)(1 << bit);
            /* In the version id at the front, another well-formed id names a key that does not exist. */
            kms_status status = kms_decrypt(engine, blob, blob_len, NULL, out, sizeof out, &out_len, &e);
            bool unknown = i < 36 && e != NULL && kms_error_http_status(e) == 404;
            REFUSED(status, &e, unknown ? "Forbidden.KeyNotFound" : "InvalidParameter", unknown ? 404 : 400);
            REFUSED(kms_reencrypt(engine, blob, blob_len, NULL, key_id, NULL, out, sizeof out, &out_len, &e), &e, NULL, -1);
            blob[i] ^= (uint8_t)(1 << bit);
        }
    }
    blob[blob_len] = 0;
    REFUSED(kms_decrypt(engine, blob, blob_len + 1, NULL, out, sizeof out, &out_len, &e), &e, "InvalidParameter", 400);
    CHECK(untouched());
    ACCEPTED(kms_decrypt(engine, blob, blob_len, NULL, out, sizeof out, &out_len, &e), &e);
}

static void key_states(kms *engine) {
    group("a key that is not Enabled does no cryptography");
    kms_error *e = NULL;
    char key_id[KEY_ID_SIZE];
    uint8_t blob[MAX_BLOB];
    char params[128];
    char *reply = NULL;
    create_key(engine, key_id);
    size_t blob_len = encrypt_or_die(engine, key_id, plaintext, sizeof plaintext, NULL, blob, sizeof blob);

    for (int state = 0; state < 2; state++) {
        const char *code = state == 0 ? "Rejected.Disabled" : "Rejected.PendingDeletion";
        if (state == 0) {
            ACCEPTED(call_key(engine, "DisableKey", key_id, &e), &e);
        } else {
            snprintf(params, sizeof params, "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", key_id);
            ACCEPTED(kms_call(engine, "ScheduleKeyDeletion", params, &reply, &e), &e);
            kms_string_free(reply);
        }
        taint();
        REFUSED(kms_encrypt(engine, key_id, plaintext, 1, NULL, out, sizeof out, &out_len, &e), &e, code, 409);
        REFUSED(kms_decrypt(engine, blob, blob_len, NULL, out, sizeof out, &out_len, &e), &e, code, 409);
        REFUSED(kms_generate_data_key(engine, key_id, 32, NULL, NULL, 0, NULL, out, sizeof out, &out_len, &e), &e, code, 409);
        REFUSED(kms_reencrypt(engine, blob, blob_len, NULL, key_id, NULL, out, sizeof out, &out_len, &e), &e, code, 409);
        CHECK(untouched());
        ACCEPTED(call_key(engine, state == 0 ? "EnableKey" : "CancelKeyDeletion", key_id, &e), &e);
        ACCEPTED(kms_decrypt(engine, blob, blob_len, NULL, out, sizeof out, &out_len, &e), &e);
    }
    taint();
    REFUSED(kms_encrypt(engine, UNKNOWN_KEY, plaintext, 1, NULL, out, sizeof out, &out_len, &e), &e, "Forbidden.KeyNotFound",
            404);
    REFUSED(kms_encrypt(engine, "alias/nobody", plaintext, 1, NULL, out, sizeof out, &out_len, &e), &e,
            "Forbidden.AliasNotFound", 404);
    REFUSED(kms_encrypt(engine, "", plaintext, 1, NULL, out, sizeof out, &out_len, &e), &e, "MissingParameter", 400);
    CHECK(untouched());
}

static void clocks(void) {
    group("clocks and due work");
    kms_error *e = NULL;
    char *report = NULL;
    char key_id[KEY_ID_SIZE];
    char params[128];
    kms *engine = open_or_die(MEMORY);
    REFUSED(kms_clock_advance(engine, 1, &e), &e, "KMS_CLOCK_NOT_MANUAL", 0);
    ACCEPTED(kms_run_due(engine, &report, &e), &e);
    CHECK(report != NULL && report[0] == '{');
    kms_string_free(report);
    report = NULL;
    kms_close(engine);

    engine = open_or_die(MEMORY_MANUAL);
    create_key(engine, key_id);
    snprintf(params, sizeof params, "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", key_id);
    ACCEPTED(kms_call(engine, "ScheduleKeyDeletion", params, &report, &e), &e);
    kms_string_free(report);
    report = NULL;
    ACCEPTED(kms_clock_advance(engine, 7 * 86400 - 1, &e), &e);
    describe_works(engine, key_id);
    ACCEPTED(kms_clock_advance(engine, 1, &e), &e);
    REFUSED(call_key(engine, "DescribeKey", key_id, &e), &e, "Forbidden.KeyNotFound", 404);
    ACCEPTED(kms_run_due(engine, &report, &e), &e);
    kms_string_free(report);

    /* Absurd steps are refused, and the engine survives them. */
    REFUSED(kms_clock_advance(engine, INT64_MAX, &e), &e, NULL, -1);
    REFUSED(kms_clock_advance(engine, INT64_MIN, &e), &e, NULL, -1);
    ACCEPTED(kms_clock_advance(engine, 0, &e), &e);
    create_key(engine, key_id);
    describe_works(engine, key_id);
    kms_close(engine);
}

/* Runs this program again to open the store; its exit status tells what happened there. */
static int open_in_other_process(const char *program, const char *path) {
    pid_t child = fork();
    if (child == 0) {
        execlp(program, program, "--open", path, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        fatal("the other process did not end in order: %s", strerror(errno));
    }
    return WEXITSTATUS(status);
}

enum { OTHER_OPENED = 10, OTHER_LOCKED = 11, OTHER_FAILED = 12 };

static int other_process(const char *path) {
    char *config = sled_config(path, ROOT_KEY_HEX);
    kms *engine = NULL;
    kms_status status = kms_open(KMS_ABI_VERSION, config, NULL, &engine, NULL);
    free(config);
    kms_close(engine);
    return status == KMS_OK ? OTHER_OPENED : status == KMS_STORE_LOCKED ? OTHER_LOCKED : OTHER_FAILED;
}

static void stores(const char *program) {
    group("stores: reopened, locked, foreign, wrong root key");
    kms_error *e = NULL;
    kms *engine = NULL;
    kms *second = NULL;
    char key_id[KEY_ID_SIZE];
    uint8_t blob[MAX_BLOB];
    char *directory = make_temp_dir();
    char *path = join(directory, "store");
    char *config = sled_config(path, ROOT_KEY_HEX);
    char *wrong = sled_config(path, OTHER_ROOT_KEY_HEX);

    engine = open_or_die(config);
    create_key(engine, key_id);
    size_t blob_len = encrypt_or_die(engine, key_id, plaintext, sizeof plaintext, "{\"a\":\"b\"}", blob, sizeof blob);

    REFUSED(kms_open(KMS_ABI_VERSION, config, NULL, &second, &e), &e, "KMS_STORE_LOCKED", 0);
    CHECK(second == NULL);
    CHECK(open_in_other_process(program, path) == OTHER_LOCKED);
    describe_works(engine, key_id);
    kms_close(engine);
    CHECK(open_in_other_process(program, path) == OTHER_OPENED);

    REFUSED(kms_open(KMS_ABI_VERSION, wrong, NULL, &second, &e), &e, "KMS_WRONG_ROOT_KEY", 0);
    CHECK(second == NULL);

    /* The root key may come as bytes, so that it need not stand in a text. */
    uint8_t root_key[33];
    for (size_t i = 0; i < sizeof root_key; i++) {
        root_key[i] = (uint8_t)i;
    }
    kms_host host;
    memset(&host, 0, sizeof host);
    host.size = sizeof host;
    host.root_key = root_key;
    host.root_key_len = 32;
    char bare[4096];
    snprintf(bare, sizeof bare, "{\"store\":\"%s\"}", path); /* a bare path is sled */
    engine = NULL;
    ACCEPTED(kms_open(KMS_ABI_VERSION, bare, &host, &engine, &e), &e);
    memset(root_key, 0, sizeof root_key); /* the engine keeps no pointer to it */
    if (CHECK(engine != NULL)) {
        describe_works(engine, key_id);
        ACCEPTED(kms_decrypt(engine, blob, blob_len, "{\"a\":\"b\"}", out, sizeof out, &out_len, &e), &e);
        CHECK(out_len == sizeof plaintext && memcmp(out, plaintext, sizeof plaintext) == 0);
    }
    kms_close(engine);
    REFUSED(kms_open(KMS_ABI_VERSION, bare, &host, &second, &e), &e, "KMS_WRONG_ROOT_KEY", 0);
    static const size_t wrong_lengths[] = {0, 31, 33};
    for (size_t i = 0; i < sizeof wrong_lengths / sizeof wrong_lengths[0]; i++) {
        host.root_key_len = wrong_lengths[i];
        REFUSED(kms_open(KMS_ABI_VERSION, bare, &host, &second, &e), &e, "KMS_INVALID_CONFIG", 0);
    }
    host.root_key_len = 32;
    REFUSED(kms_open(KMS_ABI_VERSION, config, &host, &second, &e), &e, "KMS_INVALID_CONFIG", 0); /* two root keys */
    host.size = 0;
    REFUSED(kms_open(KMS_ABI_VERSION, bare, &host, &second, &e), &e, "KMS_ABI_MISMATCH", 0);
    REFUSED(kms_open(KMS_ABI_VERSION, bare, NULL, &second, &e), &e, "KMS_INVALID_CONFIG", 0); /* no root key */
    CHECK(second == NULL);

    /* Another account would see ids that are not its own. */
    char foreign_account[4096];
    snprintf(foreign_account, sizeof foreign_account,
             "{\"store\":\"sled:%s\",\"root_key\":{\"hex\":\"%s\"},\"account_id\":\"1234567890123456\"}", path, ROOT_KEY_HEX);
    REFUSED(kms_open(KMS_ABI_VERSION, foreign_account, NULL, &second, &e), &e, NULL, -1);

    /* All these refusals left the store as it was. */
    engine = open_or_die(config);
    describe_works(engine, key_id);
    kms_close(engine);

    /* A directory that holds something else is not ours to fill. */
    char *foreign = join(directory, "foreign");
    char *letter = join(foreign, "letter.txt");
    char *foreign_config = sled_config(foreign, ROOT_KEY_HEX);
    FILE *file = mkdir(foreign, 0700) == 0 ? fopen(letter, "w") : NULL;
    if (file == NULL || fputs("Dear reader", file) < 0 || fclose(file) != 0) {
        fatal("cannot write %s", letter);
    }
    REFUSED(kms_open(KMS_ABI_VERSION, foreign_config, NULL, &second, &e), &e, "KMS_STORE_FOREIGN", 0);
    char content[32] = "";
    file = fopen(letter, "r");
    CHECK(file != NULL && fgets(content, sizeof content, file) != NULL && strcmp(content, "Dear reader") == 0);
    if (file != NULL) {
        fclose(file);
    }
    CHECK(remove(letter) == 0 && rmdir(foreign) == 0); /* nothing was added */
    free(foreign_config);
    free(letter);
    free(foreign);

    /* A root key file is made once, private, and never overwritten. */
    char *key_file = join(directory, "root.key");
    char *keyed_store = join(directory, "keyed");
    char keyed[4096];
    struct stat info;
    for (int round = 0; round < 2; round++) {
        snprintf(keyed, sizeof keyed, "{\"store\":\"sled:%s\",\"root_key\":{\"file\":\"%s\",\"create\":true}}", keyed_store,
                 key_file);
        engine = NULL;
        ACCEPTED(kms_open(KMS_ABI_VERSION, keyed, NULL, &engine, &e), &e);
        CHECK(stat(key_file, &info) == 0 && info.st_size == 32 && (info.st_mode & 07777) == 0600);
        if (engine != NULL && round == 0) {
            create_key(engine, key_id);
        } else if (engine != NULL) {
            describe_works(engine, key_id);
        }
        kms_close(engine);
    }
    free(keyed_store);
    free(key_file);

    free(wrong);
    free(config);
    free(path);
    remove_tree(directory);
    free(directory);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--open") == 0) {
        return other_process(argv[2]);
    }
    version_and_constants();
    null_is_harmless();

    kms *engine = open_or_die(MEMORY);
    char key_id[KEY_ID_SIZE];
    uint8_t blob[MAX_BLOB];
    create_key(engine, key_id);
    size_t blob_len = encrypt_or_die(engine, key_id, plaintext, sizeof plaintext, NULL, blob, sizeof blob);
    null_arguments(engine, key_id, blob, blob_len);
    invalid_utf8(engine, key_id, blob, blob_len);
    buffers(engine, key_id);
    configuration();
    json_calls(engine, key_id);
    error_fields();
    sizes(engine, key_id);
    contexts(engine, key_id);
    damaged_blobs(engine, key_id);
    key_states(engine);
    clocks();
    kms_close(engine);
    stores(argv[0]);
    return finish();
}
