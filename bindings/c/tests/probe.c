/*
 * Faults on purpose, one a run: the proof that a quiet run under AddressSanitizer or valgrind means something.
 *
 *     probe c|read|write|leak|undefined
 *
 * c          this program writes one byte behind its own heap buffer.
 * read       the library is told that a blob is longer than it is, and reads behind it.
 * write      the library is told that a buffer is larger than it is, and writes behind it.
 * leak       this program forgets an error object that the library has allocated.
 * undefined  the library is given a blob that nobody has written; of the two, only valgrind can tell.
 *
 * The buffers end where the version id of a blob ends.  The header, which comes next, is a single byte that Rust code loads
 * and stores by itself: what reports it is the check compiled into the library, not a wrapper around memcpy.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_ID_LEN 36u

static const uint8_t plaintext[] = "probe";

static uint8_t *allocate(size_t size) {
    uint8_t *bytes = malloc(size);
    if (bytes == NULL) {
        fatal("no memory");
    }
    return bytes;
}

static void fault_in_c(size_t size) {
    volatile uint8_t *bytes = allocate(size);
    bytes[size] = 0;
    free((void *)bytes);
}

static void read_in_library(kms *engine, const uint8_t *blob, size_t blob_len) {
    uint8_t *cut = allocate(VERSION_ID_LEN);
    uint8_t out[MAX_BLOB];
    size_t len = 0;
    memcpy(cut, blob, VERSION_ID_LEN);
    kms_decrypt(engine, cut, blob_len, NULL, out, sizeof out, &len, NULL);
    free(cut);
}

static void write_in_library(kms *engine, const char *key_id, size_t blob_len) {
    uint8_t *small = allocate(VERSION_ID_LEN);
    size_t len = 0;
    kms_encrypt(engine, key_id, plaintext, sizeof plaintext, NULL, small, blob_len, &len, NULL);
    free(small);
}

static void leak_from_library(kms *engine) {
    kms_error *forgotten = NULL;
    char *reply = NULL;
    kms_call(engine, "DescribeKey", "{}", &reply, &forgotten);
    if (forgotten == NULL) {
        fatal("DescribeKey without a KeyId was not refused");
    }
}

static void undefined_in_library(kms *engine, size_t blob_len) {
    uint8_t *blob = allocate(blob_len);
    uint8_t out[MAX_BLOB];
    size_t len = 0;
    kms_decrypt(engine, blob, blob_len, NULL, out, sizeof out, &len, NULL);
    free(blob);
}

int main(int argc, char **argv) {
    const char *fault = argc == 2 ? argv[1] : "";
    kms *engine = open_or_die(MEMORY);
    char key_id[KEY_ID_SIZE];
    uint8_t blob[MAX_BLOB];
    size_t blob_len = 0;
    kms_error *error = NULL;
    create_key(engine, key_id);
    if (kms_encrypt(engine, key_id, plaintext, sizeof plaintext, NULL, blob, sizeof blob, &blob_len, &error) != KMS_OK) {
        fatal("kms_encrypt: %s", kms_error_code(error));
    }
    if (strcmp(fault, "c") == 0) {
        fault_in_c(strlen(key_id)); /* a length that no compiler knows, or it would refuse the fault */
    } else if (strcmp(fault, "read") == 0) {
        read_in_library(engine, blob, blob_len);
    } else if (strcmp(fault, "write") == 0) {
        write_in_library(engine, key_id, blob_len);
    } else if (strcmp(fault, "leak") == 0) {
        leak_from_library(engine);
    } else if (strcmp(fault, "undefined") == 0) {
        undefined_in_library(engine, blob_len);
    } else {
        fatal("usage: probe c|read|write|leak|undefined");
    }
    kms_close(engine);
    return EXIT_SUCCESS; /* the fault went unseen */
}
