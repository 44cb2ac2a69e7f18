/*
 * Batches: many items in one call, each with a status of its own.
 *
 * Every array is on the heap and has exactly the size that kms.h asks for, so that a sanitizer sees the first byte too many.
 */
#include "abi.h"

#include <stdlib.h>
#include <string.h>

#define OVERHEAD 77u

/* Items, one behind the other. */
struct row {
    uint8_t *bytes;
    size_t *lens;
    size_t count;
    size_t total;
};

/* What a batch writes to. */
struct outputs {
    uint8_t *out;
    size_t cap;
    size_t *lens;
    bool *valid;
    kms_status *statuses;
    kms_error **errors;
    size_t count;
};

static void *exactly(const void *bytes, size_t size) {
    void *copy = malloc(size == 0 ? 1 : size);
    if (copy == NULL) {
        fatal("no memory");
    }
    if (bytes != NULL && size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

/* Puts texts into a row. */
static struct row row_of(const char *const *texts, const size_t *lens, size_t count) {
    struct row row = {NULL, exactly(lens, count * sizeof *lens), count, 0};
    for (size_t i = 0; i < count; i++) {
        row.total += lens[i];
    }
    row.bytes = exactly(NULL, row.total);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (lens[i] > 0) {
            memcpy(row.bytes + at, texts[i], lens[i]);
        }
        at += lens[i];
    }
    return row;
}

static void free_row(struct row *row) {
    free(row->bytes);
    free(row->lens);
}

static struct outputs outputs_of(size_t count, size_t cap) {
    struct outputs o = {
        exactly(NULL, cap),
        cap,
        exactly(NULL, count * sizeof(size_t)),
        exactly(NULL, count * sizeof(bool)),
        exactly(NULL, count * sizeof(kms_status)),
        exactly(NULL, count * sizeof(kms_error *)),
        count,
    };
    memset(o.out, SENTINEL, cap);
    for (size_t i = 0; i < count; i++) {
        o.lens[i] = SENTINEL_LEN;
        o.statuses[i] = -1;
        o.errors[i] = NULL;
        memset(&o.valid[i], 0, sizeof o.valid[i]);
    }
    return o;
}

static void free_outputs(struct outputs *o) {
    for (size_t i = 0; i < o->count; i++) {
        kms_error_free(o->errors[i]);
    }
    free(o->out);
    free(o->lens);
    free(o->valid);
    free(o->statuses);
    free(o->errors);
}

static bool outputs_untouched(const struct outputs *o) {
    for (size_t i = 0; i < o->count; i++) {
        if (o->lens[i] != SENTINEL_LEN || o->statuses[i] != -1 || o->errors[i] != NULL || o->valid[i]) {
            return false;
        }
    }
    return bytes_untouched(o->out, o->cap);
}

/* Checks an item that has failed: its status, its error object, its length. */
static void item_refused(const struct outputs *o, size_t i, const char *code, int http) {
    CHECK(o->statuses[i] != KMS_OK && o->statuses[i] != -1);
    if (CHECK(o->errors[i] != NULL)) {
        CHECK(kms_error_status(o->errors[i]) == o->statuses[i]);
        CHECK(strcmp(kms_error_code(o->errors[i]), code) == 0);
        CHECK(kms_error_http_status(o->errors[i]) == http);
        CHECK(strlen(kms_error_request_id(o->errors[i])) == 36);
    }
}

static const char *const texts[] = {"one", "", NULL, "the fourth"};
static char long_text[6145];

static struct row plaintexts(void) {
    const char *const all[] = {texts[0], texts[1], long_text, texts[3]};
    const size_t lens[] = {3, 0, sizeof long_text, 10};
    return row_of(all, lens, 4);
}

static void messages(kms *engine, const char *key_id) {
    group("batches of messages: the good beside the bad");
    kms_error *e = NULL;
    struct row row = plaintexts();
    struct outputs o = outputs_of(4, row.total + 4 * OVERHEAD);
    static const char context[] = "{\"tenant\":\"42\"}";
    ACCEPTED(kms_encrypt_batch(engine, key_id, row.count, row.bytes, row.lens, context, NULL, o.out, o.cap, o.lens, o.statuses,
                               o.errors, &e),
             &e);
    item_refused(&o, 2, "InvalidParameter", 400);
    CHECK(o.lens[0] == 3 + OVERHEAD && o.lens[1] == OVERHEAD && o.lens[2] == 0 && o.lens[3] == 10 + OVERHEAD);
    size_t written = o.lens[0] + o.lens[1] + o.lens[3];
    CHECK(bytes_untouched(o.out + written, o.cap - written));

    /* What one batch has written the next one reads; and each blob is a blob like any other. */
    struct row blobs = {exactly(o.out, written), exactly(o.lens, 4 * sizeof(size_t)), 4, written};
    struct outputs back = outputs_of(4, 3 + 10);
    ACCEPTED(kms_decrypt_batch(engine, blobs.count, blobs.bytes, blobs.lens, context, NULL, back.out, back.cap, back.lens,
                               back.statuses, back.errors, &e),
             &e);
    item_refused(&back, 2, "InvalidParameter", 400);
    CHECK(back.statuses[0] == KMS_OK && back.statuses[1] == KMS_OK && back.statuses[3] == KMS_OK);
    CHECK(back.errors[0] == NULL && back.errors[1] == NULL && back.errors[3] == NULL);
    CHECK(back.lens[0] == 3 && back.lens[1] == 0 && back.lens[2] == 0 && back.lens[3] == 10);
    CHECK(memcmp(back.out, "onethe fourth", 13) == 0);
    ACCEPTED(kms_decrypt(engine, blobs.bytes, blobs.lens[0], context, out, sizeof out, &out_len, &e), &e);
    CHECK(out_len == 3 && memcmp(out, "one", 3) == 0);
    free_outputs(&back);

    /* With another context all fail, and nothing is written but that. */
    back = outputs_of(4, 3 + 10);
    ACCEPTED(kms_decrypt_batch(engine, blobs.count, blobs.bytes, blobs.lens, NULL, NULL, back.out, back.cap, back.lens,
                               back.statuses, back.errors, &e),
             &e);
    for (size_t i = 0; i < 4; i++) {
        item_refused(&back, i, "InvalidParameter", 400);
        CHECK(back.lens[i] == 0);
    }
    CHECK(bytes_untouched(back.out, back.cap));
    free_outputs(&back);
    free_outputs(&o);
    free_row(&blobs);
    free_row(&row);
}

static void own_contexts(kms *engine, const char *key_id) {
    group("batches of messages: contexts of their own");
    kms_error *e = NULL;
    struct row row = plaintexts();
    row.count = 2;
    static const char *const contexts[] = {"{\"id\":\"1\"}", "{\"id\":\"2\"}"};
    static const size_t lens[] = {10, 10};
    struct row own = row_of(contexts, lens, 2);
    struct outputs o = outputs_of(2, 3 + 2 * OVERHEAD);
    ACCEPTED(kms_encrypt_batch(engine, key_id, 2, row.bytes, row.lens, (const char *)own.bytes, own.lens, o.out, o.cap, o.lens,
                               o.statuses, NULL, &e),
             &e);
    CHECK(o.statuses[0] == KMS_OK && o.statuses[1] == KMS_OK);
    ACCEPTED(kms_decrypt(engine, o.out, o.lens[0], contexts[0], out, sizeof out, &out_len, &e), &e);
    CHECK(out_len == 3 && memcmp(out, "one", 3) == 0);
    REFUSED(kms_decrypt(engine, o.out + o.lens[0], o.lens[1], contexts[0], out, sizeof out, &out_len, &e), &e,
            "InvalidParameter", 400);
    ACCEPTED(kms_decrypt(engine, o.out + o.lens[0], o.lens[1], contexts[1], out, sizeof out, &out_len, &e), &e);
    CHECK(out_len == 0);
    free_outputs(&o);
    free_row(&own);
    free_row(&row);
}

static void signatures(kms *engine) {
    group("batches of signatures");
    kms_error *e = NULL;
    char *reply = NULL;
    char key[KEY_ID_SIZE];
    ACCEPTED(kms_call(engine, "CreateKey", "{\"KeySpec\":\"EC_SM2\",\"KeyUsage\":\"SIGN/VERIFY\"}", &reply, &e), &e);
    CHECK(json_text(reply, "KeyId", key, sizeof key));
    kms_string_free(reply);

    static const char *const digests[] = {"0123456789abcdef0123456789abcdef", "short", "fedcba9876543210fedcba9876543210"};
    static const size_t lens[] = {32, 5, 32};
    struct row row = row_of(digests, lens, 3);
    struct outputs o = outputs_of(3, 3 * 72);
    ACCEPTED(kms_sign_batch(engine, key, NULL, "SM2DSA", row.count, row.bytes, row.lens, o.out, o.cap, o.lens, o.statuses,
                            o.errors, &e),
             &e);
    CHECK(o.statuses[0] == KMS_OK && o.statuses[2] == KMS_OK && o.lens[1] == 0);
    item_refused(&o, 1, "InvalidParameter", 400);

    /* The first and the third as they are; the third once more, changed. */
    size_t total = o.lens[0] + o.lens[2];
    struct row signed_row = {exactly(o.out, total), exactly(o.lens, 3 * sizeof(size_t)), 3, total};
    struct outputs v = outputs_of(3, 0);
    ACCEPTED(kms_verify_batch(engine, key, NULL, "SM2DSA", 3, row.bytes, row.lens, signed_row.bytes, signed_row.lens, v.valid,
                              v.statuses, v.errors, &e),
             &e);
    CHECK(v.valid[0] && !v.valid[1] && v.valid[2] && v.statuses[0] == KMS_OK && v.statuses[2] == KMS_OK);
    item_refused(&v, 1, "InvalidParameter", 400);
    free_outputs(&v);
    signed_row.bytes[total - 1] ^= 1;
    v = outputs_of(3, 0);
    ACCEPTED(kms_verify_batch(engine, key, NULL, "SM2DSA", 3, row.bytes, row.lens, signed_row.bytes, signed_row.lens, v.valid,
                              v.statuses, NULL, &e),
             &e);
    CHECK(v.valid[0] && !v.valid[2] && v.statuses[2] == KMS_OK);
    free_outputs(&v);
    free_outputs(&o);
    free_row(&signed_row);
    free_row(&row);
}

static void as_a_whole(kms *engine, const char *key_id) {
    group("batches: what is wrong with all, and what each item needs");
    kms_error *e = NULL;
    struct row row = plaintexts();
    struct outputs o = outputs_of(4, row.total + 4 * OVERHEAD);
    static const size_t too_many[] = {SIZE_MAX, 1, 1, 1};

#define WHOLE(engine, key, count, bytes, lens, out, out_lens, statuses)                                                      \
    kms_encrypt_batch(engine, key, count, bytes, lens, NULL, NULL, out, o.cap, out_lens, statuses, o.errors, &e)
#define IS_NULL_ARGUMENT(call)                       \
    do {                                             \
        REFUSED((call), &e, "KMS_NULL_ARGUMENT", 0); \
        CHECK(outputs_untouched(&o));                \
    } while (0)

    IS_NULL_ARGUMENT(WHOLE(NULL, key_id, 4, row.bytes, row.lens, o.out, o.lens, o.statuses));
    IS_NULL_ARGUMENT(WHOLE(engine, NULL, 4, row.bytes, row.lens, o.out, o.lens, o.statuses));
    IS_NULL_ARGUMENT(WHOLE(engine, key_id, 4, NULL, row.lens, o.out, o.lens, o.statuses));
    IS_NULL_ARGUMENT(WHOLE(engine, key_id, 4, row.bytes, NULL, o.out, o.lens, o.statuses));
    IS_NULL_ARGUMENT(WHOLE(engine, key_id, 4, row.bytes, row.lens, o.out, NULL, o.statuses));
    IS_NULL_ARGUMENT(WHOLE(engine, key_id, 4, row.bytes, row.lens, o.out, o.lens, NULL));
    REFUSED(WHOLE(engine, key_id, SIZE_MAX, row.bytes, row.lens, o.out, o.lens, o.statuses), &e, "InvalidParameter", 400);
    REFUSED(WHOLE(engine, key_id, 4, row.bytes, too_many, o.out, o.lens, o.statuses), &e, "InvalidParameter", 400);
    REFUSED(WHOLE(engine, "", 4, row.bytes, row.lens, o.out, o.lens, o.statuses), &e, "MissingParameter", 400);
    REFUSED(WHOLE(engine, "\x80", 4, row.bytes, row.lens, o.out, o.lens, o.statuses), &e, "KMS_INVALID_UTF8", 0);
    REFUSED(WHOLE(engine, key_id, 4, row.bytes, row.lens, row.bytes, o.lens, o.statuses), &e, "KMS_OVERLAP", 0);
    REFUSED(WHOLE(engine, key_id, 4, row.bytes, row.lens, o.out, row.lens, o.statuses), &e, "KMS_OVERLAP", 0);
    CHECK(outputs_untouched(&o));
    ACCEPTED(WHOLE(engine, key_id, 0, NULL, NULL, NULL, NULL, NULL), &e);
    CHECK(outputs_untouched(&o));

    /* Too small: nothing is done, and the lengths say what is needed. */
    REFUSED(WHOLE(engine, key_id, 4, row.bytes, row.lens, NULL, o.lens, o.statuses), &e, "KMS_BUFFER_TOO_SMALL", 0);
    size_t needed = 0;
    for (size_t i = 0; i < 4; i++) {
        CHECK(o.lens[i] == row.lens[i] + OVERHEAD && o.statuses[i] == -1 && o.errors[i] == NULL);
        needed += o.lens[i];
    }
    CHECK(needed == o.cap && bytes_untouched(o.out, o.cap));

    /* A key that cannot be used is each item's own answer. */
    ACCEPTED(WHOLE(engine, UNKNOWN_KEY, 4, row.bytes, row.lens, o.out, o.lens, o.statuses), &e);
    for (size_t i = 0; i < 4; i++) {
        /* A plaintext that is too long is found out before the key is looked for. */
        item_refused(&o, i, i == 2 ? "InvalidParameter" : "Forbidden.KeyNotFound", i == 2 ? 400 : 404);
    }
#undef IS_NULL_ARGUMENT
#undef WHOLE
    free_outputs(&o);
    free_row(&row);
    describe_works(engine, key_id);
}

void check_batch(kms *engine, const char *key_id) {
    messages(engine, key_id);
    own_contexts(engine, key_id);
    signatures(engine);
    as_a_whole(engine, key_id);
}
