/*
 * What the example programs share: talking to the reader, writing files, opening the store, calling actions.
 */
#ifndef COMMON_H
#define COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "kms.h"

/* The program's name, for complaints; each program defines its own. */
extern const char program[];

/* Prints a line for the reader. */
void say(const char *format, ...);

/* Prints a line about what went wrong. */
void complain(const char *format, ...);

/* Reports a failure of the engine and frees it; the result is always false. */
bool kms_failed(const char *what, kms_error *error);

/* Writes a file of its own, or complains. */
bool write_file(const char *path, const uint8_t *data, size_t len);

/*
 * Opens the store, or complains and returns NULL.  With `make` a root key file that is not there is made: a step with a
 * mistyped path should fail, not start afresh, so only the one that makes the store says so.
 */
kms *open_store(const char *store_dir, const char *root_key_file, bool make);

/* Calls an action, whose parameters it frees; the reply goes to *reply if that is wanted. */
bool call(kms *engine, const char *action, json_t *params, json_t **reply);

#endif
