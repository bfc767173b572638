/*
 * The settings of a program from one table: a YAML file, the environment and flags.
 *
 * An option "state-dir" is the flag --state-dir, the variable COVEY_STATE_DIR and the key state_dir
 * of the file. A flag wins over the environment, that over the file, that over the default. Lists
 * are replaced, not added to. Not thread-safe; called once at start.
 */
#ifndef SERVICE_COMMON_CONFIG_H
#define SERVICE_COMMON_CONFIG_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_strings {
    char **rows; /* owned, as the array is */
    size_t count;
};

enum config_type {
    CONFIG_STRING,  /* char *, owned or NULL */
    CONFIG_STRINGS, /* struct config_strings; in the environment separated by commas */
    CONFIG_NUMBER,  /* uint64_t */
    CONFIG_BYTES,   /* uint64_t; a size as base/quantity.h has it */
    CONFIG_DURATION /* int64_t of nanoseconds; a time as there */
};

struct config_option {
    const char *name;
    enum config_type type;
    size_t offset; /* in the settings */
    uint64_t min;  /* of the value, in its unit (nanoseconds, bytes) */
    uint64_t max;
    const char *value_name; /* for --help */
    const char *help;
};

struct config_program {
    const char *name;
    const char *summary;      /* the first line of --help */
    const char *default_file; /* read where it is there and no other is named */
    const struct config_option *options;
    size_t option_count;
};

/*
 * Reads everything into *settings, which holds the defaults. EINVAL: a value or file is wrong; the
 * message names the file and line, the variable or the flag. --help and --version are answered, and
 * end the process with 0; a flag that is none, or a stray argument, is EINVAL.
 */
enum covey_status config_load(const struct config_program *program, int argc, char **argv,
                              void *settings, struct covey_error *error) COVEY_MUST_USE;

/* Frees strings and lists of the settings. */
void config_free(const struct config_program *program, void *settings);

/* The value of a text; EINVAL, with the result untouched, for one that has none. */
enum covey_status config_parse_number(const char *text, uint64_t *number) COVEY_MUST_USE;

#endif
