/*
 * What the C tests share: checks that count, engines that open, directories that vanish.
 *
 * A test is a list of groups.  Each group prints one line; a failed check prints where it stands.  Checks may run on any
 * thread, groups begin on the main thread.
 */
#ifndef KMS_TESTS_COMMON_H
#define KMS_TESTS_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kms.h"

/* An upper bound of everything that the tests encrypt, with room for the envelope. */
#define MAX_BLOB 8192u
#define KEY_ID_SIZE 37u

/* Sixty-four hexadecimal digits, and what they spell. */
#define ROOT_KEY_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER_ROOT_KEY_HEX "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

#define MEMORY "{\"store\":\"memory:\"}"
#define MEMORY_MANUAL "{\"store\":\"memory:\",\"clock\":{\"manual\":\"2030-01-01T00:00:00Z\"}}"

/* Counts one check and reports it if it fails.  Its value is that of the condition. */
#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)

/* Checks that a call was refused with `code` (NULL: any), `http` (negative: any), and leaves *error NULL. */
#define REFUSED(call, error, code, http) refused((call), (error), (code), (http), #call, __FILE__, __LINE__)

/* Checks that a call succeeded and left the error, which must be NULL before, alone. */
#define ACCEPTED(call, error) accepted((call), (error), #call, __FILE__, __LINE__)

bool check(bool condition, const char *text, const char *file, int line);
bool refused(kms_status status, kms_error **error, const char *code, int http, const char *text, const char *file, int line);
bool accepted(kms_status status, kms_error **error, const char *text, const char *file, int line);

/* Starts a group, and reports the one before; NULL only reports. */
void group(const char *name);

/* The failed checks so far. */
int failed_checks(void);

/* Reports the last group.  The result is the exit status of the test. */
int finish(void);

/* Leaves the process at once: for what makes any further check meaningless. */
_Noreturn void fatal(const char *format, ...);

/* Opens an engine or ends the test. */
kms *open_or_die(const char *config);

/* The configuration of a sled store at `path`; the caller frees it. */
char *sled_config(const char *path, const char *root_key_hex);

/* Calls an action that takes only a KeyId. */
kms_status call_key(kms *engine, const char *action, const char *key_id, kms_error **error);

/* Creates a symmetric key or ends the test. */
void create_key(kms *engine, char key_id[KEY_ID_SIZE]);

/* Copies the text value of the first member `name` of a compact JSON text. */
bool json_text(const char *json, const char *name, char *out, size_t size);

/* Makes a directory for this test; `remove_tree` takes it away with all that is in it. */
char *make_temp_dir(void);
void remove_tree(const char *path);

/* `directory`/`name`; the caller frees it. */
char *join(const char *directory, const char *name);

#endif
