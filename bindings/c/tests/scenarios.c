/*
 * Runs the scenario files through the C interface.
 *
 *     scenarios DIRECTORY
 *
 * Goal: the engine behaves the same on every surface.  Method: read the files, make the calls with kms_call, compare; the
 * language and the rules of comparison are in scenarios/README.md.  A file that breaks the grammar ends the run.
 */
#define _XOPEN_SOURCE 700

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "kms.h"
#include "scenario_text.h"

static size_t files, sections, steps, failed;

static bool is_wildcard(json_t *value) {
    return json_is_string(value) && strcmp(json_string_value(value), "...") == 0;
}

/* First pass: remembers what the expected reply wants captured. */
static void capture(struct section *section, json_t *expected, json_t *actual) {
    struct text name = {0};
    if (json_is_object(expected) && json_is_object(actual)) {
        const char *member;
        json_t *value;
        json_object_foreach(expected, member, value) {
            capture(section, value, json_object_get(actual, member));
        }
    } else if (json_is_array(expected) && json_is_array(actual)) {
        for (size_t i = 0; i < json_array_size(expected); i++) {
            capture(section, json_array_get(expected, i), json_array_get(actual, i));
        }
    } else if (json_is_string(expected) && json_is_string(actual) && is_capture(json_string_value(expected), &name) &&
               name.len > 0 && json_object_get(section->captured, name.data) == NULL) {
        json_object_set(section->captured, name.data, actual);
    }
    free(name.data);
}

/* Second pass: compares; `path` tells where the first difference is. */
static bool equal(const struct section *section, json_t *expected, json_t *actual, struct text *path) {
    size_t mark = path->len;
    if (json_is_object(expected) && json_is_object(actual)) {
        bool more = is_wildcard(json_object_get(expected, "..."));
        size_t members = json_object_size(expected) - (more ? 1 : 0);
        const char *member;
        json_t *value;
        json_object_foreach(expected, member, value) {
            if (more && strcmp(member, "...") == 0) {
                continue;
            }
            append_string(path, ".");
            append_string(path, member);
            json_t *other = json_object_get(actual, member);
            if (other == NULL || !equal(section, value, other, path)) {
                return false;
            }
            path->len = mark;
        }
        append(path, "", 0);
        if (!more && json_object_size(actual) != members) {
            json_object_foreach(actual, member, value) {
                if (json_object_get(expected, member) == NULL) {
                    append_string(path, ": unexpected member ");
                    append_string(path, member);
                    break;
                }
            }
            return false;
        }
        return true;
    }
    if (json_is_array(expected) && json_is_array(actual)) {
        if (json_array_size(expected) != json_array_size(actual)) {
            append_string(path, ": length");
            return false;
        }
        for (size_t i = 0; i < json_array_size(expected); i++) {
            char index[32];
            snprintf(index, sizeof index, "[%zu]", i);
            append_string(path, index);
            if (!equal(section, json_array_get(expected, i), json_array_get(actual, i), path)) {
                return false;
            }
            path->len = mark;
        }
        append(path, "", 0);
        return true;
    }
    if (json_is_string(expected) && json_is_string(actual)) {
        struct text name = {0};
        bool same;
        if (is_capture(json_string_value(expected), &name)) {
            same = name.len == 0 || json_equal(json_object_get(section->captured, name.data), actual);
        } else {
            same = json_equal(expected, actual);
        }
        free(name.data);
        return same;
    }
    if (json_is_number(expected) && json_is_number(actual)) {
        return json_number_value(expected) == json_number_value(actual);
    }
    return json_equal(expected, actual);
}

static bool is_uuid(const char *text) {
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (dash ? text[i] != '-' : !digit) {
            return false;
        }
    }
    return text[36] == '\0';
}

static void fail(struct section *section, size_t line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%zu: ", file_name, line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    section->has_failed = true;
    failed++;
}

/* `error code http [parameter]` */
static void check_error(struct section *section, size_t line, const char *answer, kms_status status, kms_error *error,
                        const char *reply) {
    char code[80];
    char parameter[82] = "";
    int http = 0;
    int used = 0;
    int fields = sscanf(answer, "error %79[^ \n] %d%n %78[^ \n]%n", code, &http, &used, parameter + 1, &used);
    if (fields < 2 || (answer[used] != '\0' && strcmp(answer + used, "\n") != 0)) {
        stop(line, "a malformed error answer: %s", answer);
    }
    if (status == KMS_OK) {
        fail(section, line, "expected error %s %d, got %s", code, http, reply);
        return;
    }
    if (strcmp(kms_error_code(error), code) != 0 || kms_error_http_status(error) != http) {
        fail(section, line, "expected error %s %d, got %s %d: %s", code, http, kms_error_code(error),
             (int)kms_error_http_status(error), kms_error_message(error));
        return;
    }
    if (fields == 3) {
        parameter[0] = '"';
        strcat(parameter, "\"");
        if (strstr(kms_error_message(error), parameter) == NULL) {
            fail(section, line, "the message should name %s: %s", parameter, kms_error_message(error));
            return;
        }
    }
    if (!is_uuid(kms_error_request_id(error))) {
        fail(section, line, "the request id of the error is no UUID: %s", kms_error_request_id(error));
    }
}

static void check_reply(struct section *section, size_t line, const char *answer, kms_status status, kms_error *error,
                        const char *reply) {
    /* Captures come first and do not depend on replacements, which may depend on them. */
    json_error_t where;
    json_t *pattern = json_loads(answer, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(pattern)) {
        stop(line, "the answer is not a JSON object: %s", where.text);
    }
    if (status != KMS_OK) {
        fail(section, line, "expected success, got %s %d: %s", kms_error_code(error), (int)kms_error_http_status(error),
             kms_error_message(error));
        json_decref(pattern);
        return;
    }
    json_t *actual = json_loads(reply, JSON_REJECT_DUPLICATES, &where);
    const char *request_id = json_string_value(json_object_get(actual, "RequestId"));
    struct text replaced = {0};
    struct text path = {0};
    append(&path, "", 0);
    if (request_id == NULL || !is_uuid(request_id)) {
        fail(section, line, "no object with a RequestId: %s", reply);
    } else {
        json_object_del(actual, "RequestId");
        capture(section, pattern, actual);
        if (!replace(section, answer, line, &replaced)) {
            fail(section, line, "not compared: a step before it failed");
        } else {
            json_t *expected = json_loads(replaced.data, JSON_REJECT_DUPLICATES, &where);
            if (expected == NULL) {
                stop(line, "the answer is not JSON after replacement: %s", where.text);
            }
            if (!equal(section, expected, actual, &path)) {
                fail(section, line, "the reply differs at %s\n    expected %s    got      %s", path.len > 0 ? path.data : "its top",
                     replaced.data, reply);
            }
            json_decref(expected);
        }
    }
    free(path.data);
    free(replaced.data);
    json_decref(actual);
    json_decref(pattern);
}

/* Runs one step.  `call` and `answer` still have their line ends. */
static void run_step(struct section *section, size_t line, char *call, const char *answer) {
    size_t name_len = 0;
    while (isalpha((unsigned char)call[name_len])) {
        name_len++;
    }
    const char *json = call + name_len + strspn(call + name_len, " \t\n");
    if (call[name_len] != ' ' || (call[name_len + 1] != '!' && json[0] != '{')) {
        stop(line, "a step begins with `Action {` or `Action !`");
    }
    call[name_len] = '\0';
    char *params = call + name_len + 1;
    struct text replaced = {0};
    bool is_raw = params[0] == '!';
    bool is_error = strncmp(answer, "error ", 6) == 0;
    steps++;
    if (is_raw) {
        params[strlen(params) - 1] = '\0'; /* the line end before ---- */
        if (params[1] == ' ') {
            params += 2;
        } else if (params[1] == '\0') {
            params += 1;
        } else {
            stop(line, "a raw step begins with `Action ! text`");
        }
        if (!is_error) {
            stop(line, "a raw step expects an error");
        }
    } else if (!replace(section, params, line, &replaced)) {
        fail(section, line, "not run: a step before it failed");
        free(replaced.data);
        return;
    } else {
        params = replaced.data;
    }

    char *reply = NULL;
    kms_error *error = NULL;
    kms_status status = kms_call(section->engine, call, params, &reply, &error);
    if ((status == KMS_OK) != (reply != NULL) || (status == KMS_OK) != (error == NULL)) {
        fail(section, line, "status %d with %s reply and %s error", (int)status, reply != NULL ? "a" : "no",
             error != NULL ? "an" : "no");
    } else if (is_error) {
        check_error(section, line, answer, status, error, reply);
    } else {
        check_reply(section, line, answer, status, error, reply);
    }
    kms_error_free(error);
    kms_string_free(reply);
    free(replaced.data);
}

static void close_section(struct section *section) {
    kms_close(section->engine);
    json_decref(section->captured);
    memset(section, 0, sizeof *section);
}

/* `@ time seed [object]` */
static void open_section(struct section *section, size_t line, const char *item) {
    char time[21];
    char seed[21];
    int used = 0;
    if (sscanf(item, "@ %20[0-9TZ:-] %20[0-9]%n", time, seed, &used) != 2 || (item[used] != '\0' && item[used] != ' ')) {
        stop(line, "an engine is opened with `@ time seed [object]`");
    }
    /* Spliced as text: a seed may be larger than what a JSON library takes for an integer. */
    struct text config = {0};
    append_string(&config, "{\"store\":\"memory:\",\"clock\":{\"manual\":\"");
    append_string(&config, time);
    append_string(&config, "\"},\"seed\":");
    append_string(&config, seed);
    if (item[used] == ' ') {
        const char *object = item + used + 1;
        json_t *more = json_loads(object, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(more) || object[0] != '{' || json_object_size(more) == 0) {
            stop(line, "the configuration is not a JSON object with members");
        }
        json_decref(more);
        append_string(&config, ",");
        append_string(&config, object + 1);
    } else {
        append_string(&config, "}");
    }
    close_section(section);
    sections++;
    kms_error *error = NULL;
    section->captured = json_object();
    if (kms_open(KMS_ABI_VERSION, config.data, NULL, &section->engine, &error) != KMS_OK) {
        stop(line, "kms_open: %s: %s", kms_error_code(error), kms_error_message(error));
    }
    free(config.data);
}

/* `+ seconds` */
static void advance(struct section *section, size_t line, const char *item) {
    kms_error *error = NULL;
    size_t digits = strspn(item + 1 + (item[1] == ' '), "0123456789");
    if (item[1] != ' ' || digits == 0 || digits > 18 || item[2 + digits] != '\0') {
        stop(line, "the clock is moved with `+ seconds`");
    }
    if (kms_clock_advance(section->engine, (int64_t)strtoll(item + 2, NULL, 10), &error) != KMS_OK) {
        stop(line, "kms_clock_advance: %s: %s", kms_error_code(error), kms_error_message(error));
    }
}

/* `* {json}` */
static void run_due(struct section *section, size_t line, const char *item) {
    json_error_t where;
    json_t *expected = item[1] == ' ' && item[2] == '{' ? json_loads(item + 2, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (expected == NULL) {
        stop(line, "what is due is done with `* {json}`");
    }
    char *report = NULL;
    kms_error *error = NULL;
    steps++;
    if (kms_run_due(section->engine, &report, &error) != KMS_OK) {
        fail(section, line, "kms_run_due: %s: %s", kms_error_code(error), kms_error_message(error));
    } else {
        json_t *actual = json_loads(report, JSON_REJECT_DUPLICATES, &where);
        if (!json_equal(expected, actual)) {
            fail(section, line, "the report differs\n    expected %s\n    got      %s", item + 2, report);
        }
        json_decref(actual);
    }
    kms_error_free(error);
    kms_string_free(report);
    json_decref(expected);
}

/* Reads the next line without its line end.  False at the end of the file. */
static bool next_line(FILE *file, char **buffer, size_t *cap, size_t *line) {
    ssize_t len = getline(buffer, cap, file);
    if (len < 0) {
        return false;
    }
    ++*line;
    if (strlen(*buffer) != (size_t)len || (len >= 2 && (*buffer)[len - 2] == '\r')) {
        stop(*line, "a NUL or CR in the line");
    }
    if ((*buffer)[len - 1] == '\n') {
        (*buffer)[len - 1] = '\0';
    }
    return true;
}

static void run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    file_name = path;
    if (file == NULL) {
        stop(0, "%s", strerror(errno));
    }
    struct section section = {0};
    struct text call = {0};
    struct text answer = {0};
    char *buffer = NULL;
    size_t cap = 0;
    size_t line = 0;
    while (next_line(file, &buffer, &cap, &line)) {
        if (buffer[0] == '\0' || buffer[0] == '#') {
            continue;
        }
        if (buffer[0] == '@') {
            open_section(&section, line, buffer);
            continue;
        }
        if (section.engine == NULL) {
            stop(line, "nothing is called before the first @");
        }
        if (buffer[0] == '+') {
            advance(&section, line, buffer);
            continue;
        }
        if (buffer[0] == '*') {
            run_due(&section, line, buffer);
            continue;
        }
        if (!isalpha((unsigned char)buffer[0])) {
            stop(line, "no item begins with `%c`", buffer[0]);
        }
        size_t first = line;
        bool more = true;
        call.len = answer.len = 0;
        while (more && strcmp(buffer, "----") != 0) {
            if (buffer[0] == '\0') {
                stop(line, "a blank line inside a step");
            }
            append_string(&call, buffer);
            append_string(&call, "\n");
            more = next_line(file, &buffer, &cap, &line);
        }
        while (more && (more = next_line(file, &buffer, &cap, &line)) && buffer[0] != '\0') {
            append_string(&answer, buffer);
            append_string(&answer, "\n");
        }
        if (answer.len == 0) {
            stop(first, "a step without an answer");
        }
        run_step(&section, first, call.data, answer.data);
    }
    close_section(&section);
    free(buffer);
    free(call.data);
    free(answer.data);
    fclose(file);
    files++;
}

static int is_scenario(const struct dirent *entry) {
    size_t len = strlen(entry->d_name);
    return len > 4 && strcmp(entry->d_name + len - 4, ".txt") == 0;
}

int main(int argc, char **argv) {
    struct dirent **entries = NULL;
    if (argc != 2) {
        fputs("usage: scenarios DIRECTORY\n", stderr);
        return 2;
    }
    int count = scandir(argv[1], &entries, is_scenario, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no scenario files\n", argv[1]);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        size_t failed_before = failed;
        size_t steps_before = steps;
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        run_file(path);
        printf("%s %s (%zu steps)\n", failed == failed_before ? "ok  " : "FAIL", entries[i]->d_name, steps - steps_before);
        free(entries[i]);
    }
    free(entries);
    printf("%zu files, %zu sections, %zu steps\n", files, sections, steps);
    printf("%zu passed, %zu failed\n", steps - failed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
