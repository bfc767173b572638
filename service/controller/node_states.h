/* The life of a node as a table, as flare_states.h. */
#ifndef SERVICE_CONTROLLER_NODE_STATES_H
#define SERVICE_CONTROLLER_NODE_STATES_H

#include "service/controller/flare_states.h"

/* Numbered as covey.v1.NodeState. */
#define NODE_STATE_MAP(X)                                                                          \
    X(NONE, "(none)")                                                                              \
    X(UP, "UP")                                                                                    \
    X(DRAINING, "DRAINING")                                                                        \
    X(LOST, "LOST")                                                                                \
    X(DOWN, "DOWN")

enum node_state {
#define NODE_STATE_ENUM(id, name) NODE_##id,
    NODE_STATE_MAP(NODE_STATE_ENUM)
#undef NODE_STATE_ENUM
        NODE_STATES
};

#define NODE_EVENT_MAP(X)                                                                          \
    X(REGISTERED, "registered", "its agent attached")                                              \
    X(REGISTERED_DRAINED, "registered_drained", "the agent of a drained node attached")            \
    X(DRAINED, "drained", "an operator took it out of placement")                                  \
    X(UNDRAINED, "undrained", "an operator put it back")                                           \
    X(LOST, "lost", "its stream closed, or its heartbeats stopped")                                \
    X(EXPIRED, "expired", "its grace is over")                                                     \
    X(RESTARTED, "restarted", "the controller started again and knows it")

enum node_event {
#define NODE_EVENT_ENUM(id, name, meaning) NODE_EVENT_##id,
    NODE_EVENT_MAP(NODE_EVENT_ENUM)
#undef NODE_EVENT_ENUM
        NODE_EVENTS
};

struct state_rule node_rule(enum node_state state, enum node_event event);
const char *node_state_name(enum node_state state);
const char *node_event_name(enum node_event event);
const char *node_event_meaning(enum node_event event);

#endif
