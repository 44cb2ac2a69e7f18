/*
 * One engine, many threads.
 *
 *     threads [ROUNDS]
 *
 * Goal: every call may run beside every other; a state change that has returned is obeyed by all that begins after it; an
 * engine can be closed under running calls.
 * Method: workers hammer one engine and compare what they read back, while the main thread disables, enables and closes.
 * They know what to expect from a phase counter, read before and after each call: if it did not move, neither did the state.
 * A test that hangs is ended by an alarm.
 */
#define _POSIX_C_SOURCE 200809L

#include "common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 64

static int rounds = 200;
static int thread_count;

/* The state of the shared key is certain in two of the four phases. */
enum { ENABLED = 0, DISABLING = 1, DISABLED = 2, ENABLING = 3 };

struct shared {
    kms *engine;
    char key_id[KEY_ID_SIZE];
    uint8_t blob[256]; /* a ciphertext of `data` under the key */
    size_t blob_len;
    atomic_uint phase; /* counts up; the phase is its value modulo 4 */
    atomic_uint certain[4]; /* calls that began and ended in one phase, by phase */
    atomic_bool stop;
    atomic_uint ready;
    atomic_bool closed;
    atomic_uint winners;
};

static const uint8_t data[32] = "thirty-one bytes and their NUL.";

static void start_many(struct shared *shared, void *(*body)(void *), int count, pthread_t *threads) {
    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, body, shared) != 0) {
            fatal("cannot start thread %d", i);
        }
    }
}

static void join_all(pthread_t *threads, int count) {
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void pause_briefly(void) {
    const struct timespec t = {0, 200 * 1000};
    nanosleep(&t, NULL);
}

static void init(struct shared *shared, const char *config) {
    memset(shared, 0, sizeof *shared);
    shared->engine = open_or_die(config);
    create_key(shared->engine, shared->key_id);
    kms_error *error = NULL;
    if (kms_encrypt(shared->engine, shared->key_id, data, sizeof data, NULL, shared->blob, sizeof shared->blob,
                    &shared->blob_len, &error) != KMS_OK) {
        fatal("kms_encrypt: %s", kms_error_code(error));
    }
}

/* Every kind of call, each with an answer that is known. */
static void *all_kinds(void *argument) {
    struct shared *shared = argument;
    kms_error *e = NULL;
    uint8_t blob[256];
    uint8_t out[256];
    uint8_t key[32];
    size_t blob_len = 0;
    size_t out_len = 0;
    size_t key_len = 0;
    for (int i = 0; i < rounds; i++) {
        uint8_t mine[32];
        memcpy(mine, data, sizeof mine);
        memcpy(mine, &i, sizeof i);
        ACCEPTED(kms_encrypt(shared->engine, shared->key_id, mine, sizeof mine, NULL, blob, sizeof blob, &blob_len, &e), &e);
        ACCEPTED(kms_decrypt(shared->engine, blob, blob_len, NULL, out, sizeof out, &out_len, &e), &e);
        CHECK(out_len == sizeof mine && memcmp(out, mine, sizeof mine) == 0);
        ACCEPTED(kms_decrypt(shared->engine, shared->blob, shared->blob_len, NULL, out, sizeof out, &out_len, &e), &e);
        CHECK(out_len == sizeof data && memcmp(out, data, sizeof data) == 0);
        ACCEPTED(kms_generate_data_key(shared->engine, shared->key_id, 32, NULL, key, sizeof key, &key_len, blob, sizeof blob,
                                       &blob_len, &e),
                 &e);
        ACCEPTED(kms_reencrypt(shared->engine, blob, blob_len, NULL, shared->key_id, "{\"a\":\"b\"}", out, sizeof out, &out_len,
                               &e),
                 &e);
        ACCEPTED(call_key(shared->engine, "DescribeKey", shared->key_id, &e), &e);
        REFUSED(kms_decrypt(shared->engine, shared->blob, shared->blob_len - 1, NULL, out, sizeof out, &out_len, &e), &e,
                "InvalidParameter", 400);
    }
    return NULL;
}

static void *obeys_the_state(void *argument) {
    struct shared *shared = argument;
    uint8_t out[256];
    for (unsigned turn = 0; !atomic_load(&shared->stop); turn++) {
        kms_error *e = NULL;
        size_t len = 0;
        kms_status status;
        unsigned before = atomic_load(&shared->phase);
        switch (turn % 3) {
        case 0:
            status = kms_encrypt(shared->engine, shared->key_id, data, sizeof data, NULL, out, sizeof out, &len, &e);
            break;
        case 1:
            status = kms_decrypt(shared->engine, shared->blob, shared->blob_len, NULL, out, sizeof out, &len, &e);
            break;
        default:
            status = kms_generate_data_key(shared->engine, shared->key_id, 32, NULL, NULL, 0, NULL, out, sizeof out, &len, &e);
        }
        unsigned after = atomic_load(&shared->phase);
        if (before == after && before % 4 == DISABLED) {
            REFUSED(status, &e, "Rejected.Disabled", 409);
        } else if (before == after && before % 4 == ENABLED) {
            ACCEPTED(status, &e);
        } else if (status != KMS_OK) { /* the state moved meanwhile: either answer, but no third one */
            REFUSED(status, &e, "Rejected.Disabled", 409);
        }
        if (before == after) {
            atomic_fetch_add(&shared->certain[before % 4], 1);
        }
        kms_error *none = NULL;
        ACCEPTED(call_key(shared->engine, "DescribeKey", shared->key_id, &none), &none);
    }
    return NULL;
}

/* Lets every worker make a few calls in the present phase. */
static void let_them_work(struct shared *shared, unsigned phase) {
    unsigned enough = atomic_load(&shared->certain[phase]) + (unsigned)thread_count * 4;
    while (atomic_load(&shared->certain[phase]) < enough) {
        pause_briefly();
    }
}

static void disable_is_obeyed(const char *config) {
    struct shared shared;
    pthread_t threads[MAX_THREADS];
    kms_error *e = NULL;
    init(&shared, config);
    start_many(&shared, obeys_the_state, thread_count, threads);
    for (int i = 0; i < rounds / 4 + 1; i++) {
        let_them_work(&shared, ENABLED);
        atomic_fetch_add(&shared.phase, 1);
        ACCEPTED(call_key(shared.engine, "DisableKey", shared.key_id, &e), &e);
        atomic_fetch_add(&shared.phase, 1);
        let_them_work(&shared, DISABLED);
        atomic_fetch_add(&shared.phase, 1);
        ACCEPTED(call_key(shared.engine, "EnableKey", shared.key_id, &e), &e);
        atomic_fetch_add(&shared.phase, 1);
    }
    atomic_store(&shared.stop, true);
    join_all(threads, thread_count);
    kms_close(shared.engine);
}

static void *claims_the_alias(void *argument) {
    struct shared *shared = argument;
    char params[128];
    for (int i = 0; i < rounds / 4 + 1; i++) {
        char *reply = NULL;
        kms_error *e = NULL;
        snprintf(params, sizeof params, "{\"AliasName\":\"alias/race-%d\",\"KeyId\":\"%s\"}", i, shared->key_id);
        if (kms_call(shared->engine, "CreateAlias", params, &reply, &e) == KMS_OK) {
            atomic_fetch_add(&shared->winners, 1);
            kms_string_free(reply);
        } else {
            REFUSED(kms_error_status(e), &e, "AliasAlreadyExists", 400);
        }
    }
    return NULL;
}

static void one_winner(const char *config) {
    struct shared shared;
    pthread_t threads[MAX_THREADS];
    init(&shared, config);
    start_many(&shared, claims_the_alias, thread_count, threads);
    join_all(threads, thread_count);
    CHECK(atomic_load(&shared.winners) == (unsigned)(rounds / 4 + 1));
    kms_close(shared.engine);
}

static void *works_until_closed(void *argument) {
    struct shared *shared = argument;
    uint8_t out[256];
    bool first = true;
    for (unsigned turn = 0;; turn++) {
        kms_error *e = NULL;
        size_t len = 0;
        bool was_closed = atomic_load(&shared->closed);
        kms_status status =
            turn % 8 == 0 ? call_key(shared->engine, "DescribeKey", shared->key_id, &e)
                          : kms_decrypt(shared->engine, shared->blob, shared->blob_len, NULL, out, sizeof out, &len, &e);
        if (status != KMS_OK) {
            REFUSED(status, &e, "KMS_CLOSED", 0);
            return NULL;
        }
        CHECK(!was_closed);
        if (first) {
            atomic_fetch_add(&shared->ready, 1);
            first = false;
        }
    }
}

static void close_beside_calls(const char *config) {
    for (int i = 0; i < rounds / 20 + 1; i++) {
        struct shared shared;
        pthread_t threads[MAX_THREADS];
        init(&shared, config);
        start_many(&shared, works_until_closed, thread_count, threads);
        while (atomic_load(&shared.ready) < (unsigned)thread_count) {
            pause_briefly();
        }
        kms_close(shared.engine);
        atomic_store(&shared.closed, true);
        join_all(threads, thread_count);
    }
}

static void *one_call(void *argument) {
    struct shared *shared = argument;
    kms_error *e = NULL;
    uint8_t out[256];
    size_t len = 0;
    ACCEPTED(kms_encrypt(shared->engine, shared->key_id, data, sizeof data, NULL, out, sizeof out, &len, &e), &e);
    ACCEPTED(kms_decrypt(shared->engine, out, len, NULL, out + 128, sizeof out - 128, &len, &e), &e);
    return NULL;
}

static void *waits_for_the_end(void *argument) {
    struct shared *shared = argument;
    one_call(shared);
    atomic_fetch_add(&shared->ready, 1);
    while (!atomic_load(&shared->closed)) {
        pause_briefly();
    }
    return NULL; /* what the engine keeps for this thread is released now, when the engine is gone */
}

static void threads_come_and_go(const char *config) {
    struct shared shared;
    pthread_t threads[MAX_THREADS];
    init(&shared, config);
    for (int i = 0; i < rounds; i++) {
        start_many(&shared, one_call, 2, threads);
        join_all(threads, 2);
    }
    start_many(&shared, waits_for_the_end, thread_count, threads);
    while (atomic_load(&shared.ready) < (unsigned)thread_count) {
        pause_briefly();
    }
    kms_close(shared.engine);
    atomic_store(&shared.closed, true);
    join_all(threads, thread_count);
}

static void run_all(const char *kind, const char *config) {
    static char names[5][96];
    static const char *const texts[5] = {
        "every call beside every other", "a disabled key is disabled for all", "one winner for each alias",
        "closed under running calls", "threads come and go",
    };
    for (int i = 0; i < 5; i++) {
        snprintf(names[i], sizeof names[i], "%s, %d threads: %s", kind, thread_count, texts[i]);
    }

    group(names[0]);
    struct shared shared;
    pthread_t threads[MAX_THREADS];
    init(&shared, config);
    start_many(&shared, all_kinds, thread_count, threads);
    join_all(threads, thread_count);
    kms_close(shared.engine);

    group(names[1]);
    disable_is_obeyed(config);
    group(names[2]);
    one_winner(config);
    group(names[3]);
    close_beside_calls(config);
    group(names[4]);
    threads_come_and_go(config);
    group(NULL);
}

int main(int argc, char **argv) {
    if (argc > 1 && (rounds = atoi(argv[1])) <= 0) {
        fputs("usage: threads [ROUNDS]\n", stderr);
        return 2;
    }
    alarm(900);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int few = cores < 2 ? 2 : cores > MAX_THREADS / 2 ? MAX_THREADS / 2 : (int)cores;
    char *directory = make_temp_dir();
    /* As many threads as cores, then twice as many, so that some are always interrupted in the middle of a call. */
    for (thread_count = few; thread_count <= 2 * few; thread_count += few) {
        run_all("memory", MEMORY);
        char *path = join(directory, thread_count == few ? "few" : "many");
        char *config = sled_config(path, ROOT_KEY_HEX);
        int whole = rounds;
        rounds = rounds / 10 + 1; /* each durable commit waits for the disk */
        run_all("sled", config);
        rounds = whole;
        free(config);
        free(path);
    }
    remove_tree(directory);
    free(directory);
    return finish();
}
