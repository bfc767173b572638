#include "service/controller/node_states.h"

#define BUG                                                                                        \
    {                                                                                              \
        STATE_BUG, 0                                                                               \
    }
#define IGNORED                                                                                    \
    {                                                                                              \
        STATE_IGNORE, 0                                                                            \
    }
#define STAY                                                                                       \
    {                                                                                              \
        STATE_STAY, 0                                                                              \
    }
#define TO(state)                                                                                  \
    {                                                                                              \
        STATE_MOVE, NODE_##state                                                                   \
    }

static const struct state_rule rules[NODE_EVENTS][NODE_STATES] = {
    /* clang-format off */
                                      /* none          UP            DRAINING      LOST          DOWN */
    [NODE_EVENT_REGISTERED] =         {TO(UP),       BUG,          BUG,          TO(UP),       TO(UP)},
    [NODE_EVENT_REGISTERED_DRAINED] = {BUG,          BUG,          BUG,          TO(DRAINING), TO(DRAINING)},
    [NODE_EVENT_DRAINED] =            {BUG,          TO(DRAINING), STAY,         STAY,         STAY},
    [NODE_EVENT_UNDRAINED] =          {BUG,          IGNORED,      TO(UP),       STAY,         STAY},
    [NODE_EVENT_LOST] =               {BUG,          TO(LOST),     TO(LOST),     IGNORED,      IGNORED},
    [NODE_EVENT_EXPIRED] =            {BUG,          BUG,          BUG,          TO(DOWN),     IGNORED},
    [NODE_EVENT_RESTARTED] =          {TO(LOST),     BUG,          BUG,          BUG,          BUG},
    /* clang-format on */
};

struct state_rule node_rule(enum node_state state, enum node_event event)
{
    return rules[event][state];
}

const char *node_state_name(enum node_state state)
{
    static const char *const names[] = {
#define NODE_STATE_NAME(id, name) [NODE_##id] = (name),
        NODE_STATE_MAP(NODE_STATE_NAME)
#undef NODE_STATE_NAME
    };
    return names[state];
}

const char *node_event_name(enum node_event event)
{
    static const char *const names[] = {
#define NODE_EVENT_NAME(id, name, meaning) [NODE_EVENT_##id] = (name),
        NODE_EVENT_MAP(NODE_EVENT_NAME)
#undef NODE_EVENT_NAME
    };
    return names[event];
}

const char *node_event_meaning(enum node_event event)
{
    static const char *const meanings[] = {
#define NODE_EVENT_MEANING(id, name, meaning) [NODE_EVENT_##id] = (meaning),
        NODE_EVENT_MAP(NODE_EVENT_MEANING)
#undef NODE_EVENT_MEANING
    };
    return meanings[event];
}
