/*
 * What libcovey's calls take and bring: plain data.
 *
 * A struct that a call brings is one allocation with all that it points to; the function that
 * frees it is named beside the call (covey/client.h). Every pointer in it is borrowed from it.
 * Strings are never NULL; arrays are NULL where their count is 0. Times are nanoseconds since 1970,
 * 0 where they are not set. Strings that a call brings are UTF-8 and, but for arguments,
 * environment variables and JSON, hold '?' in place of control characters: they can be printed as
 * they are.
 *
 * `json` is the same thing as JSON text in one line (docs/client-library.md, "JSON"), where the
 * client was made with that option, else NULL.
 *
 * A struct that the caller fills in is zeroed first: every 0 or NULL means "not said".
 */
#ifndef COVEY_CLIENT_TYPES_H
#define COVEY_CLIENT_TYPES_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How code is entered: it exports covey_work(), or it is a program that calls covey_attach(). */
enum covey_code_kind {
    COVEY_CODE_UNSPECIFIED = 0,
    COVEY_CODE_SHARED_OBJECT = 1,
    COVEY_CODE_EXECUTABLE = 2,
};

enum covey_worker_kind {
    COVEY_WORKER_UNSPECIFIED = 0, /* a process */
    COVEY_WORKER_PROCESS = 1,
    COVEY_WORKER_THREAD = 2, /* a thread of its pack; only for shared objects */
};

enum covey_packing {
    COVEY_PACKING_UNSPECIFIED = 0,   /* mixed */
    COVEY_PACKING_HETEROGENEOUS = 1, /* packs as large as the nodes allow */
    COVEY_PACKING_HOMOGENEOUS = 2,   /* packs of exactly `granularity` workers */
    COVEY_PACKING_MIXED = 3,         /* units of `granularity`; those on one node merge */
};

enum covey_placement {
    COVEY_PLACEMENT_UNSPECIFIED = 0,   /* pack */
    COVEY_PLACEMENT_PACK = 1,          /* as few nodes as possible */
    COVEY_PLACEMENT_STRICT_PACK = 2,   /* one node, or not at all */
    COVEY_PLACEMENT_SPREAD = 3,        /* evenly over the nodes */
    COVEY_PLACEMENT_STRICT_SPREAD = 4, /* each pack on a node of its own, or not at all */
};

/* docs/states.md has the transitions. The last four are ends. */
enum covey_flare_state {
    COVEY_FLARE_UNSPECIFIED = 0,
    COVEY_FLARE_QUEUED = 1,
    COVEY_FLARE_PREPARING = 2,
    COVEY_FLARE_RUNNING = 3,
    COVEY_FLARE_ENDING = 4,
    COVEY_FLARE_SUCCEEDED = 5,
    COVEY_FLARE_FAILED = 6,
    COVEY_FLARE_CANCELLED = 7,
    COVEY_FLARE_TIMED_OUT = 8,
};

enum covey_worker_state {
    COVEY_WORKER_STATE_UNSPECIFIED = 0,
    COVEY_WORKER_STATE_STARTING = 1,
    COVEY_WORKER_STATE_RUNNING = 2,
    COVEY_WORKER_STATE_DONE = 3,
    COVEY_WORKER_STATE_FAILED = 4,
    COVEY_WORKER_STATE_STOPPED = 5,
};

enum covey_node_state {
    COVEY_NODE_UNSPECIFIED = 0,
    COVEY_NODE_UP = 1,
    COVEY_NODE_DRAINING = 2,
    COVEY_NODE_LOST = 3,
    COVEY_NODE_DOWN = 4,
};

struct covey_pair {
    const char *key;
    const char *value;
};

struct covey_amount {
    const char *name;
    uint64_t amount;
};

/* How a flare is to be run. What is 0 takes the definition's value, then the default. */
struct covey_flare_options {
    enum covey_packing packing;
    uint32_t granularity; /* workers per pack or unit */
    enum covey_placement placement;
    uint32_t slots;      /* per worker */
    uint32_t milli_cpus; /* per worker; whole cpus (thousands) bind it to them */
    uint64_t memory_bytes;
    uint32_t gpus;
    const struct covey_amount *resources; /* that nodes declare by name; per worker */
    size_t resource_count;
    const char *const *selector; /* "key=value", "key!=value", "key", "!key": all hold of a node */
    size_t selector_count;
    const char *const *tolerations; /* taints: "key=value", or "key" */
    size_t toleration_count;
    bool preemptible;    /* for a flare of higher priority */
    bool wait_for_nodes; /* queued, too, where all known nodes could never hold it */
    uint32_t max_packs;
    uint32_t max_nodes;
    int64_t time_limit_ns; /* from START to the end */
    int32_t priority;      /* -1000 to 1000; higher goes first */
    const struct covey_pair *labels;
    size_t label_count;
    int64_t communication_timeout_ns;
    int64_t failure_grace_ns;
    uint32_t max_restarts; /* of the whole gang, when it loses a node or must leave one */
    /* Where the workers start, an absolute path; where it is not there, in a folder of the flare's
     * own, unless it must be there. */
    const char *working_folder;
    bool working_folder_must_exist;
    bool core_dumps; /* of workers that crash, as their nodes have it */
};

struct covey_definition {
    const char *name;
    uint32_t version;
    enum covey_code_kind code_kind;
    enum covey_worker_kind worker_kind;
    const char *code_sha256;
    uint64_t code_bytes;
    const char *const *arguments;
    size_t argument_count;
    const struct covey_pair *environment;
    size_t environment_count;
    struct covey_flare_options defaults;
    int64_t created_at_ns;
    const char *json;
};

struct covey_definition_list {
    const struct covey_definition *definitions;
    size_t count;
};

/* What to deploy: code in a file, and its configuration. */
struct covey_deployment {
    const char *name;
    const char *file; /* as open(2) takes it; a node that has the same there runs it from there */
    enum covey_code_kind code_kind; /* unspecified: covey_code_inspect says it */
    enum covey_worker_kind worker_kind;
    const char *const *arguments;
    size_t argument_count;
    const struct covey_pair *environment;
    size_t environment_count;
    struct covey_flare_options defaults;
};

struct covey_bytes {
    const void *data;
    size_t length_bytes;
};

/* A SHA-256 as text, with its NUL. */
#define COVEY_SHA256_BYTES 65

/* Who reads a flare's standard input. */
enum covey_stdin {
    COVEY_STDIN_NONE,
    COVEY_STDIN_FIRST, /* rank 0 */
    COVEY_STDIN_ALL,   /* each worker, from the beginning; threads share it with their pack */
};

/* Either parameters, one per worker, or a number of workers and the parameter of each. */
struct covey_flare_request {
    const char *definition;
    uint32_t definition_version; /* 0: the newest */
    const struct covey_bytes *parameters;
    size_t parameter_count;
    uint32_t workers;
    struct covey_bytes parameter;
    struct covey_flare_options options;
    const char *idempotency_key;
    const char *stdin_sha256; /* a blob that was put before, for whom stdin_to says */
    enum covey_stdin stdin_to;
};

struct covey_failure {
    const char *status; /* a name of enum covey_status: "EPEER" */
    const char *message;
    int32_t rank; /* or -1 */
    const char *node;
    uint32_t signal;
    uint32_t exit_status;
    int out_of_memory; /* the kernel ended the worker for want of memory, or probably so */
};

struct covey_pack {
    uint32_t id;
    const char *node;
    uint32_t first_rank;
    uint32_t workers;
    const uint32_t *cpus; /* that its workers are bound to, by rank, as many for each */
    size_t cpu_count;
};

/* Ordered pairs of ranks that are apart at a level: "rack", "node", "numa". */
struct covey_level_cost {
    const char *level;
    uint64_t crossing_pairs;
};

/* From the top of the topology down. */
struct covey_cost {
    const struct covey_level_cost *levels;
    size_t level_count;
    uint32_t nodes;
};

struct covey_worker {
    uint32_t rank;
    uint32_t pack;
    const char *node;
    uint32_t pid; /* in the node's pid namespace */
    enum covey_worker_state state;
    uint32_t exit_status;
    uint32_t signal;
    int64_t started_at_ns;
    int64_t ended_at_ns;
    uint64_t result_bytes;
    int64_t cpu_time_ns;   /* of covey_client_measure_flare; -1: not known, as is */
    uint64_t memory_bytes; /* its own */
};

/* When a flare passed each step. */
struct covey_timeline {
    int64_t accepted_at_ns;
    int64_t placed_at_ns;
    int64_t ready_at_ns;
    int64_t started_at_ns;
    int64_t first_worker_at_ns;
    int64_t last_worker_at_ns;
    int64_t outcome_at_ns;
    int64_t ended_at_ns;
    const char *transport; /* between its nodes: "ucx:tcp"; "" within one */
};

struct covey_flare {
    const char *id;
    const char *definition;
    uint32_t definition_version;
    uint32_t workers_total;
    enum covey_flare_state state;
    struct covey_flare_options options;
    const struct covey_pack *packs;
    size_t pack_count;
    const struct covey_worker *workers; /* not in lists */
    size_t worker_count;
    struct covey_timeline timeline;
    const struct covey_failure *error; /* or NULL */
    const char *tenant;
    uint32_t queue_position;
    const char *pending_reason;
    struct covey_cost cost; /* of its placement */
    uint32_t attempt;       /* times it was placed */
    uint32_t restarts;      /* times it was stopped to be started again */
    const char *json;
};

/* Which flares to list. */
struct covey_flare_filter {
    const enum covey_flare_state *states; /* none: all */
    size_t state_count;
    const struct covey_pair *labels; /* a flare has all of them */
    size_t label_count;
    uint32_t page_size;     /* 0: 100; at most 1000 */
    const char *page_token; /* of the page before */
    const char *id_prefix;  /* only ids that begin so; NULL: all */
};

struct covey_flare_list {
    const struct covey_flare *flares;
    size_t count;
    const char *next_page_token; /* "" on the last page */
};

struct covey_event {
    uint64_t sequence; /* from 1, without gaps */
    int64_t at_ns;
    enum covey_flare_state state;
    const char *type;
    const char *message;
    uint32_t workers_started;
    uint32_t workers_ended;
    const char *json;
};

struct covey_log_line {
    uint32_t rank;
    uint32_t stream; /* 1: standard output, 2: standard error */
    int64_t at_ns;
    struct covey_bytes text; /* without the newline */
    bool partial;            /* the next line of this rank and stream goes on with it */
    const char *json;
};

/* A piece of a worker's result: the pieces of a rank come in order. */
struct covey_result_piece {
    uint32_t rank;
    uint64_t offset;
    struct covey_bytes data;
    bool last; /* of this rank */
    const char *json;
};

/* A worker's whole result. */
struct covey_result {
    uint32_t rank;
    struct covey_bytes data;
};

struct covey_result_list {
    const struct covey_result *results; /* by rank; workers without a result are left out */
    size_t count;
};

struct covey_alternative {
    enum covey_packing packing;
    uint32_t granularity;
    enum covey_placement placement;
    struct covey_cost cost;
    uint32_t packs;
};

struct covey_plan {
    bool placeable; /* it would start now */
    const struct covey_pack *packs;
    size_t pack_count;
    const char *reason; /* else why not */
    bool impossible;    /* it would never start on the nodes that are known, and is refused */
    uint32_t queue_position;
    struct covey_cost cost;
    int64_t estimated_wait_ns; /* it would have to wait so long; -1: not known, or it would not */
    const char *no_estimate;   /* why it is not known */
    const struct covey_alternative *alternatives; /* that would start now */
    size_t alternative_count;
    const char *json;
};

/* What keeps a flare from starting, or says where it is in its life; covey.proto has what each
 * means. */
enum covey_reason_kind {
    COVEY_REASON_UNSPECIFIED = 0,
    COVEY_REASON_NEXT = 1,
    COVEY_REASON_BEHIND = 2,
    COVEY_REASON_PROMISED = 3,
    COVEY_REASON_QUOTA = 4,
    COVEY_REASON_NO_NODES = 5,
    COVEY_REASON_NO_MATCH = 6,
    COVEY_REASON_CAPACITY = 7,
    COVEY_REASON_FRAGMENTED = 8,
    COVEY_REASON_FEW_NODES = 9,
    COVEY_REASON_NODE_LIMIT = 10,
    COVEY_REASON_DRAINING = 11,
    COVEY_REASON_DOWN = 12,
    COVEY_REASON_PREPARING = 13,
    COVEY_REASON_RUNNING = 14,
    COVEY_REASON_ENDING = 15,
    COVEY_REASON_ENDED = 16,
};

struct covey_reason {
    enum covey_reason_kind kind;
    const char *message; /* one sentence */
    bool never;          /* not even when all that runs has ended, on any nodes that are known */
    bool absent;         /* the same on the nodes that are up: it waits for nodes */
    const char *dimension;
    uint64_t asked;
    uint64_t available;
    uint32_t nodes;       /* that it is about */
    const char *flare_id; /* that is in the way */
};

struct covey_explanation {
    struct covey_flare flare;           /* without its workers */
    const struct covey_reason *reasons; /* the first decides */
    size_t reason_count;
    /* Of a flare that waits: */
    uint32_t nodes_up;
    uint32_t nodes_draining;
    uint32_t nodes_down;
    uint32_t nodes_unmatched;
    uint32_t nodes_too_small;
    uint32_t ahead;
    uint32_t unit;             /* workers that have to stay together */
    uint32_t fitting;          /* the most workers that would fit now */
    int64_t promised_wait_ns;  /* it starts no later, by the time limits that users gave; or -1 */
    int64_t estimated_wait_ns; /* it starts then, if nothing else comes; -1: not known */
    const char *no_estimate;   /* why */
    const char *json;
};

struct covey_node {
    const char *name;
    enum covey_node_state state;
    uint32_t slots;
    uint32_t slots_used;
    uint64_t memory_bytes;
    uint64_t memory_used_bytes;
    uint32_t cores;
    uint32_t processing_units;
    uint32_t numa_nodes;
    uint32_t gpus;
    uint32_t gpus_used;
    uint32_t milli_cpus_used;
    const char *less;       /* why it has less than the machine, in words; "": it has all */
    const char *machine;    /* its name; "": none */
    uint32_t machine_nodes; /* on it, this one too: they share the memory and the cpus below */
    uint64_t machine_memory_bytes;
    uint64_t machine_memory_used_bytes;
    uint32_t machine_milli_cpus;
    uint32_t machine_milli_cpus_used;
    const struct covey_pair *labels;
    size_t label_count;
    const struct covey_pair *taints;
    size_t taint_count;
    const struct covey_amount *resources;
    const struct covey_amount *resources_used;
    size_t resource_count;
    uint64_t epoch;
    const char *data_address;
    int64_t last_seen_at_ns;
    const char *drain_reason;
    int64_t drain_until_ns; /* when what runs there has to leave; 0: never */
    const char *version;
    const char *const *flare_ids;
    size_t flare_count;
    const char *json;
};

/* How a node is taken out of placement. */
struct covey_drain {
    const char *reason;  /* shown to everyone; needed */
    int64_t deadline_ns; /* then what runs there is started again elsewhere, or cancelled; 0: it
                            may go on until it ends */
};

struct covey_node_list {
    const struct covey_node *nodes;
    size_t count;
};

struct covey_blob {
    const char *sha256;
    uint64_t size_bytes;
    const char *json;
};

struct covey_blob_list {
    const struct covey_blob *blobs;
    size_t count;
};

struct covey_server_info {
    const char *version;
    uint64_t max_message_bytes;
    uint32_t max_workers;
    uint64_t max_parameter_bytes;
    uint64_t max_result_bytes;
    uint64_t max_blob_bytes;
    const char *json;
};

#ifdef __cplusplus
}
#endif

#endif
