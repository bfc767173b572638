/* The file of tenants: what each may hold, and its part where they compete. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"
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

static enum covey_status take_named(struct controller *controller, const char *name,
                                    const char *value, struct sched_quota *quota)
{
    enum sched_dimension dimension;
    enum covey_status status = sched_resource(controller->sched, name, &dimension);
    return status ? status : take_number(value, UINT64_MAX, &quota->most.amount[dimension]);
}

/* "slots=100"; the value is never 0, which would be no limit. */
static enum covey_status take_word(struct controller *controller, char *word,
                                   struct sched_quota *quota)
{
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
        status = take_named(controller, word, value, quota);
    }
    return status;
}

static enum covey_status take_line(struct controller *controller, const char *path, unsigned number,
                                   char *line, struct covey_error *error)
{
    char *save = NULL;
    line[strcspn(line, "#")] = '\0';
    const char *tenant = strtok_r(line, " \t\r", &save);
    struct sched_quota quota = {0};
    if (!tenant)
        return COVEY_OK;
    for (char *word; (word = strtok_r(NULL, " \t\r", &save)) != NULL;)
        if (take_word(controller, word, &quota) != COVEY_OK)
            return covey_error_set(
                error, COVEY_EINVAL,
                "%s:%u: '%.*s' is wrong: a line is TENANT and some of weight=N "
                "(1 to 1000), flares=N, slots=N, memory=SIZE, cpus=N, gpus=N and "
                "NAME=N for other resources, none of them 0",
                path, number, covey_text_fit(word, 32), word);
    enum covey_status status = sched_set_tenant(controller->sched, tenant, &quota);
    if (status)
        return covey_error_set(error, status, "%s:%u: '%.*s' is no tenant's name", path, number,
                               covey_text_fit(tenant, 64), tenant);
    return COVEY_OK;
}

enum covey_status controller_read_tenants(struct controller *controller, const char *path,
                                          struct covey_error *error)
{
    struct covey_buffer contents = {0};
    enum covey_status status = covey_file_read(path, FILE_MAX_BYTES, &contents, error);
    if (!status && covey_buffer_append(&contents, "", 1) != COVEY_OK)
        status = covey_error_set(error, COVEY_ENOMEM, "no memory for %s", path);
    char *rest = (char *)contents.data;
    for (unsigned number = 1; !status && rest; number++) {
        char *line = rest;
        rest = strchr(line, '\n');
        if (rest)
            *rest++ = '\0';
        status = take_line(controller, path, number, line, error);
    }
    covey_buffer_free(&contents);
    controller->place = true;
    return status;
}
