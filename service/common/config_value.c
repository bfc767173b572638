/* Texts to values. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/quantity.h"
#include "base/text.h"
#include "service/common/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum covey_status config_parse_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)*text))
        return COVEY_EINVAL;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end)
        return COVEY_EINVAL;
    *number = value;
    return COVEY_OK;
}

static void free_strings(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->rows[i]);
    free(strings->rows);
    *strings = (struct config_strings){NULL, 0};
}

static enum covey_status set_strings(struct config_strings *strings, char *const *texts,
                                     size_t count)
{
    struct config_strings made = {covey_calloc(count + 1, sizeof *made.rows), 0};
    if (!made.rows)
        return COVEY_ENOMEM;
    for (; made.count < count; made.count++) {
        made.rows[made.count] = covey_strdup(texts[made.count]);
        if (!made.rows[made.count]) {
            free_strings(&made);
            return COVEY_ENOMEM;
        }
    }
    free_strings(strings);
    *strings = made;
    return COVEY_OK;
}

static enum covey_status set_value(const struct config_option *option, void *settings,
                                   const char *text, const char *where, struct covey_error *error)
{
    static const char *const expected[] = {[CONFIG_NUMBER] = "a whole number",
                                           [CONFIG_BYTES] = COVEY_SIZE_EXAMPLES,
                                           [CONFIG_DURATION] = COVEY_TIME_EXAMPLES};
    uint64_t value = 0;
    int64_t duration_ns;
    enum covey_status status = COVEY_OK;
    if (option->type == CONFIG_DURATION) {
        status = covey_parse_time(text, &duration_ns);
        value = status ? 0 : (uint64_t)duration_ns;
    } else {
        status = option->type == CONFIG_BYTES ? covey_parse_size(text, &value)
                                              : config_parse_number(text, &value);
    }
    if (status)
        return covey_error_set(error, COVEY_EINVAL, "%s: '%.*s' is not %s", where,
                               covey_text_fit(text, 64), text, expected[option->type]);
    if (value < option->min || value > option->max)
        return covey_error_set(
            error, COVEY_EINVAL, "%s: '%.*s' is out of range: from %llu to %llu%s", where,
            covey_text_fit(text, 64), text,
            (unsigned long long)(option->type == CONFIG_DURATION ? option->min / COVEY_NS_PER_MS
                                                                 : option->min),
            (unsigned long long)(option->type == CONFIG_DURATION ? option->max / COVEY_NS_PER_MS
                                                                 : option->max),
            option->type == CONFIG_DURATION ? " ms" : "");
    memcpy((char *)settings + option->offset, &value, sizeof value);
    return COVEY_OK;
}

enum covey_status config_set(const struct config_option *option, void *settings, char *const *texts,
                             size_t count, const char *where, struct covey_error *error)
{
    void *field = (char *)settings + option->offset;
    if (option->type == CONFIG_STRINGS) {
        if (set_strings(field, texts, count) != COVEY_OK)
            return covey_error_set(error, COVEY_ENOMEM, "no memory for the settings");
        return COVEY_OK;
    }
    if (option->type != CONFIG_STRING)
        return set_value(option, settings, texts[count - 1], where, error);
    char *copy = covey_strdup(texts[count - 1]);
    if (!copy)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the settings");
    free(*(char **)field);
    *(char **)field = copy;
    return COVEY_OK;
}

void config_free(const struct config_program *program, void *settings)
{
    for (size_t i = 0; i < program->option_count; i++) {
        void *field = (char *)settings + program->options[i].offset;
        if (program->options[i].type == CONFIG_STRINGS) {
            free_strings(field);
        } else if (program->options[i].type == CONFIG_STRING) {
            free(*(char **)field);
            *(char **)field = NULL;
        }
    }
}
