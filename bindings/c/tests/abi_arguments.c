/*
 * Pointers, texts and buffers that are wrong, and what the error says then.
 */
#include "abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not UTF-8, however it is read: a lone continuation byte. */
#define BAD_UTF8 "\x80"

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

void check_arguments(kms *engine, const char *key_id) {
    uint8_t blob[MAX_BLOB];
    size_t blob_len = encrypt_or_die(engine, key_id, plaintext, sizeof plaintext, NULL, blob, sizeof blob);
    version_and_constants();
    null_is_harmless();
    null_arguments(engine, key_id, blob, blob_len);
    invalid_utf8(engine, key_id, blob, blob_len);
    buffers(engine, key_id);
    json_calls(engine, key_id);
    error_fields();
}
