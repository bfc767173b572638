/* Flags and environment, and which source wins. */
#include "service/common/config.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/common/config_internal.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_KEY  0x1000 /* beyond characters: no option has a short form */
#define CONFIG_KEY (FIRST_KEY - 1)
#define FLAGS_MAX  256
#define LIST_MAX   64

struct flags {
    const struct config_program *program;
    const char *file;
    struct {
        const struct config_option *option;
        char *text;
    } rows[FLAGS_MAX];
    size_t count;
    struct covey_error *error;
    enum covey_status status;
};

void config_key(const struct config_option *option, char *key, size_t size_bytes)
{
    (void)snprintf(key, size_bytes, "%s", option->name);
    for (char *c = key; *c; c++)
        if (*c == '-')
            *c = '_';
}

void config_variable(const struct config_option *option, char *variable, size_t size_bytes)
{
    (void)snprintf(variable, size_bytes, "COVEY_%s", option->name);
    for (char *c = variable; *c; c++)
        *c = (char)(*c == '-' ? '_' : toupper((unsigned char)*c));
}

/* ---- flags ---- */

static error_t on_option(int key, char *text, struct argp_state *state)
{
    struct flags *flags = state->input;
    if (key == CONFIG_KEY) {
        flags->file = text;
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        flags->status =
            covey_error_set(flags->error, COVEY_EINVAL, "'%.*s' is not expected: see --help",
                            covey_text_fit(text, 64), text);
        return EINVAL;
    }
    if (key < FIRST_KEY || key >= FIRST_KEY + (int)flags->program->option_count)
        return ARGP_ERR_UNKNOWN;
    if (flags->count == FLAGS_MAX) {
        flags->status = covey_error_set(flags->error, COVEY_EINVAL, "too many flags");
        return EINVAL;
    }
    flags->rows[flags->count].option = &flags->program->options[key - FIRST_KEY];
    flags->rows[flags->count++].text = text;
    return 0;
}

/* argp's list of options; the names are the table's. */
static struct argp_option *list_options(const struct config_program *program)
{
    struct argp_option *list = covey_calloc(program->option_count + 2, sizeof *list);
    if (!list)
        return NULL;
    list[0] = (struct argp_option){.name = "config",
                                   .key = CONFIG_KEY,
                                   .arg = "FILE",
                                   .doc = "Read settings from this YAML file"};
    for (size_t i = 0; i < program->option_count; i++)
        list[i + 1] = (struct argp_option){.name = program->options[i].name,
                                           .key = FIRST_KEY + (int)i,
                                           .arg = program->options[i].value_name,
                                           .doc = program->options[i].help};
    return list;
}

static enum covey_status read_flags(struct flags *flags, int argc, char **argv,
                                    struct covey_error *error)
{
    struct argp_option *list = list_options(flags->program);
    char *text = covey_asprintf("%s\vA flag wins over the environment (--state-dir is "
                                "COVEY_STATE_DIR), that over the file (state_dir), that over the "
                                "default. The file is %s where no other is named.",
                                flags->program->summary, flags->program->default_file);
    enum covey_status status = list && text ? COVEY_OK : COVEY_ENOMEM;
    if (status) {
        (void)covey_error_set(error, status, "no memory for the settings");
    } else {
        const struct argp argp = {.options = list, .parser = on_option, .doc = text};
        argp_program_version = COVEY_VERSION;
        argp_err_exit_status = 2;
        if (argp_parse(&argp, argc, argv, 0, NULL, flags) != 0)
            status = flags->status ? flags->status
                                   : covey_error_set(error, COVEY_EINVAL, "a flag is wrong");
    }
    free(text);
    free(list);
    return status;
}

static enum covey_status apply_flags(const struct flags *flags, void *settings,
                                     struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; !status && i < flags->count; i++) {
        const struct config_option *option = flags->rows[i].option;
        char *texts[LIST_MAX];
        size_t count = 0;
        /* A list is all its flags, so the last one sets it. */
        for (size_t j = 0; j <= i; j++)
            if (flags->rows[j].option == option && count < LIST_MAX)
                texts[count++] = flags->rows[j].text;
        char where[80];
        (void)snprintf(where, sizeof where, "--%s", option->name);
        status = config_set(option, settings, texts, count, where, error);
    }
    return status;
}

/* ---- environment ---- */

static enum covey_status apply_variable(const struct config_option *option, void *settings,
                                        struct covey_error *error)
{
    char variable[80];
    config_variable(option, variable, sizeof variable);
    const char *value = getenv(variable);
    if (!value || !*value)
        return COVEY_OK;
    char *copy = covey_strdup(value);
    if (!copy)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the settings");
    char *texts[LIST_MAX] = {copy};
    size_t count = 1;
    char *save = NULL;
    if (option->type == CONFIG_STRINGS) {
        count = 0;
        for (char *text = strtok_r(copy, ",", &save); text && count < LIST_MAX;
             text = strtok_r(NULL, ",", &save))
            texts[count++] = text;
    }
    enum covey_status status = config_set(option, settings, texts, count, variable, error);
    free(copy);
    return status;
}

enum covey_status config_load(const struct config_program *program, int argc, char **argv,
                              void *settings, struct covey_error *error)
{
    struct flags flags = {.program = program, .error = error};
    enum covey_status status = read_flags(&flags, argc, argv, error);
    const char *file = flags.file ? flags.file : getenv("COVEY_CONFIG");
    if (!status && !file && access(program->default_file, F_OK) == 0)
        file = program->default_file;
    if (!status && file)
        status = config_read_file(program, file, settings, error);
    for (size_t i = 0; !status && i < program->option_count; i++)
        status = apply_variable(&program->options[i], settings, error);
    if (!status)
        status = apply_flags(&flags, settings, error);
    return status;
}
