/*
 * What kms_open takes and what it refuses: configurations, clocks, stores and their root keys.
 */
#define _POSIX_C_SOURCE 200809L

#include "abi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
        "{\"store\":\"memory:\",\"sweep\":-1}",
        "{\"store\":\"memory:\",\"clock\":{\"manual\":\"2030-01-01T00:00:00Z\"},\"seed\":1,\"sweep\":1}",
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

#define NOTHING_DUE "{\"DeletedKeys\":0,\"ExpiredMaterials\":0,\"RotatedKeys\":0}"

static void clocks(void) {
    group("clocks and due work");
    kms_error *e = NULL;
    char *report = NULL;
    char key_id[KEY_ID_SIZE];
    char params[128];
    kms *engine = open_or_die(MEMORY);
    REFUSED(kms_clock_advance(engine, 1, &e), &e, "KMS_CLOCK_NOT_MANUAL", 0);
    ACCEPTED(kms_run_due(engine, &report, &e), &e);
    CHECK(report != NULL && strcmp(report, NOTHING_DUE) == 0);
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
    CHECK(strcmp(report, "{\"DeletedKeys\":1,\"ExpiredMaterials\":0,\"RotatedKeys\":0}") == 0);
    kms_string_free(report);

    /* Absurd steps are refused, and the engine survives them. */
    REFUSED(kms_clock_advance(engine, INT64_MAX, &e), &e, NULL, -1);
    REFUSED(kms_clock_advance(engine, INT64_MIN, &e), &e, NULL, -1);
    ACCEPTED(kms_clock_advance(engine, 0, &e), &e);
    create_key(engine, key_id);
    describe_works(engine, key_id);
    kms_close(engine);
}

/* The version of a key that encrypts. */
static void primary_version(kms *engine, const char *key_id, char version[KEY_ID_SIZE]) {
    kms_error *e = NULL;
    char *reply = NULL;
    char params[128];
    snprintf(params, sizeof params, "{\"KeyId\":\"%s\"}", key_id);
    ACCEPTED(kms_call(engine, "DescribeKey", params, &reply, &e), &e);
    CHECK(reply != NULL && json_text(reply, "PrimaryKeyVersion", version, KEY_ID_SIZE));
    kms_string_free(reply);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A key that is due rotates although nobody calls for it. */
static void sweep(void) {
    group("what is due is done by a thread of the engine's own");
    kms_error *e = NULL;
    char *reply = NULL;
    char key_id[KEY_ID_SIZE] = "";
    char before[KEY_ID_SIZE] = "";
    char now[KEY_ID_SIZE] = "";
    kms *engine = open_or_die("{\"store\":\"memory:\",\"clock\":{\"manual\":\"2030-01-01T00:00:00Z\"},\"sweep\":1}");
    ACCEPTED(kms_call(engine, "CreateKey", "{\"EnableAutomaticRotation\":true,\"RotationInterval\":\"7d\"}", &reply, &e), &e);
    CHECK(reply != NULL && json_text(reply, "KeyId", key_id, sizeof key_id));
    kms_string_free(reply);
    reply = NULL;
    primary_version(engine, key_id, before);
    ACCEPTED(kms_clock_advance(engine, 7 * 86400, &e), &e);
    double end = seconds() + 60;
    do {
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
        primary_version(engine, key_id, now);
    } while (strcmp(now, before) == 0 && seconds() < end);
    CHECK(strcmp(now, before) != 0);
    ACCEPTED(kms_run_due(engine, &reply, &e), &e);
    CHECK(reply != NULL && strcmp(reply, NOTHING_DUE) == 0);
    kms_string_free(reply);
    kms_close(engine);

    /* kms_close does not wait until the thread would wake. */
    engine = open_or_die("{\"store\":\"memory:\",\"sweep\":31536000}");
    double start = seconds();
    kms_close(engine);
    CHECK(seconds() - start < 20);
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

int open_and_tell(const char *path) {
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

void check_open(const char *program) {
    configuration();
    clocks();
    sweep();
    stores(program);
}
