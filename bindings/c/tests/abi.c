/*
 * The C contract, promise by promise: what kms.h says about pointers, buffers, texts, errors and stores holds.
 *
 * Goal: a host that makes any one mistake gets an error that names it, an untouched output and a working engine.
 * Method: make each mistake once against an engine that works, then look at the status, the error and the output bytes.
 */
#include "abi.h"

#include <string.h>

uint8_t out[MAX_BLOB];
size_t out_len;
const uint8_t plaintext[] = PLAINTEXT;

void taint(void) {
    memset(out, SENTINEL, sizeof out);
    out_len = SENTINEL_LEN;
}

bool bytes_untouched(const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != SENTINEL) {
            return false;
        }
    }
    return true;
}

bool untouched(void) {
    return bytes_untouched(out, sizeof out) && out_len == SENTINEL_LEN;
}

void describe_works(kms *engine, const char *key_id) {
    kms_error *error = NULL;
    ACCEPTED(call_key(engine, "DescribeKey", key_id, &error), &error);
}

size_t encrypt_or_die(kms *engine, const char *key_id, const uint8_t *data, size_t len, const char *context, uint8_t *blob,
                      size_t cap) {
    size_t blob_len = 0;
    kms_error *error = NULL;
    if (kms_encrypt(engine, key_id, data, len, context, blob, cap, &blob_len, &error) != KMS_OK) {
        fatal("kms_encrypt: %s: %s", kms_error_code(error), kms_error_message(error));
    }
    return blob_len;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--open") == 0) {
        return open_and_tell(argv[2]);
    }
    kms *engine = open_or_die(MEMORY);
    char key_id[KEY_ID_SIZE];
    create_key(engine, key_id);
    check_arguments(engine, key_id);
    check_crypt(engine, key_id);
    check_asymmetric(engine, key_id);
    check_batch(engine, key_id);
    kms_close(engine);
    check_open(argv[0]);
    return finish();
}
