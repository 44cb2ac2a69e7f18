#define _XOPEN_SOURCE 700

#include "common.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Failures of one group that are printed. */
#define MAX_REPORTED 10

static atomic_int checks;
static atomic_int failures;
static int checks_before;
static int failures_before;
static const char *current;

bool check(bool condition, const char *text, const char *file, int line) {
    atomic_fetch_add(&checks, 1);
    if (!condition) {
        if (atomic_fetch_add(&failures, 1) - failures_before >= MAX_REPORTED) {
            return false; /* counted only: a broken engine would fill the screen */
        }
        fprintf(stderr, "%s:%d: %s: failed: %s\n", file, line, current != NULL ? current : "start", text);
    }
    return condition;
}

/* Whether the failure just counted was also printed, and deserves its details. */
static bool is_reported(void) {
    return atomic_load(&failures) - failures_before <= MAX_REPORTED;
}

bool refused(kms_status status, kms_error **error, const char *code, int http, const char *text, const char *file, int line) {
    /* One check a call: the accessors must agree with the status and with each other. */
    const char *got = *error != NULL ? kms_error_code(*error) : "(no error object)";
    bool ok = status != KMS_OK && *error != NULL && kms_error_status(*error) == status && got[0] != '\0' &&
              kms_error_message(*error) != NULL && kms_error_message(*error)[0] != '\0' &&
              kms_error_request_id(*error) != NULL && (code == NULL || strcmp(got, code) == 0) &&
              (http < 0 || kms_error_http_status(*error) == http);
    if (!check(ok, text, file, line) && is_reported()) {
        fprintf(stderr, "    got status %d, code %s, http %d, message \"%s\"; expected code %s, http %d\n", (int)status, got,
                *error != NULL ? (int)kms_error_http_status(*error) : -1, *error != NULL ? kms_error_message(*error) : "",
                code != NULL ? code : "any", http);
    }
    kms_error_free(*error);
    *error = NULL;
    return ok;
}

bool accepted(kms_status status, kms_error **error, const char *text, const char *file, int line) {
    bool ok = status == KMS_OK && *error == NULL;
    if (!check(ok, text, file, line) && is_reported()) {
        fprintf(stderr, "    got status %d, code %s, message \"%s\"\n", (int)status,
                *error != NULL ? kms_error_code(*error) : "(no error object)",
                *error != NULL ? kms_error_message(*error) : "");
    }
    if (*error != NULL) {
        kms_error_free(*error);
        *error = NULL;
    }
    return ok;
}

static void report(void) {
    if (current != NULL) {
        int failed = atomic_load(&failures) - failures_before;
        printf("%s %s (%d checks", failed == 0 ? "ok  " : "FAIL", current, atomic_load(&checks) - checks_before);
        if (failed != 0) {
            printf(", %d failed", failed);
        }
        printf(")\n");
        fflush(stdout);
    }
}

void group(const char *name) {
    report();
    current = name;
    checks_before = atomic_load(&checks);
    failures_before = atomic_load(&failures);
}

int failed_checks(void) {
    return atomic_load(&failures);
}

int finish(void) {
    report();
    current = NULL;
    int failed = atomic_load(&failures);
    printf("%d checks passed, %d failed\n", atomic_load(&checks) - failed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void fatal(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("fatal: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(EXIT_FAILURE);
}

kms *open_or_die(const char *config) {
    kms *engine = NULL;
    kms_error *error = NULL;
    if (kms_open(KMS_ABI_VERSION, config, NULL, &engine, &error) != KMS_OK) {
        fatal("kms_open: %s: %s", kms_error_code(error), kms_error_message(error));
    }
    return engine;
}

char *sled_config(const char *path, const char *root_key_hex) {
    static const char form[] = "{\"store\":\"sled:%s\",\"root_key\":{\"hex\":\"%s\"}}";
    size_t size = sizeof form + strlen(path) + strlen(root_key_hex);
    char *config = malloc(size);
    if (config == NULL) {
        fatal("no memory");
    }
    snprintf(config, size, form, path, root_key_hex);
    return config;
}

kms_status call_key(kms *engine, const char *action, const char *key_id, kms_error **error) {
    char params[128];
    char *reply = NULL;
    snprintf(params, sizeof params, "{\"KeyId\":\"%s\"}", key_id);
    kms_status status = kms_call(engine, action, params, &reply, error);
    kms_string_free(reply);
    return status;
}

void create_key(kms *engine, char key_id[KEY_ID_SIZE]) {
    char *reply = NULL;
    kms_error *error = NULL;
    if (kms_call(engine, "CreateKey", "{}", &reply, &error) != KMS_OK) {
        fatal("CreateKey: %s: %s", kms_error_code(error), kms_error_message(error));
    }
    if (!json_text(reply, "KeyId", key_id, KEY_ID_SIZE)) {
        fatal("CreateKey: no KeyId in %s", reply);
    }
    kms_string_free(reply);
}

bool json_text(const char *json, const char *name, char *out, size_t size) {
    char pattern[64];
    snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
    const char *start = strstr(json, pattern);
    if (start == NULL) {
        return false;
    }
    start += strlen(pattern);
    const char *end = strchr(start, '"');
    if (end == NULL || (size_t)(end - start) >= size) {
        return false;
    }
    memcpy(out, start, (size_t)(end - start));
    out[end - start] = '\0';
    return true;
}

char *make_temp_dir(void) {
    const char *parent = getenv("TMPDIR");
    char *path = join(parent != NULL && parent[0] != '\0' ? parent : "/tmp", "kms-test-XXXXXX");
    if (mkdtemp(path) == NULL) {
        fatal("cannot make %s: %s", path, strerror(errno));
    }
    return path;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

void remove_tree(const char *path) {
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        fatal("cannot remove %s: %s", path, strerror(errno));
    }
}

char *join(const char *directory, const char *name) {
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = malloc(size);
    if (path == NULL) {
        fatal("no memory");
    }
    snprintf(path, size, "%s/%s", directory, name);
    return path;
}
