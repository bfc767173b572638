/*
 * coveyd as a process, and agents that are played by the test: each speaks Node.Attach over a
 * channel of its own and does what the test tells it to.
 */
#ifndef CLUSTER_H
#define CLUSTER_H

#include "covey/v1/blobs.pb-c.h"
#include "covey/v1/covey.pb-c.h"
#include "covey/v1/node.pb-c.h"
#include "rpc/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CLUSTER_FLARES  32
#define CLUSTER_REPORTS 4096

struct cluster;

/* A flare as an agent has it. */
struct agent_flare {
    char id[32];
    uint32_t pack;
    uint32_t first_rank;
    uint32_t workers;
    uint64_t log_offset;
    uint32_t ended; /* the lowest ranks end first */
    bool started;
    uint8_t secret[32];
    Covey__V1__Prepare *prepare; /* a copy */
};

struct agent {
    struct cluster *cluster;
    char name[32];
    uint32_t slots;
    /* What it does by itself. */
    bool hold_prepare;        /* no answer to PREPARE */
    const char *fail_prepare; /* PrepareFailed with this status */
    bool finish;              /* workers end with status 0 after START, with a result each */
    bool hold_stop;           /* no FlareGone after Stop */
    const char *identity;     /* NULL: from its name */
    const char *version;      /* NULL: the right one */
    uint64_t epoch_error;     /* added to every epoch */
    bool mute;                /* no heartbeats */
    uint64_t result_bytes;    /* of each worker; 0: six */
    int64_t late_ns;          /* how long after its end a worker's end is told */
    /* What it has seen. */
    struct rpc_channel *channel;
    struct rpc_call *call;
    bool registered; /* on this stream */
    uint64_t epoch;
    uint64_t sequence;
    uint64_t acknowledged;
    unsigned heartbeats;
    unsigned prepares, starts, stops, gone, registrations;
    int64_t stop_grace_ns;
    uint64_t log_taken;
    size_t peers_ended;
    uint32_t peer_rank;
    char peer_reason[256];
    size_t unknown;
    bool ended;
    enum rpc_code code;
    char message[512];
    struct agent_flare flares[CLUSTER_FLARES];
    size_t flare_count;
    Covey__V1__AttachRequest *reports[CLUSTER_REPORTS]; /* not acknowledged */
    size_t report_count;
};

struct cluster {
    uv_loop_t loop;
    uv_timer_t heartbeat;
    pid_t pid;
    char address[128];
    char state_dir[128];
    struct rpc_channel *channel;
    struct agent agents[4];
    size_t agent_count;
};

/* One unary or server-streaming call and what came of it. */
struct answer {
    bool ended;
    enum rpc_code code;
    char message[512];
    ProtobufCMessage *messages[1024]; /* copies */
    size_t count;
    struct rpc_call *call;
};

/* Makes the loop and starts coveyd; more flags end with NULL. fault (may be NULL) is COVEY_FAULT.
 */
void cluster_start(struct cluster *cluster, const char *fault, ...);
/* Starts coveyd again on the same state, after it ended. */
void cluster_restart(struct cluster *cluster);
/* SIGKILL, and waits. */
void cluster_kill(struct cluster *cluster);
/* Waits until it has ended by itself; its wait status. */
int cluster_wait(struct cluster *cluster);
/* Ends agents, channel and coveyd, which must end with 0. */
void cluster_stop(struct cluster *cluster);

/* An agent that registers when agent_attach is called. */
struct agent *cluster_agent(struct cluster *cluster, const char *name, uint32_t slots);
/* Registers and waits for the answer; false where it was refused. */
bool agent_attach(struct agent *agent);
/* Frees what it has of flares and reports. */
void agent_clear(struct agent *agent);
/* Resets the stream, as a death of its process would. */
void agent_drop(struct agent *agent);
/* Reports, with a sequence where report is set. */
void agent_say(struct agent *agent, Covey__V1__AttachRequest *message, bool report);
void agent_prepared(struct agent *agent, struct agent_flare *flare);
/* The next rank ends. */
void agent_worker_ends(struct agent *agent, struct agent_flare *flare, uint32_t exit_status,
                       uint32_t signal);
void agent_result(struct agent *agent, struct agent_flare *flare, uint32_t rank, uint64_t offset,
                  const char *text);
void agent_log(struct agent *agent, struct agent_flare *flare, uint32_t rank, const char *text);
void agent_gone(struct agent *agent, struct agent_flare *flare);
struct agent_flare *agent_flare(struct agent *agent, const char *id);

/* Runs the loop until condition(data), ten seconds at most. */
bool cluster_run(struct cluster *cluster, bool (*condition)(void *data), void *data);

/* Starts a call with one message; half_close for all but client streams. */
void cluster_begin(struct cluster *cluster, struct answer *answer, const char *method,
                   const ProtobufCMessage *request);
/* The same, until its end. */
void cluster_call(struct cluster *cluster, struct answer *answer, const char *method,
                  const ProtobufCMessage *request);
void answer_clear(struct answer *answer);

/* Puts code and deploys "hello". */
void cluster_deploy(struct cluster *cluster);
/* Starts a flare of hello; its id, or "" with the answer's code and message in *answer. */
void cluster_flare(struct cluster *cluster, struct answer *answer, uint32_t workers, char id[32]);
/* The flare now; freed by answer_clear. */
Covey__V1__Flare *cluster_get(struct cluster *cluster, struct answer *answer, const char *id);
/* Waits until the flare is in a state; false after ten seconds. */
bool cluster_reaches(struct cluster *cluster, const char *id, Covey__V1__FlareState state);

#endif
