/*
 * The life of a flare as a table: for each state and event what happens. docs/states.md shows the
 * same table; a test keeps them equal.
 */
#ifndef SERVICE_CONTROLLER_FLARE_STATES_H
#define SERVICE_CONTROLLER_FLARE_STATES_H

#include <stdbool.h>
#include <stdint.h>

/* Numbered as covey.v1.FlareState. */
#define FLARE_STATE_MAP(X)                                                                         \
    X(NONE, "(none)")                                                                              \
    X(QUEUED, "QUEUED")                                                                            \
    X(PREPARING, "PREPARING")                                                                      \
    X(RUNNING, "RUNNING")                                                                          \
    X(ENDING, "ENDING")                                                                            \
    X(SUCCEEDED, "SUCCEEDED")                                                                      \
    X(FAILED, "FAILED")                                                                            \
    X(CANCELLED, "CANCELLED")                                                                      \
    X(TIMED_OUT, "TIMED_OUT")

enum flare_state {
#define FLARE_STATE_ENUM(id, name) FLARE_##id,
    FLARE_STATE_MAP(FLARE_STATE_ENUM)
#undef FLARE_STATE_ENUM
        FLARE_STATES
};

/* What can happen to a flare. The names are those of covey.v1.Event.type. */
#define FLARE_EVENT_MAP(X)                                                                         \
    X(ACCEPTED, "accepted", "the call was checked and is in the journal")                          \
    X(PLACED, "placed", "the scheduler reserved its whole gang")                                   \
    X(NODE_READY, "node_ready", "a node has forked its workers")                                   \
    X(ROLLING_BACK, "rolling_back", "a node could not prepare it: the others are told to stop")    \
    X(RESTARTING, "restarting",                                                                    \
      "it lost a node, or must leave one: all of it is stopped to start again")                    \
    X(REQUEUED, "requeued", "nothing of the attempt is left on any node")                          \
    X(STARTED, "started", "all nodes are ready: START goes out")                                   \
    X(WORKERS_STARTED, "workers_started", "workers entered user code")                             \
    X(WORKER_ENDED, "worker_ended", "a worker was reaped")                                         \
    X(NODE_LOST, "node_lost", "a node of it is not connected; its grace runs")                     \
    X(NODE_RETURNED, "node_returned", "a lost node is back and has it")                            \
    X(REPORT_REFUSED, "report_refused", "a node said of it what could not be taken")               \
    X(FINISHING, "finishing", "every worker ended with status 0")                                  \
    X(FAILING, "failing", "a worker, host or node failed, or it cannot be started")                \
    X(CANCELLING, "cancelling", "its user cancelled it")                                           \
    X(TIMING_OUT, "timing_out", "its time limit was reached")                                      \
    X(ENDED, "ended", "nothing of it is left on any node")

enum flare_event {
#define FLARE_EVENT_ENUM(id, name, meaning) FLARE_EVENT_##id,
    FLARE_EVENT_MAP(FLARE_EVENT_ENUM)
#undef FLARE_EVENT_ENUM
        FLARE_EVENTS
};

enum state_rule_kind {
    STATE_BUG,    /* cannot happen: our own fault where it does */
    STATE_IGNORE, /* can happen, and changes nothing */
    STATE_STAY,   /* is journalled, in the same state */
    STATE_MOVE,   /* is journalled, and leads to the next state */
    STATE_OUTCOME /* as MOVE, to the state that the outcome decides */
};

struct state_rule {
    enum state_rule_kind kind;
    int next; /* of MOVE */
};

struct state_rule flare_rule(enum flare_state state, enum flare_event event);

/* The state an event of ENDING leads to in the end: FINISHING gives SUCCEEDED; NONE for others. */
enum flare_state flare_outcome_of(enum flare_event event);

static inline bool flare_state_is_final(enum flare_state state)
{
    return state >= FLARE_SUCCEEDED;
}

const char *flare_state_name(enum flare_state state);
const char *flare_event_name(enum flare_event event);
const char *flare_event_meaning(enum flare_event event);

/* False, with *event untouched, for a name that is none. */
bool flare_event_parse(const char *name, enum flare_event *event);

#endif
