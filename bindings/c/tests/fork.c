/*
 * fork: what a child may do with what it inherits.
 *
 * Goal: a host that forks (a pre-forking server, Python's multiprocessing) never hangs, crashes or shares a random number
 * with its child.  In the child every call on an inherited handle answers KMS_FORKED; the parent does not notice.
 * Method: children check for themselves and tell by their exit status.  One round forks while other threads are inside
 * calls, so that whatever lock they hold is held in the child for ever.  A test that hangs is ended by an alarm.
 */
#define _POSIX_C_SOURCE 200809L

#include "common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The nonce follows the version id and the header byte. */
#define NONCE_OFFSET 37u
#define NONCE_LEN 24u

/* An engine with a thread of its own, which does what is due. */
#define SWEEPING "{\"store\":\"memory:\",\"sweep\":1}"

static const uint8_t data[] = "inherited";

struct inherited {
    kms *engine;
    char key_id[KEY_ID_SIZE];
    uint8_t blob[256];
    size_t blob_len;
};

static void init(struct inherited *it, const char *config) {
    kms_error *error = NULL;
    it->engine = open_or_die(config);
    create_key(it->engine, it->key_id);
    if (kms_encrypt(it->engine, it->key_id, data, sizeof data, NULL, it->blob, sizeof it->blob, &it->blob_len, &error) !=
        KMS_OK) {
        fatal("kms_encrypt: %s", kms_error_code(error));
    }
}

/* Whether threads other than the main one run: those of this test, or those of an engine on disk. */
static bool other_threads;
/* In a child: it was forked beside other threads, and has none of them. */
static bool threads_lost;

/*
 * Where LeakSanitizer is linked in, it asks this before it looks.  It searches the stacks of the threads that run; what a
 * thread of the parent held when it forked is on no such stack in the child, and would count as leaked.
 */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) {
    return threads_lost;
}

/* Forks; the child runs `body` and exits in the ordinary way, through atexit handlers and destructors. */
static pid_t start_child(void (*body)(struct inherited *), struct inherited *it) {
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    if (child < 0) {
        fatal("fork failed");
    }
    if (child == 0) {
        alarm(120);
        threads_lost = threads_lost || other_threads;
        other_threads = false;
        int before = failed_checks();
        body(it);
        exit(failed_checks() == before ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    return child;
}

static bool ended_well(pid_t child) {
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static void works(struct inherited *it) {
    kms_error *e = NULL;
    uint8_t out[256];
    size_t len = 0;
    ACCEPTED(call_key(it->engine, "DescribeKey", it->key_id, &e), &e);
    ACCEPTED(kms_decrypt(it->engine, it->blob, it->blob_len, NULL, out, sizeof out, &len, &e), &e);
    CHECK(len == sizeof data && memcmp(out, data, sizeof data) == 0);
}

/* Child: every function that takes a handle. */
static void every_function_says_forked(struct inherited *it) {
    kms_error *e = NULL;
    char *text = NULL;
    uint8_t out[256];
    uint8_t key[32];
    size_t len = 4711;
    size_t key_len = 4711;
    memset(out, 0xA5, sizeof out);
    REFUSED(kms_call(it->engine, "ListKeys", "{}", &text, &e), &e, "KMS_FORKED", 0);
    REFUSED(kms_encrypt(it->engine, it->key_id, data, sizeof data, NULL, out, sizeof out, &len, &e), &e, "KMS_FORKED", 0);
    REFUSED(kms_decrypt(it->engine, it->blob, it->blob_len, NULL, out, sizeof out, &len, &e), &e, "KMS_FORKED", 0);
    REFUSED(kms_generate_data_key(it->engine, it->key_id, 32, NULL, key, sizeof key, &key_len, out, sizeof out, &len, &e), &e,
            "KMS_FORKED", 0);
    REFUSED(kms_reencrypt(it->engine, it->blob, it->blob_len, NULL, it->key_id, NULL, out, sizeof out, &len, &e), &e,
            "KMS_FORKED", 0);
    const size_t data_len = sizeof data;
    kms_status item = 4711;
    bool valid = false;
    REFUSED(kms_encrypt_batch(it->engine, it->key_id, 1, data, &data_len, NULL, NULL, out, sizeof out, &len, &item, NULL, &e),
            &e, "KMS_FORKED", 0);
    REFUSED(kms_decrypt_batch(it->engine, 1, it->blob, &it->blob_len, NULL, NULL, out, sizeof out, &len, &item, NULL, &e), &e,
            "KMS_FORKED", 0);
    REFUSED(kms_sign_batch(it->engine, it->key_id, NULL, "SM2DSA", 1, data, &data_len, out, sizeof out, &len, &item, NULL, &e),
            &e, "KMS_FORKED", 0);
    REFUSED(kms_verify_batch(it->engine, it->key_id, NULL, "SM2DSA", 1, data, &data_len, data, &data_len, &valid, &item, NULL,
                             &e),
            &e, "KMS_FORKED", 0);
    CHECK(item == 4711 && !valid);
    REFUSED(kms_clock_advance(it->engine, 1, &e), &e, "KMS_FORKED", 0);
    REFUSED(kms_run_due(it->engine, &text, &e), &e, "KMS_FORKED", 0);
    CHECK(kms_call(it->engine, "ListKeys", "{}", &text, NULL) == KMS_FORKED);
    CHECK(text == NULL && len == 4711 && key_len == 4711);
    for (size_t i = 0; i < sizeof out; i++) {
        if (!CHECK(out[i] == 0xA5)) {
            break;
        }
    }
}

/* Child: an engine of its own, and a child of its own. */
static void opens_one(const char *config) {
    struct inherited own;
    init(&own, config);
    works(&own);
    CHECK(ended_well(start_child(every_function_says_forked, &own)));
    works(&own);
    kms_close(own.engine);
}

static void opens_its_own(struct inherited *it) {
    (void)it;
    opens_one(MEMORY);
}

static void opens_one_that_sweeps(struct inherited *it) {
    (void)it;
    other_threads = true;
    opens_one(SWEEPING);
}

static void closes_the_inherited(struct inherited *it) {
    kms_close(it->engine);
}

static void just_exits(struct inherited *it) {
    (void)it;
}

static const char *locked_config;

/* Child: closing what it inherited must not give away the parent's store. */
static void closes_and_finds_it_locked(struct inherited *it) {
    kms_error *e = NULL;
    kms *engine = NULL;
    kms_close(it->engine);
    REFUSED(kms_open(KMS_ABI_VERSION, locked_config, NULL, &engine, &e), &e, "KMS_STORE_LOCKED", 0);
    CHECK(engine == NULL);
}

static kms_error *old_error;
static char *old_text;

/* Child: errors and texts are plain memory, and the child has its copy. */
static void reads_and_frees(struct inherited *it) {
    (void)it;
    char value[64];
    CHECK(strcmp(kms_error_code(old_error), "MissingParameter") == 0);
    CHECK(json_text(old_text, "RequestId", value, sizeof value));
    kms_error_free(old_error);
    kms_string_free(old_text);
}

static int result_pipe[2];

static void sends_its_nonce(struct inherited *it) {
    (void)it;
    struct inherited own;
    init(&own, MEMORY);
    CHECK(write(result_pipe[1], own.blob + NONCE_OFFSET, NONCE_LEN) == (ssize_t)NONCE_LEN);
    kms_close(own.engine);
}

static atomic_bool stop;

static void *keeps_busy(void *argument) {
    struct inherited *it = argument;
    kms_error *e = NULL;
    while (!atomic_load(&stop)) {
        char key_id[KEY_ID_SIZE];
        works(it);
        create_key(it->engine, key_id);
        REFUSED(call_key(it->engine, "EnableKey", "alias/none", &e), &e, "Unsupported.Alias", 400);
    }
    return NULL;
}

static void forked_amid_calls(struct inherited *it) {
    every_function_says_forked(it);
    opens_its_own(it);
    kms_close(it->engine);
}

int main(void) {
    struct inherited it;
    alarm(600);

    group("every function answers KMS_FORKED in the child");
    init(&it, MEMORY);
    CHECK(ended_well(start_child(every_function_says_forked, &it)));
    works(&it);

    group("the child opens an engine of its own");
    CHECK(ended_well(start_child(opens_its_own, &it)));
    works(&it);

    group("the child closes what it inherited, or does not");
    CHECK(ended_well(start_child(closes_the_inherited, &it)));
    works(&it);
    CHECK(ended_well(start_child(just_exits, &it)));
    works(&it);

    group("the child reads and frees inherited errors and texts");
    CHECK(kms_call(it.engine, "ListKeys", "{}", &old_text, NULL) == KMS_OK);
    char *none = NULL;
    CHECK(kms_call(it.engine, "DescribeKey", "{}", &none, &old_error) != KMS_OK);
    CHECK(ended_well(start_child(reads_and_frees, &it)));
    reads_and_frees(&it);

    group("parent and child draw different random numbers");
    for (int i = 0; i < 8; i++) {
        uint8_t childs[NONCE_LEN] = {0};
        uint8_t blob[256];
        size_t len = 0;
        kms_error *e = NULL;
        if (pipe(result_pipe) != 0) {
            fatal("no pipe");
        }
        pid_t child = start_child(sends_its_nonce, &it);
        ACCEPTED(kms_encrypt(it.engine, it.key_id, data, sizeof data, NULL, blob, sizeof blob, &len, &e), &e);
        CHECK(read(result_pipe[0], childs, NONCE_LEN) == (ssize_t)NONCE_LEN);
        CHECK(ended_well(child));
        CHECK(memcmp(childs, blob + NONCE_OFFSET, NONCE_LEN) != 0);
        close(result_pipe[0]);
        close(result_pipe[1]);
    }

    group("forked while other threads are inside calls");
    pthread_t busy[3];
    other_threads = true;
    for (size_t i = 0; i < 3; i++) {
        if (pthread_create(&busy[i], NULL, keeps_busy, &it) != 0) {
            fatal("cannot start a thread");
        }
    }
    for (int i = 0; i < 25; i++) {
        CHECK(ended_well(start_child(forked_amid_calls, &it)));
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(busy[i], NULL);
    }
    other_threads = false;
    works(&it);
    kms_close(it.engine);

    group("the thread that does what is due stays with its parent");
    init(&it, SWEEPING);
    other_threads = true;
    CHECK(ended_well(start_child(every_function_says_forked, &it)));
    /* Its thread may get the stack of the one that waits in the parent. */
    for (int i = 0; i < 10; i++) {
        CHECK(ended_well(start_child(opens_one_that_sweeps, &it)));
    }
    CHECK(ended_well(start_child(closes_the_inherited, &it)));
    CHECK(ended_well(start_child(just_exits, &it)));
    works(&it);
    kms_close(it.engine);
    other_threads = false;

    group("a store stays its parent's");
    char *directory = make_temp_dir();
    char *path = join(directory, "store");
    char *config = sled_config(path, ROOT_KEY_HEX);
    locked_config = config;
    init(&it, config);
    other_threads = true;
    CHECK(ended_well(start_child(every_function_says_forked, &it)));
    CHECK(ended_well(start_child(opens_its_own, &it)));
    CHECK(ended_well(start_child(closes_and_finds_it_locked, &it)));
    works(&it);

    kms_close(it.engine);
    free(config);
    free(path);
    remove_tree(directory);
    free(directory);
    return finish();
}
