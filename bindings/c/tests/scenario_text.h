/*
 * The texts of scenario files: how they grow, what a mistake in one does, and the replacements of scenarios/README.md.
 */
#ifndef KMS_TESTS_SCENARIO_TEXT_H
#define KMS_TESTS_SCENARIO_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "kms.h"

/* The file at hand, for messages. */
extern const char *file_name;

/* A growing text, always ended by NUL. */
struct text {
    char *data;
    size_t len;
    size_t cap;
};

/* What is known in a section. */
struct section {
    kms *engine;
    json_t *captured; /* name -> text */
    bool has_failed;  /* later steps may then lack a capture, which is not the file's mistake */
};

/* A mistake in a file, or a failure that leaves nothing to run. */
_Noreturn void stop(size_t line, const char *format, ...);

void append(struct text *text, const char *data, size_t len);
void append_string(struct text *text, const char *string);

/* `<name>`: the name goes to `name`.  `<*>` gives an empty name. */
bool is_capture(const char *pattern, struct text *name);

/* Makes the replacements.  False when a name is unknown because a step failed before. */
bool replace(const struct section *section, const char *in, size_t line, struct text *out);

#endif
