#include "common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("[C]      ", stdout);
    vprintf(format, args);
    fputc('\n', stdout);
    va_end(args);
    fflush(stdout);
}

void complain(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

bool kms_failed(const char *what, kms_error *error) {
    complain("%s: %s: %s", what, kms_error_code(error), kms_error_message(error));
    kms_error_free(error);
    return false;
}

bool write_file(const char *path, const uint8_t *data, size_t len) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        complain("cannot write %s: %s", path, strerror(errno));
        return false;
    }
    bool whole = fwrite(data, 1, len, file) == len;
    whole = fclose(file) == 0 && whole;
    if (!whole) {
        complain("cannot write %s completely", path);
    }
    return whole;
}

kms *open_store(const char *store_dir, const char *root_key_file, bool make) {
    char *store = malloc(strlen(store_dir) + sizeof "sled:");
    if (store == NULL) {
        return NULL;
    }
    sprintf(store, "sled:%s", store_dir);
    json_t *config = json_pack("{s:s, s:{s:s, s:b}}", "store", store, "root_key", "file", root_key_file, "create", (int)make);
    free(store);
    char *text = config != NULL ? json_dumps(config, JSON_COMPACT) : NULL;
    json_decref(config);
    if (text == NULL) {
        complain("the paths must be UTF-8");
        return NULL;
    }

    kms *engine = NULL;
    kms_error *error = NULL;
    if (kms_open(KMS_ABI_VERSION, text, NULL, &engine, &error) != KMS_OK) {
        kms_failed("cannot open the store", error);
    }
    free(text);
    return engine;
}

bool call(kms *engine, const char *action, json_t *params, json_t **reply) {
    char *text = params != NULL ? json_dumps(params, JSON_COMPACT) : NULL;
    json_decref(params);
    char *answer = NULL;
    kms_error *error = NULL;
    if (text == NULL) {
        complain("%s: parameters cannot be written as JSON", action);
        return false;
    }
    kms_status status = kms_call(engine, action, text, &answer, &error);
    free(text);
    if (status != KMS_OK) {
        return kms_failed(action, error);
    }
    bool ok = true;
    if (reply != NULL) {
        *reply = json_loads(answer, 0, NULL);
        ok = *reply != NULL;
    }
    kms_string_free(answer);
    return ok;
}
