/* The file of tenants: what each may hold, and its part where they compete. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/quantity.h"
#include "base/text.h"
#include "service/common/config.h"
#include "service/controller/internal.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (1 << 20)

static enum covey_status take_number(const char *text, uint64_t most, uint64_t *number)
{
    enum covey_status status = config_parse_number(text, number);
    return status || *number == 0 || *number > most ? COVEY_EINVAL : COVEY_OK;
}

/* A resource by name, which gets its dimension only when the whole file is found good. */
struct named {
    char *name;
    uint64_t amount;
};

struct row {
    char *tenant;
    struct sched_quota quota;
    struct named named[SCHED_DIMENSIONS - SCHED_NAMED];
    size_t named_count;
    unsigned line;
};

struct rows {
    struct row *list;
    size_t count;
};

static void free_rows(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        for (size_t k = 0; k < rows->list[i].named_count; k++)
            free(rows->list[i].named[k].name);
        free(rows->list[i].tenant);
    }
    free(rows->list);
    *rows = (struct rows){0};
}

static struct row *add_row(struct rows *rows, const char *tenant, unsigned line)
{
    struct row *list = covey_reallocarray(rows->list, rows->count + 1, sizeof(*list));
    if (!list)
        return NULL;
    rows->list = list;
    struct row *row = &list[rows->count];
    *row = (struct row){.tenant = covey_strdup(tenant), .line = line};
    if (!row->tenant)
        return NULL;
    rows->count++;
    return row;
}

static enum covey_status take_named(struct row *row, const char *name, const char *value)
{
    if (row->named_count == SCHED_DIMENSIONS - SCHED_NAMED || !*name)
        return COVEY_EINVAL;
    struct named *named = &row->named[row->named_count];
    enum covey_status status = take_number(value, UINT64_MAX, &named->amount);
    if (status)
        return status;
    named->name = covey_strdup(name);
    if (!named->name)
        return COVEY_ENOMEM;
    row->named_count++;
    return COVEY_OK;
}

/* "slots=100"; the value is never 0, which would be no limit. */
static enum covey_status take_word(struct row *row, char *word)
{
    struct sched_quota *quota = &row->quota;
    char *value = strchr(word, '=');
    uint64_t number;
    if (!value)
        return COVEY_EINVAL;
    *value++ = '\0';
    enum covey_status status = COVEY_OK;
    if (strcmp(word, "memory") == 0) {
        status = covey_parse_size(value, &quota->most.amount[SCHED_MEMORY_BYTES]);
        return status || quota->most.amount[SCHED_MEMORY_BYTES] == 0 ? COVEY_EINVAL : COVEY_OK;
    }
    if (strcmp(word, "slots") == 0)
        return take_number(value, UINT32_MAX, &quota->most.amount[SCHED_SLOTS]);
    if (strcmp(word, "gpus") == 0)
        return take_number(value, UINT32_MAX, &quota->most.amount[SCHED_GPUS]);
    if (strcmp(word, "cpus") == 0) {
        status = take_number(value, UINT32_MAX, &number);
        quota->most.amount[SCHED_MILLI_CPUS] = status ? 0 : 1000 * number;
    } else if (strcmp(word, "weight") == 0) {
        status = take_number(value, 1000, &number);
        quota->weight = status ? 0 : (uint32_t)number;
    } else if (strcmp(word, "flares") == 0) {
        status = take_number(value, UINT32_MAX, &number);
        quota->gangs = status ? 0 : (uint32_t)number;
    } else {
        status = take_named(row, word, value);
    }
    return status;
}

static enum covey_status take_line(struct rows *rows, const char *path, unsigned number, char *line,
                                   struct covey_error *error)
{
    char *save = NULL;
    line[strcspn(line, "#")] = '\0';
    const char *tenant = strtok_r(line, " \t\r", &save);
    if (!tenant)
        return COVEY_OK;
    if (strlen(tenant) >= SCHED_NAME_BYTES)
        return covey_error_set(error, COVEY_EINVAL, "%s:%u: '%.*s' is no tenant's name", path,
                               number, covey_text_fit(tenant, 64), tenant);
    struct row *row = add_row(rows, tenant, number);
    if (!row)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for %s", path);
    for (char *word; (word = strtok_r(NULL, " \t\r", &save)) != NULL;)
        if (take_word(row, word) != COVEY_OK)
            return covey_error_set(
                error, COVEY_EINVAL,
                "%s:%u: '%.*s' is wrong: a line is TENANT and some of weight=N "
                "(1 to 1000), flares=N, slots=N, memory=SIZE, cpus=N, gpus=N and "
                "NAME=N for other resources, none of them 0",
                path, number, covey_text_fit(word, 32), word);
    return COVEY_OK;
}

static enum covey_status read_rows(const char *path, struct rows *rows, struct covey_error *error)
{
    struct covey_buffer contents = {0};
    enum covey_status status = covey_text_file_read(path, FILE_MAX_BYTES, &contents, error);
    char *rest = (char *)contents.data;
    for (unsigned number = 1; !status && rest; number++) {
        char *line = rest;
        rest = strchr(line, '\n');
        if (rest)
            *rest++ = '\0';
        status = take_line(rows, path, number, line, error);
    }
    covey_buffer_free(&contents);
    return status;
}

static enum covey_status name_resources(struct controller *controller, struct row *row,
                                        const char *path, struct covey_error *error)
{
    for (size_t i = 0; i < row->named_count; i++) {
        enum sched_dimension dimension;
        const char *name = row->named[i].name;
        enum covey_status status = sched_resource(controller->sched, name, &dimension);
        if (status)
            return covey_error_set(error, COVEY_EINVAL,
                                   "%s:%u: '%.*s' cannot be limited: at most %d resources have "
                                   "names, which are not too long",
                                   path, row->line, covey_text_fit(name, 32), name,
                                   SCHED_DIMENSIONS - SCHED_NAMED);
        row->quota.most.amount[dimension] = row->named[i].amount;
    }
    return COVEY_OK;
}

enum covey_status controller_read_tenants(struct controller *controller, const char *path,
                                          struct covey_error *error)
{
    struct rows rows = {0};
    enum covey_status status = read_rows(path, &rows, error);
    for (size_t i = 0; !status && i < rows.count; i++)
        status = name_resources(controller, &rows.list[i], path, error);
    if (!status)
        sched_forget_tenants(controller->sched);
    for (size_t i = 0; !status && i < rows.count; i++) {
        status = sched_set_tenant(controller->sched, rows.list[i].tenant, &rows.list[i].quota);
        if (status)
            (void)covey_error_set(error, status, "no memory for the tenants of %s", path);
    }
    free_rows(&rows);
    controller->place = true;
    return status;
}
