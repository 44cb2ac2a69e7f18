/*
 * One action on a store, from the shell.
 *
 *     call CONFIG_JSON ACTION PARAMS_JSON
 *
 * CONFIG_JSON opens the engine, as kms.h tells at kms_open; PARAMS_JSON are the action's parameters, and `-` reads them from
 * the standard input: the command line can be seen by every user of the machine, so no secret should stand there.
 *
 * The reply goes to the standard output.  A failure goes to the standard error, as `code: message`, with exit status 1.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms.h"

static int failed(kms_error *error) {
    fprintf(stderr, "%s: %s\n", kms_error_code(error), kms_error_message(error));
    kms_error_free(error);
    return EXIT_FAILURE;
}

/* All of the standard input, for the caller to free; NULL if it cannot be read or is no text. */
static char *read_input(void) {
    char *text = NULL;
    size_t cap = 0;
    /* Up to a NUL, which no text has. */
    ssize_t len = getdelim(&text, &cap, '\0', stdin);
    if (len > 0 && text[len - 1] != '\0' && !ferror(stdin)) {
        return text;
    }
    free(text);
    fputs("call: the standard input holds no parameters\n", stderr);
    return NULL;
}

static int call(const char *config, const char *action, const char *params) {
    kms *engine = NULL;
    char *reply = NULL;
    kms_error *error = NULL;
    if (kms_open(KMS_ABI_VERSION, config, NULL, &engine, &error) != KMS_OK) {
        return failed(error);
    }
    int status = EXIT_SUCCESS;
    if (kms_call(engine, action, params, &reply, &error) != KMS_OK) {
        status = failed(error);
    } else if (puts(reply) == EOF || fflush(stdout) == EOF) {
        fputs("call: the reply cannot be written\n", stderr);
        status = EXIT_FAILURE;
    }
    kms_string_free(reply);
    kms_close(engine);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: call CONFIG_JSON ACTION PARAMS_JSON|-\n", stderr);
        return 2;
    }
    bool is_input = strcmp(argv[3], "-") == 0;
    char *input = is_input ? read_input() : NULL;
    if (is_input && input == NULL) {
        return EXIT_FAILURE;
    }
    int status = call(argv[1], argv[2], is_input ? input : argv[3]);
    free(input);
    return status;
}
