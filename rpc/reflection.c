#include "rpc/reflection.h"

#include "base/error.h"
#include "base/memory.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "rpc/descriptors.h"
#include "rpc/server.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILES 128

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

#define ASKS(name)    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWERS(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

/* The services built into each server, generated with the build. */
extern const uint8_t rpc_services_descriptor_set[];
extern const size_t rpc_services_descriptor_set_bytes;

struct rpc_reflection {
    struct rpc_server *server;
    struct rpc_descriptors descriptors;
};

static enum covey_status send_response(struct rpc_call *call, const reflection_request *request,
                                       reflection_response *response)
{
    response->valid_host = request->host;
    response->original_request = (reflection_request *)(uintptr_t)request;
    return rpc_call_send(call, &response->base);
}

static enum covey_status answer_error(struct rpc_call *call, const reflection_request *request,
                                      enum rpc_code code, const char *message)
{
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ErrorResponse failure = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    failure.error_code = (int32_t)code;
    failure.error_message = (char *)(uintptr_t)message;
    response.message_response_case = ANSWERS(ERROR_RESPONSE);
    response.error_response = &failure;
    return send_response(call, request, &response);
}

static enum covey_status answer_file(struct rpc_reflection *reflection, struct rpc_call *call,
                                     const reflection_request *request,
                                     struct rpc_descriptor_file *file)
{
    if (!file)
        return answer_error(call, request, RPC_NOT_FOUND, "no such file or symbol");
    const struct rpc_descriptor_file *files[MAX_FILES];
    ProtobufCBinaryData bytes[MAX_FILES];
    size_t count = rpc_descriptors_closure(&reflection->descriptors, file, files, MAX_FILES);
    for (size_t i = 0; i < count; i++) {
        bytes[i].data = (uint8_t *)(uintptr_t)files[i]->bytes;
        bytes[i].len = files[i]->length_bytes;
    }
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__FileDescriptorResponse found =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    found.n_file_descriptor_proto = count;
    found.file_descriptor_proto = bytes;
    response.message_response_case = ANSWERS(FILE_DESCRIPTOR_RESPONSE);
    response.file_descriptor_response = &found;
    return send_response(call, request, &response);
}

/* Nothing here has extensions: proto3 has none but options. */
static enum covey_status answer_extensions(const struct rpc_reflection *reflection,
                                           struct rpc_call *call, const reflection_request *request)
{
    const char *type = request->all_extension_numbers_of_type;
    if (!covey_map_get(&reflection->descriptors.messages, type))
        return answer_error(call, request, RPC_NOT_FOUND, "no such type");
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ExtensionNumberResponse none =
        GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    none.base_type_name = (char *)(uintptr_t)type;
    response.message_response_case = ANSWERS(ALL_EXTENSION_NUMBERS_RESPONSE);
    response.all_extension_numbers_response = &none;
    return send_response(call, request, &response);
}

static enum covey_status answer_services(const struct rpc_reflection *reflection,
                                         struct rpc_call *call, const reflection_request *request)
{
    const struct rpc_server *server = reflection->server;
    size_t count = server->service_count;
    Grpc__Reflection__V1__ServiceResponse *rows = covey_calloc(count, sizeof *rows);
    Grpc__Reflection__V1__ServiceResponse **pointers = covey_calloc(count, sizeof(void *));
    enum covey_status status = COVEY_ENOMEM;
    if (rows && pointers) {
        for (size_t i = 0; i < count; i++) {
            grpc__reflection__v1__service_response__init(&rows[i]);
            rows[i].name = (char *)(uintptr_t)server->services[i]->name;
            pointers[i] = &rows[i];
        }
        reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
        Grpc__Reflection__V1__ListServiceResponse list =
            GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
        list.n_service = count;
        list.service = pointers;
        response.message_response_case = ANSWERS(LIST_SERVICES_RESPONSE);
        response.list_services_response = &list;
        status = send_response(call, request, &response);
    }
    free(pointers);
    free(rows);
    return status;
}

static enum covey_status answer(struct rpc_reflection *reflection, struct rpc_call *call,
                                const reflection_request *request)
{
    const struct rpc_descriptors *descriptors = &reflection->descriptors;
    switch (request->message_request_case) {
    case ASKS(LIST_SERVICES):
        return answer_services(reflection, call, request);
    case ASKS(FILE_BY_FILENAME):
        return answer_file(reflection, call, request,
                           covey_map_get(&descriptors->names, request->file_by_filename));
    case ASKS(FILE_CONTAINING_SYMBOL):
        return answer_file(reflection, call, request,
                           covey_map_get(&descriptors->symbols, request->file_containing_symbol));
    case ASKS(FILE_CONTAINING_EXTENSION):
        return answer_error(call, request, RPC_NOT_FOUND, "no such extension");
    case ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE):
        return answer_extensions(reflection, call, request);
    default:
        return answer_error(call, request, RPC_INVALID_ARGUMENT, "the request asks nothing");
    }
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    enum covey_status status = answer(data, call, (const reflection_request *)message);
    if (status)
        rpc_call_fail(call, status, NULL);
    else if (!rpc_call_writable(call))
        rpc_call_pause(call);
}

static void on_writable(struct rpc_call *call, void *data)
{
    (void)data;
    rpc_call_resume(call);
}

static void on_half_close(struct rpc_call *call, void *data)
{
    (void)data;
    rpc_call_finish(call, RPC_OK, NULL);
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)call;
    (void)code;
    (void)message;
    (void)data;
}

static const struct rpc_call_events *on_call(struct rpc_call *call, void *service_data, void **data)
{
    static const struct rpc_call_events events = {.on_message = on_message,
                                                  .on_half_close = on_half_close,
                                                  .on_writable = on_writable,
                                                  .on_end = on_end};
    (void)call;
    *data = service_data;
    return &events;
}

static enum covey_status add_services(struct rpc_server *server, struct rpc_reflection *reflection)
{
    /* v1alpha is v1 under another name, and the names of messages are not on the wire. */
    static const struct rpc_method methods[] = {
        {.name = "ServerReflectionInfo",
         .request = &grpc__reflection__v1__server_reflection_request__descriptor,
         .response = &grpc__reflection__v1__server_reflection_response__descriptor,
         .client_streaming = true,
         .server_streaming = true,
         .on_call = on_call},
    };
    static const struct rpc_service v1 = {"grpc.reflection.v1.ServerReflection", methods, 1};
    static const struct rpc_service v1alpha = {"grpc.reflection.v1alpha.ServerReflection", methods,
                                               1};
    enum covey_status status = rpc_server_add(server, &v1, reflection);
    return status ? status : rpc_server_add(server, &v1alpha, reflection);
}

enum covey_status rpc_reflection_create(struct rpc_server *server,
                                        struct rpc_reflection **reflection,
                                        struct covey_error *error)
{
    struct rpc_reflection *made = covey_calloc(1, sizeof *made);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    made->server = server;
    enum covey_status status = rpc_descriptors_add(
        &made->descriptors, server->options.descriptor_set, server->options.descriptor_set_bytes);
    if (!status)
        status = rpc_descriptors_add(&made->descriptors, rpc_services_descriptor_set,
                                     rpc_services_descriptor_set_bytes);
    if (!status)
        status = add_services(server, made);
    if (status) {
        rpc_reflection_destroy(made);
        return covey_error_set(error, status == COVEY_EPROTO ? COVEY_EINVAL : status,
                               status == COVEY_EPROTO ? "the descriptor set is malformed"
                                                      : "out of memory");
    }
    *reflection = made;
    return COVEY_OK;
}

void rpc_reflection_destroy(struct rpc_reflection *reflection)
{
    if (!reflection)
        return;
    rpc_descriptors_free(&reflection->descriptors);
    free(reflection);
}
