/* Code, and what workers read, from the controller into the cache: one call for all flares that
 * wait for the same blob. */
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "covey/v1/blobs.pb-c.h"
#include "service/node/node.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_TIMEOUT_NS (60 * COVEY_NS_PER_S)

/* What a flare does with a blob. */
struct use {
    size_t fd_offset; /* of its descriptor in the flare */
    void (*ready)(struct node_flare *flare, enum covey_status status, const char *message);
};

static const struct use as_code = {offsetof(struct node_flare, code_fd), flare_code_ready};
static const struct use as_stdin = {offsetof(struct node_flare, stdin_fd), flare_stdin_ready};

struct waiter {
    struct covey_list node;
    struct node_flare *flare;
    const struct use *use;
};

struct fetch {
    struct covey_list node;
    struct node *agent;
    struct covey_list waiters;
    struct cache_writer *writer;
    struct rpc_call *call;
    uint64_t got_bytes;
    enum covey_status failed;
    char sha256[CACHE_DIGEST_CHARACTERS + 1];
};

static enum covey_status open_blob(struct node_flare *flare, const struct use *use,
                                   const char *sha256)
{
    return cache_get(flare->agent->cache, sha256, (int *)((char *)flare + use->fd_offset));
}

/* Tells every waiter, each of which may take the next step at once. */
static void finish(struct fetch *fetch, enum covey_status status, const char *message)
{
    covey_list_remove(&fetch->node);
    struct covey_list *node;
    while ((node = covey_list_pop_front(&fetch->waiters))) {
        struct waiter *waiter = covey_container_of(node, struct waiter, node);
        struct node_flare *flare = waiter->flare;
        const struct use *use = waiter->use;
        free(waiter);
        enum covey_status got = status ? status : open_blob(flare, use, fetch->sha256);
        use->ready(flare, got, got == status ? message : "it is not in the cache");
    }
    free(fetch);
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *decoded, void *data)
{
    struct fetch *fetch = data;
    const Covey__V1__GetResponse *piece = (const Covey__V1__GetResponse *)decoded;
    if (fetch->failed)
        return;
    if (piece->offset != fetch->got_bytes)
        fetch->failed = COVEY_EPROTO;
    else
        fetch->failed = cache_write(fetch->writer, piece->data.data, piece->data.len);
    fetch->got_bytes += piece->data.len;
    if (fetch->failed)
        rpc_call_cancel(call);
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct fetch *fetch = data;
    enum covey_status status = fetch->failed;
    char text[256];
    (void)call;
    if (status) {
        (void)snprintf(text, sizeof(text), "it cannot be stored (%s)", covey_status_text(status));
    } else if (code != RPC_OK) {
        (void)covey_text_print(text, sizeof(text), "the controller says %s: %s",
                               rpc_code_name(code), message);
        status = code == RPC_NOT_FOUND ? COVEY_ENOTFOUND : COVEY_EUNAVAILABLE;
    }
    if (status) {
        cache_write_abort(fetch->writer);
    } else {
        status = cache_write_end(fetch->writer);
        (void)snprintf(text, sizeof(text),
                       status == COVEY_EPROTO ? "what came has another digest (%s)"
                                              : "it cannot be stored (%s)",
                       covey_status_text(status));
    }
    finish(fetch, status, text);
}

static enum covey_status start(struct fetch *fetch)
{
    static const struct rpc_call_events events = {.on_message = on_message, .on_end = on_end};
    struct rpc_call_options options = {.timeout_ns = FETCH_TIMEOUT_NS};
    Covey__V1__GetRequest request = COVEY__V1__GET_REQUEST__INIT;
    request.sha256 = fetch->sha256;
    enum covey_status status =
        cache_write_begin(fetch->agent->cache, fetch->sha256, &fetch->writer);
    if (status)
        return status;
    status = rpc_channel_call(fetch->agent->attach.channel, "/covey.v1.Blobs/Get",
                              &covey__v1__get_response__descriptor, &events, fetch, &options,
                              &fetch->call);
    if (status) {
        cache_write_abort(fetch->writer);
        return status;
    }
    status = rpc_call_send(fetch->call, &request.base);
    rpc_call_half_close(fetch->call);
    if (status) {
        /* The end of the call tells the waiters. */
        fetch->failed = status;
        rpc_call_cancel(fetch->call);
    }
    return COVEY_OK;
}

static struct fetch *find(struct node *agent, const char *sha256)
{
    covey_list_for_each (node, &agent->fetches) {
        struct fetch *fetch = covey_container_of(node, struct fetch, node);
        if (strcmp(fetch->sha256, sha256) == 0)
            return fetch;
    }
    return NULL;
}

static struct fetch *make(struct node *agent, const char *sha256)
{
    struct fetch *fetch = covey_calloc(1, sizeof(*fetch));
    if (!fetch)
        return NULL;
    fetch->agent = agent;
    covey_list_init(&fetch->waiters);
    (void)snprintf(fetch->sha256, sizeof(fetch->sha256), "%s", sha256);
    covey_list_push_back(&agent->fetches, &fetch->node);
    return fetch;
}

static void fetch(struct node_flare *flare, const struct use *use, const char *sha256)
{
    struct node *agent = flare->agent;
    if (open_blob(flare, use, sha256) == COVEY_OK) {
        use->ready(flare, COVEY_OK, "");
        return;
    }
    struct fetch *fetch = find(agent, sha256);
    bool first = !fetch;
    struct waiter *waiter = covey_calloc(1, sizeof(*waiter));
    if (waiter && first)
        fetch = make(agent, sha256);
    if (!waiter || !fetch) {
        free(waiter);
        use->ready(flare, COVEY_ENOMEM, "no memory");
        return;
    }
    waiter->flare = flare;
    waiter->use = use;
    covey_list_push_back(&fetch->waiters, &waiter->node);
    enum covey_status status = first ? start(fetch) : COVEY_OK;
    if (status)
        finish(fetch, status, covey_status_text(status));
}

void fetch_code(struct node_flare *flare)
{
    fetch(flare, &as_code, flare->code_sha256);
}

void fetch_stdin(struct node_flare *flare)
{
    fetch(flare, &as_stdin, flare->stdin_sha256);
}

void fetch_forget(struct node_flare *flare)
{
    covey_list_for_each (node, &flare->agent->fetches) {
        struct fetch *fetch = covey_container_of(node, struct fetch, node);
        covey_list_for_each_safe (entry, after, &fetch->waiters) {
            struct waiter *waiter = covey_container_of(entry, struct waiter, node);
            if (waiter->flare != flare)
                continue;
            covey_list_remove(&waiter->node);
            free(waiter);
        }
    }
}
