/* What the files of the API share. */
#ifndef SERVICE_CONTROLLER_API_INTERNAL_H
#define SERVICE_CONTROLLER_API_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "service/controller/api.h"

struct api {
    uv_loop_t *loop;
    struct store *store;
    struct controller *controller;
    struct tokens *tokens;
    struct rpc_server *server;
    uv_prepare_t prepare; /* before the loop waits: what the batch of inputs brought about */
    uv_timer_t timer;     /* the controller's next deadline */
    uv_timer_t sync_timer;
    uv_work_t sync_work;
    enum covey_status sync_status;
    bool syncing;
    bool sync_failed; /* the last time */
    bool dirty;       /* there was an input since the last turn */
    bool stopping;
    bool server_gone;
    unsigned open_handles;
    struct covey_map accepting; /* of calls whose flare is not in the journal yet, by its id */
    struct covey_map followed;  /* of struct follow_group, by flare */
    struct covey_map lines;     /* of struct question_line, by whose they are */
    void (*done)(void *data);
    void *done_data;
};

extern const struct rpc_service api_covey_service;
extern const struct rpc_service api_blobs_service;
extern const struct rpc_service api_node_service;

/* An input came: the controller's turn follows before the loop waits. */
static inline void api_touch(struct api *api)
{
    api->dirty = true;
}

/* The caller of a call that was let in; false, and the call is failed, for an agent's token. */
bool api_caller(struct api *api, struct rpc_call *call, struct controller_identity *caller);
bool api_identity(struct api *api, struct rpc_call *call, struct identity *identity);

/* A unary method whose handler gets the message and answers. */
typedef void (*api_handler)(struct rpc_call *call, const ProtobufCMessage *message, void *data);
void api_ignore_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data);

#define API_UNARY(handler)                                                                         \
    static const struct rpc_call_events handler##_events = {.on_message = (handler),               \
                                                            .on_end = api_ignore_end};             \
    static const struct rpc_call_events *handler##_call(struct rpc_call *call, void *service,      \
                                                        void **data)                               \
    {                                                                                              \
        (void)call;                                                                                \
        *data = service;                                                                           \
        return &handler##_events;                                                                  \
    }

/* api_questions.c: the methods of questions that take long. */
const struct rpc_call_events *api_get_flare(struct rpc_call *call, void *service, void **data);
const struct rpc_call_events *api_list_flares(struct rpc_call *call, void *service, void **data);
const struct rpc_call_events *api_plan_flare(struct rpc_call *call, void *service, void **data);
const struct rpc_call_events *api_explain_flare(struct rpc_call *call, void *service, void **data);

/* api_flare.c */
const struct rpc_call_events *api_flare_call(struct rpc_call *call, void *service, void **data);
void api_on_accepted(const char *flare, const struct covey_error *error, void *data);

/* streams.c */
void streams_on_news(const char *flare, enum controller_news news, void *data);
/* Ends all streams: the program ends. */
void streams_stop(struct api *api);
/* Makes the follower of a call, its data; false, and the call is failed, without memory. */
bool streams_begin(struct rpc_call *call, struct api *api, void **data);
void streams_watch(struct rpc_call *call, const ProtobufCMessage *message, void *data);
void streams_logs(struct rpc_call *call, const ProtobufCMessage *message, void *data);
void streams_results(struct rpc_call *call, const ProtobufCMessage *message, void *data);
/* Also when it has its turn. */
void streams_on_writable(struct rpc_call *call, void *data);
void streams_on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data);

#endif
