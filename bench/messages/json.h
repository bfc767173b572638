/* Reads members of a JSON object (RFC 8259) without keeping it. Thread-safe. */
#ifndef BENCH_MESSAGES_JSON_H
#define BENCH_MESSAGES_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a text is one JSON object, white space around it aside. */
bool json_is_object(const char *text);

/* The member at a path of names, "ratio.median", of an object; false where there is none, or it is
 * something else. Names and strings with a backslash in them are not found: none here has one. */
bool json_number(const char *object, const char *path, double *value);
bool json_true(const char *object, const char *path);
bool json_string(const char *object, const char *path, char *text, size_t size);

#endif
