#include "client/cli/config.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"
#include "client/cli/paths.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BYTES (1 << 20)

static const cyaml_schema_field_t fields[] = {
    CYAML_FIELD_STRING_PTR("server", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct cli_config,
                           server, 1, 512),
    CYAML_FIELD_STRING_PTR("token", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct cli_config,
                           token, 1, 4096),
    CYAML_FIELD_STRING_PTR("ca", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct cli_config,
                           ca_file, 1, 4096),
    CYAML_FIELD_STRING_PTR("cert", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct cli_config,
                           certificate_file, 1, 4096),
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct cli_config,
                           key_file, 1, 4096),
    CYAML_FIELD_BOOL("tls", CYAML_FLAG_OPTIONAL, struct cli_config, tls),
    CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct cli_config, fields)};

/* The first thing that libcyaml says is what is wrong; a later one, where: "(line: 2, column: 1)".
 */
static void note_error(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    static const char marker[] = "(line: ";
    char *reason = context, said[COVEY_ERROR_MESSAGE_BYTES / 2];
    if (level < CYAML_LOG_ERROR)
        return;
    vsnprintf(said, sizeof said, format, arguments);
    said[strcspn(said, "\n")] = 0;
    const char *where = strstr(said, marker);
    size_t length = strlen(reason);
    if (length == 0)
        snprintf(reason, sizeof said, "%s", said);
    else if (where && !strstr(reason, " (line "))
        snprintf(reason + length, sizeof said - length, " (line %ld)",
                 strtol(where + sizeof marker - 1, NULL, 10));
}

enum covey_status cli_config_read(const struct cli_config **config, struct covey_error *error)
{
    static struct cli_config empty;
    static struct cli_config *read;
    char reason[COVEY_ERROR_MESSAGE_BYTES / 2] = "";
    const cyaml_config_t how = {
        .log_fn = note_error,
        .log_ctx = reason,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_DEFAULT,
    };
    const char *path = cli_path_config();
    *config = read ? read : &empty;
    if (read || !path || (access(path, R_OK) && (errno == ENOENT || errno == ENOTDIR)))
        return COVEY_OK;
    struct covey_buffer text = {0};
    enum covey_status status = covey_file_read(path, MAX_BYTES, &text, error);
    if (status == COVEY_EACCES)
        return covey_error_set(error, COVEY_EINVAL,
                               "%s may not be read: let it be, or set HOME to a folder of yours",
                               path);
    if (status)
        return covey_error_set(error, COVEY_EINVAL, "%s", error->message);
    cyaml_data_t *loaded = NULL;
    cyaml_err_t failed = text.length_bytes == 0 ? CYAML_OK
                                                : cyaml_load_data(text.data, text.length_bytes,
                                                                  &how, &schema, &loaded, NULL);
    covey_buffer_free(&text);
    if (failed)
        return covey_error_set(error, COVEY_EINVAL, "%s: %s", path,
                               *reason ? reason : cyaml_strerror(failed));
    /* Nothing is loaded from a file that is empty or all comment. */
    if (loaded)
        *config = read = loaded;
    return COVEY_OK;
}
