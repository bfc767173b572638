/* What is asked for, checked before anything is done: each refusal names the fault and the remedy.
 */
#include "base/error.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES   63
#define KEY_MAX_BYTES    128
#define LABELS_MAX       64
#define LABEL_MAX_BYTES  256
#define PRIORITY_MAX     1000
#define RESTARTS_MAX     1000
#define RESOURCES_MAX    (SCHED_DIMENSIONS - SCHED_NAMED)
#define ARGUMENTS_MAX    1024
#define STRING_MAX_BYTES 32768
/* Of a definition: with its arguments and variables each worker starts. */
#define DEFINITION_MAX_BYTES 262144
/* Of a request without its parameters: it is held in memory as long as its flare waits. */
#define REQUEST_MAX_BYTES 65536

/* ---- names ---- */

static bool is_name(const char *name)
{
    static const char inner[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MAX_BYTES || strspn(name, inner) != length)
        return false;
    return strchr("._-", name[0]) == NULL && strchr("._-", name[length - 1]) == NULL;
}

/* Edit distance, of names only: both are short. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_BYTES + 1];
    size_t width = strlen(b);
    if (width > NAME_MAX_BYTES || strlen(a) > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (size_t j = 0; j <= width; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < width; j++) {
            unsigned best = diagonal + (a[i] != b[j]);
            best = best < row[j] + 1 ? best : row[j] + 1;
            best = best < row[j + 1] + 1 ? best : row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[width];
}

struct nearest {
    const char *wanted;
    unsigned distance;
    char name[NAME_MAX_BYTES + 1];
};

static bool compare_name(const struct store_definition *definition, void *data)
{
    struct nearest *nearest = data;
    unsigned far = distance(nearest->wanted, definition->name);
    if (far < nearest->distance) {
        nearest->distance = far;
        (void)snprintf(nearest->name, sizeof nearest->name, "%s", definition->name);
    }
    return true;
}

/* ---- definitions ---- */

static bool take_definition(const struct store_definition *row, void *data)
{
    *(definition_message **)data = message_unpack(&covey__v1__definition__descriptor, row->body);
    return false;
}

enum covey_status controller_definition(struct controller *controller,
                                        const struct controller_identity *caller, const char *name,
                                        uint32_t version, definition_message **definition,
                                        struct covey_error *error)
{
    *definition = NULL;
    enum covey_status status = store_definition_get(controller->store, caller->tenant, name,
                                                    version, take_definition, definition, error);
    if (status || *definition)
        return status;
    uint32_t last = 0;
    if (version)
        status = store_definition_get(controller->store, caller->tenant, name, 0, take_definition,
                                      definition, error);
    if (*definition) {
        last = (*definition)->version;
        message_free(*definition);
        *definition = NULL;
        return covey_error_set(error, COVEY_ENOTFOUND,
                               "definition '%.*s' has no version %u: the newest is %u",
                               covey_text_fit(name, 64), name, version, last);
    }
    struct nearest nearest = {.wanted = name, .distance = 4};
    if (!status)
        status =
            store_definitions(controller->store, caller->tenant, compare_name, &nearest, error);
    if (status)
        return status;
    if (*nearest.name)
        return covey_error_set(error, COVEY_ENOTFOUND,
                               "no definition is named '%.*s': did you mean %s?",
                               covey_text_fit(name, 64), name, nearest.name);
    return covey_error_set(error, COVEY_ENOTFOUND, "no definition is named '%.*s': deploy it first",
                           covey_text_fit(name, 64), name);
}

/* Unknown fields included: what the limits of each field do not bound. */
static enum covey_status check_size(const ProtobufCMessage *message, size_t most_bytes,
                                    const char *what, struct covey_error *error)
{
    size_t length_bytes = protobuf_c_message_get_packed_size(message);
    if (length_bytes <= most_bytes)
        return COVEY_OK;
    return covey_error_set(error, COVEY_EINVAL, "%s %zu bytes long, and may have %zu", what,
                           length_bytes, most_bytes);
}

static enum covey_status check_environment(const definition_message *definition,
                                           struct covey_error *error)
{
    if (definition->n_arguments > ARGUMENTS_MAX || definition->n_environment > ARGUMENTS_MAX)
        return covey_error_set(error, COVEY_EINVAL,
                               "a definition has at most %d arguments and environment variables",
                               ARGUMENTS_MAX);
    for (size_t i = 0; i < definition->n_arguments; i++)
        if (strlen(definition->arguments[i]) > STRING_MAX_BYTES)
            return covey_error_set(error, COVEY_EINVAL, "argument %zu is longer than %d bytes",
                                   i + 1, STRING_MAX_BYTES);
    for (size_t i = 0; i < definition->n_environment; i++) {
        const char *key = definition->environment[i]->key;
        size_t length_bytes = strlen(definition->environment[i]->value);
        if (*key == '\0' || strchr(key, '='))
            return covey_error_set(error, COVEY_EINVAL,
                                   "'%.*s' is no name of an environment variable: it is empty or "
                                   "holds a '='",
                                   covey_text_fit(key, 64), key);
        if (length_bytes > STRING_MAX_BYTES)
            return covey_error_set(error, COVEY_EINVAL,
                                   "environment variable '%.*s' has %zu bytes, over the limit of "
                                   "%d: put it into a file or a parameter",
                                   covey_text_fit(key, 64), key, length_bytes, STRING_MAX_BYTES);
        if (strncmp(key, "COVEY_", 6) == 0)
            return covey_error_set(error, COVEY_EINVAL,
                                   "environment variable '%.*s': names that start with COVEY_ are "
                                   "set by Covey",
                                   covey_text_fit(key, 64), key);
    }
    return COVEY_OK;
}

static enum covey_status check_options(const struct controller *controller,
                                       const options_message *options, struct covey_error *error)
{
    int64_t duration_ns;
    if ((unsigned)options->packing > COVEY__V1__PACKING__PACKING_MIXED)
        return covey_error_set(error, COVEY_EINVAL, "packing %d is not known", options->packing);
    if ((unsigned)options->placement > COVEY__V1__PLACEMENT__PLACEMENT_STRICT_SPREAD)
        return covey_error_set(error, COVEY_EINVAL, "placement %d is not known",
                               options->placement);
    if (options->priority < -PRIORITY_MAX || options->priority > PRIORITY_MAX)
        return covey_error_set(error, COVEY_EINVAL, "priority is %d, and from -%d to %d",
                               options->priority, PRIORITY_MAX, PRIORITY_MAX);
    if (options->max_restarts > RESTARTS_MAX)
        return covey_error_set(error, COVEY_EINVAL, "max_restarts is %u, and at most %d",
                               options->max_restarts, RESTARTS_MAX);
    if (placing_check_terms(options, error) != COVEY_OK)
        return COVEY_EINVAL;
    if (options->worker_resources && options->worker_resources->n_named > RESOURCES_MAX)
        return covey_error_set(error, COVEY_EINVAL, "a worker has at most %d named resources",
                               RESOURCES_MAX);
    if (!message_duration_ns(options->time_limit, 1, &duration_ns))
        return covey_error_set(error, COVEY_EINVAL, "time_limit must be a duration above 0");
    if (duration_ns > controller->limits.max_time_limit_ns)
        return covey_error_set(error, COVEY_EINVAL,
                               "time_limit is over the controller's limit of "
                               "%lld s",
                               (long long)(controller->limits.max_time_limit_ns / 1000000000));
    if (!message_duration_ns(options->communication_timeout, 1, &duration_ns))
        return covey_error_set(error, COVEY_EINVAL,
                               "communication_timeout must be a duration above 0");
    if (!message_duration_ns(options->failure_grace, 1, &duration_ns) &&
        (options->failure_grace->seconds != 0 || options->failure_grace->nanos != 0))
        return covey_error_set(error, COVEY_EINVAL, "failure_grace must be a duration");
    if (*options->working_folder && *options->working_folder != '/')
        return covey_error_set(error, COVEY_EINVAL, "working_folder must be an absolute path");
    if (options->n_labels > LABELS_MAX)
        return covey_error_set(error, COVEY_EINVAL, "a flare has at most %d labels", LABELS_MAX);
    for (size_t i = 0; i < options->n_labels; i++)
        if (*options->labels[i]->key == '\0' || strlen(options->labels[i]->key) > LABEL_MAX_BYTES ||
            strlen(options->labels[i]->value) > LABEL_MAX_BYTES)
            return covey_error_set(error, COVEY_EINVAL,
                                   "label '%.*s' is empty or longer than %d bytes",
                                   covey_text_fit(options->labels[i]->key, 64),
                                   options->labels[i]->key, LABEL_MAX_BYTES);
    return COVEY_OK;
}

enum covey_status validate_definition(const struct controller *controller,
                                      const definition_message *definition,
                                      struct covey_error *error)
{
    if (!is_name(definition->name))
        return covey_error_set(error, COVEY_EINVAL,
                               "'%.*s' is no definition's name: use 1 to %d of a-z, 0-9, '.', '_' "
                               "and '-', the first and last a letter or digit",
                               covey_text_fit(definition->name, 64), definition->name,
                               NAME_MAX_BYTES);
    if (definition->code_kind != COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT &&
        definition->code_kind != COVEY__V1__CODE_KIND__CODE_KIND_EXECUTABLE)
        return covey_error_set(error, COVEY_EINVAL,
                               "code_kind %d is not known: say shared object or executable",
                               definition->code_kind);
    if ((unsigned)definition->worker_kind > COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD)
        return covey_error_set(error, COVEY_EINVAL, "worker_kind %d is not known",
                               definition->worker_kind);
    if (definition->worker_kind == COVEY__V1__WORKER_KIND__WORKER_KIND_THREAD &&
        definition->code_kind != COVEY__V1__CODE_KIND__CODE_KIND_SHARED_OBJECT)
        return covey_error_set(error, COVEY_EINVAL,
                               "workers are threads only of shared objects: an executable is a "
                               "process");
    if (!store_is_sha256(definition->code_sha256))
        return covey_error_set(error, COVEY_EINVAL,
                               "code_sha256 must be 64 lowercase hexadecimal digits");
    if (*definition->code_path && *definition->code_path != '/')
        return covey_error_set(error, COVEY_EINVAL, "code_path must be an absolute path, or empty");
    enum covey_status status =
        check_size(&definition->base, DEFINITION_MAX_BYTES,
                   "with its arguments and environment the definition is", error);
    if (!status)
        status = check_environment(definition, error);
    if (!status && definition->defaults)
        status = check_options(controller, definition->defaults, error);
    return status;
}

enum covey_status validate_complete(struct controller *controller,
                                    const struct controller_identity *caller,
                                    definition_message *definition, struct covey_error *error)
{
    if (!definition->worker_kind)
        definition->worker_kind = COVEY__V1__WORKER_KIND__WORKER_KIND_PROCESS;
    enum covey_status status = store_blob_size(controller->store, definition->code_sha256,
                                               caller->tenant, &definition->code_bytes, error);
    if (status == COVEY_ENOTFOUND)
        status = covey_error_set(error, COVEY_EPRECONDITION,
                                 "the code %s is not there: put it by Blobs.Put first",
                                 definition->code_sha256);
    return status;
}

/* A definition that only its flare has. */
static enum covey_status copy_inline(struct controller *controller,
                                     const struct controller_identity *caller,
                                     const definition_message *given,
                                     definition_message **definition, struct covey_error *error)
{
    enum covey_status status = validate_definition(controller, given, error);
    if (status)
        return status;
    *definition = message_copy(&given->base);
    if (!*definition)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a definition");
    (*definition)->version = 0;
    status = validate_complete(controller, caller, *definition, error);
    if (status) {
        message_free(*definition);
        *definition = NULL;
    }
    return status;
}

/* ---- flares ---- */

static enum covey_status check_workers(const struct controller *controller,
                                       const Covey__V1__FlareRequest *request,
                                       struct covey_error *error)
{
    const struct controller_limits *limits = &controller->limits;
    if (request->n_parameters && request->workers)
        return covey_error_set(error, COVEY_EINVAL,
                               "parameters and workers are both given: the number of parameters is "
                               "the number of workers");
    if (request->n_parameters && request->parameter.len)
        return covey_error_set(error, COVEY_EINVAL,
                               "parameters and parameter are both given: one is for each worker, "
                               "the other for all");
    if (!request->n_parameters && !request->workers)
        return covey_error_set(error, COVEY_EINVAL,
                               "a flare has at least one worker: give workers or parameters");
    size_t workers = request->n_parameters ? request->n_parameters : request->workers;
    if (workers > limits->max_workers)
        return covey_error_set(error, COVEY_EINVAL, "%zu workers are over the limit of %llu",
                               workers, (unsigned long long)limits->max_workers);
    for (size_t i = 0; i < request->n_parameters; i++)
        if (request->parameters[i].len > limits->max_parameter_bytes)
            return covey_error_set(error, COVEY_EINVAL,
                                   "the parameter of rank %zu has %zu bytes, over the limit of "
                                   "%llu: put it into a file or a blob",
                                   i, request->parameters[i].len,
                                   (unsigned long long)limits->max_parameter_bytes);
    if (request->parameter.len > limits->max_parameter_bytes)
        return covey_error_set(error, COVEY_EINVAL,
                               "the parameter has %zu bytes, over the limit of %llu: put it into a "
                               "file or a blob",
                               request->parameter.len,
                               (unsigned long long)limits->max_parameter_bytes);
    return COVEY_OK;
}

static enum covey_status check_stdin(struct controller *controller,
                                     const struct controller_identity *caller,
                                     const Covey__V1__FlareRequest *request,
                                     struct covey_error *error)
{
    uint64_t size_bytes;
    if ((unsigned)request->stdin_to > COVEY__V1__STANDARD_INPUT__STANDARD_INPUT_ALL)
        return covey_error_set(error, COVEY_EINVAL, "stdin_to %d is not known", request->stdin_to);
    if ((*request->stdin_sha256 != '\0') != (request->stdin_to != 0))
        return covey_error_set(error, COVEY_EINVAL,
                               "stdin_sha256 and stdin_to go together: give both, or neither");
    if (!*request->stdin_sha256)
        return COVEY_OK;
    if (!store_is_sha256(request->stdin_sha256))
        return covey_error_set(error, COVEY_EINVAL,
                               "stdin_sha256 must be 64 lowercase hexadecimal digits");
    enum covey_status status = store_blob_size(controller->store, request->stdin_sha256,
                                               caller->tenant, &size_bytes, error);
    if (status == COVEY_ENOTFOUND)
        status = covey_error_set(error, COVEY_EPRECONDITION,
                                 "the standard input %s is not there: put it by Blobs.Put first",
                                 request->stdin_sha256);
    return status;
}

enum covey_status validate_request(struct controller *controller,
                                   const struct controller_identity *caller,
                                   const Covey__V1__FlareRequest *request,
                                   definition_message **definition, struct covey_error *error)
{
    *definition = NULL;
    enum covey_status status = COVEY_OK;
    if (strlen(request->idempotency_key) > KEY_MAX_BYTES)
        return covey_error_set(error, COVEY_EINVAL, "idempotency_key is longer than %d bytes",
                               KEY_MAX_BYTES);
    if (!*request->definition && !request->inline_definition)
        return covey_error_set(error, COVEY_EINVAL, "no definition is given: name one");
    if (*request->definition && request->inline_definition)
        return covey_error_set(error, COVEY_EINVAL,
                               "definition and inline_definition are both given: leave one out");
    status = check_workers(controller, request, error);
    if (!status)
        status = check_stdin(controller, caller, request, error);
    Covey__V1__FlareRequest rest = *request;
    rest.n_parameters = 0;
    rest.parameter.len = 0;
    if (!status)
        status =
            check_size(&rest.base, REQUEST_MAX_BYTES, "without parameters the request is", error);
    if (!status && request->options)
        status = check_options(controller, request->options, error);
    if (status)
        return status;
    if (request->inline_definition)
        return copy_inline(controller, caller, request->inline_definition, definition, error);
    return controller_definition(controller, caller, request->definition,
                                 request->definition_version, definition, error);
}
