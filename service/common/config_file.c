/*
 * The YAML file, checked against a schema made of the options: one mapping of scalars and lists of
 * scalars. libcyaml says in its log what is wrong; lines are found again by the key.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/common/config_internal.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (1 << 20)
#define KEY_MAX_BYTES  64
#define LIST_MAX       64

/* Where libcyaml puts the value of one option. */
struct slot {
    char *text;
    char **list;
    uint64_t count;
};

struct file {
    const struct config_program *program;
    const char *path;
    char (*keys)[KEY_MAX_BYTES];
    cyaml_schema_field_t *fields;
    cyaml_schema_value_t entry; /* of a list */
    cyaml_schema_value_t top;
    char problem[256];
    unsigned line; /* as libcyaml says it */
    struct covey_buffer contents;
};

/* The first message is the fault; the first line number is the innermost. */
static void on_log(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    (void)level;
    struct file *file = context;
    char text[256];
    (void)covey_text_vprint(text, sizeof text, format, arguments);
    const char *message = strncmp(text, "Load: ", 6) == 0 ? text + 6 : text;
    const char *line = strstr(message, "(line: ");
    if (!*file->problem && !line)
        (void)covey_text_print(file->problem, sizeof file->problem, "%.*s",
                               (int)strcspn(message, "\n"), message);
    if (line && !file->line)
        file->line = (unsigned)strtoul(line + 7, NULL, 10);
}

/* The last line of the file that sets a key; 0: none does. */
static unsigned line_of(const struct file *file, const char *key)
{
    unsigned found = 0;
    size_t length = strlen(key);
    const char *line = (const char *)file->contents.data;
    for (unsigned number = 1; line; number++) {
        if (strncmp(line, key, length) == 0 && line[length + strspn(line + length, " ")] == ':')
            found = number;
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return found;
}

static void make_field(struct file *file, size_t index)
{
    const struct config_option *option = &file->program->options[index];
    cyaml_schema_field_t *field = &file->fields[index];
    config_key(option, file->keys[index], KEY_MAX_BYTES);
    field->key = file->keys[index];
    field->value.flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL;
    if (option->type == CONFIG_STRINGS) {
        field->value.type = CYAML_SEQUENCE;
        field->value.data_size = sizeof(char *);
        field->value.sequence.entry = &file->entry;
        field->value.sequence.min = 0;
        field->value.sequence.max = LIST_MAX;
        field->data_offset = (uint32_t)(index * sizeof(struct slot) + offsetof(struct slot, list));
        field->count_offset =
            (uint32_t)(index * sizeof(struct slot) + offsetof(struct slot, count));
        field->count_size = sizeof(uint64_t);
    } else {
        field->value.type = CYAML_STRING;
        field->value.data_size = sizeof(char);
        field->value.string.min = 1;
        field->value.string.max = 4096;
        field->data_offset = (uint32_t)(index * sizeof(struct slot) + offsetof(struct slot, text));
    }
}

static enum covey_status make_schema(struct file *file)
{
    size_t count = file->program->option_count;
    file->keys = covey_calloc(count, sizeof *file->keys);
    file->fields = covey_calloc(count + 1, sizeof *file->fields); /* the last is the end mark */
    if (!file->keys || !file->fields)
        return COVEY_ENOMEM;
    file->entry.type = CYAML_STRING;
    file->entry.flags = CYAML_FLAG_POINTER;
    file->entry.data_size = sizeof(char);
    file->entry.string.min = 1;
    file->entry.string.max = 4096;
    file->top.type = CYAML_MAPPING;
    file->top.flags = CYAML_FLAG_POINTER;
    file->top.data_size = (uint32_t)(count * sizeof(struct slot));
    file->top.mapping.fields = file->fields;
    for (size_t i = 0; i < count; i++)
        make_field(file, i);
    return COVEY_OK;
}

static enum covey_status explain(struct file *file, cyaml_err_t result, struct covey_error *error)
{
    static const char unexpected[] = "Unexpected key: ";
    static const char repeated[] = "Mapping field already seen: ";
    const char *problem = *file->problem ? file->problem : cyaml_strerror(result);
    if (strncmp(problem, unexpected, sizeof unexpected - 1) == 0) {
        const char *key = problem + sizeof unexpected - 1;
        return covey_error_set(error, COVEY_EINVAL, "%s:%u: there is no setting '%s': see --help",
                               file->path, line_of(file, key), key);
    }
    if (strncmp(problem, repeated, sizeof repeated - 1) == 0) {
        const char *key = problem + sizeof repeated - 1;
        return covey_error_set(error, COVEY_EINVAL, "%s:%u: '%s' is set twice", file->path,
                               line_of(file, key), key);
    }
    return covey_error_set(error, COVEY_EINVAL, "%s:%u: %s", file->path,
                           file->line ? file->line : 1, problem);
}

static enum covey_status apply(const struct file *file, const struct slot *slots, void *settings,
                               struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    for (size_t i = 0; !status && i < file->program->option_count; i++) {
        char where[512];
        (void)snprintf(where, sizeof where, "%s:%u: %s", file->path, line_of(file, file->keys[i]),
                       file->keys[i]);
        const struct config_option *option = &file->program->options[i];
        if (slots[i].text)
            status = config_set(option, settings, &slots[i].text, 1, where, error);
        else if (slots[i].list)
            status = config_set(option, settings, slots[i].list, slots[i].count, where, error);
    }
    return status;
}

enum covey_status config_read_file(const struct config_program *program, const char *path,
                                   void *settings, struct covey_error *error)
{
    struct file file = {.program = program, .path = path};
    const cyaml_config_t config = {
        .log_fn = on_log, .log_ctx = &file, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
    cyaml_data_t *slots = NULL;
    enum covey_status status = covey_file_read(path, FILE_MAX_BYTES, &file.contents, error);
    if (!status && (status = covey_buffer_append(&file.contents, "", 1)) != COVEY_OK)
        (void)covey_error_set(error, status, "no memory for the settings");
    if (!status && (status = make_schema(&file)) != COVEY_OK)
        (void)covey_error_set(error, status, "no memory for the settings");
    if (!status) {
        cyaml_err_t result = cyaml_load_data(file.contents.data, file.contents.length_bytes - 1,
                                             &config, &file.top, &slots, NULL);
        if (result != CYAML_OK)
            status = explain(&file, result, error);
    }
    if (!status && slots)
        status = apply(&file, slots, settings, error);
    if (slots)
        (void)cyaml_free(&config, &file.top, slots, 0);
    free(file.keys);
    free(file.fields);
    covey_buffer_free(&file.contents);
    return status;
}
