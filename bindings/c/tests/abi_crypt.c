/*
 * What is encrypted comes back whole or not at all: every size, every context, every damaged byte, every state of the key.
 */
#include "abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void check_crypt(kms *engine, const char *key_id) {
    sizes(engine, key_id);
    contexts(engine, key_id);
    damaged_blobs(engine, key_id);
    key_states(engine);
}
