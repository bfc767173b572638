#include "service/controller/flare_states.h"

#include <stddef.h>
#include <string.h>

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
        STATE_MOVE, FLARE_##state                                                                  \
    }
#define OUTCOME                                                                                    \
    {                                                                                              \
        STATE_OUTCOME, 0                                                                           \
    }

/* One column for all final states: what a flare ends as changes nothing in what may follow. */
enum { FINAL = FLARE_SUCCEEDED, COLUMNS };

static const struct state_rule rules[FLARE_EVENTS][COLUMNS] = {
    /* clang-format off */
                                /* none        QUEUED         PREPARING    RUNNING      ENDING   final */
    [FLARE_EVENT_ACCEPTED] =        {TO(QUEUED), BUG,           BUG,         BUG,         BUG,     BUG},
    [FLARE_EVENT_PLACED] =          {BUG,        TO(PREPARING), BUG,         BUG,         BUG,     BUG},
    [FLARE_EVENT_NODE_READY] =      {BUG,        IGNORED,       STAY,        IGNORED,     IGNORED, IGNORED},
    [FLARE_EVENT_ROLLING_BACK] =    {BUG,        BUG,           STAY,        BUG,         BUG,     BUG},
    [FLARE_EVENT_RESTARTING] =      {BUG,        BUG,           BUG,         TO(PREPARING), TO(PREPARING), BUG},
    [FLARE_EVENT_REQUEUED] =        {BUG,        BUG,           TO(QUEUED),  BUG,         BUG,     BUG},
    [FLARE_EVENT_STARTED] =         {BUG,        BUG,           TO(RUNNING), BUG,         BUG,     BUG},
    [FLARE_EVENT_WORKERS_STARTED] = {BUG,        IGNORED,       IGNORED,     STAY,        STAY,    IGNORED},
    [FLARE_EVENT_WORKER_ENDED] =    {BUG,        IGNORED,       IGNORED,     STAY,        STAY,    IGNORED},
    [FLARE_EVENT_NODE_LOST] =       {BUG,        IGNORED,       STAY,        STAY,        STAY,    IGNORED},
    [FLARE_EVENT_NODE_RETURNED] =   {BUG,        IGNORED,       STAY,        STAY,        STAY,    IGNORED},
    [FLARE_EVENT_REPORT_REFUSED] =  {BUG,        IGNORED,       STAY,        STAY,        STAY,    IGNORED},
    [FLARE_EVENT_FINISHING] =       {BUG,        BUG,           BUG,         TO(ENDING),  IGNORED, IGNORED},
    [FLARE_EVENT_FAILING] =         {BUG,        TO(ENDING),    TO(ENDING),  TO(ENDING),  IGNORED, IGNORED},
    [FLARE_EVENT_CANCELLING] =      {BUG,        TO(ENDING),    TO(ENDING),  TO(ENDING),  IGNORED, IGNORED},
    [FLARE_EVENT_TIMING_OUT] =      {BUG,        BUG,           BUG,         TO(ENDING),  IGNORED, IGNORED},
    [FLARE_EVENT_ENDED] =           {BUG,        BUG,           BUG,         BUG,         OUTCOME, BUG},
    /* clang-format on */
};

struct state_rule flare_rule(enum flare_state state, enum flare_event event)
{
    return rules[event][flare_state_is_final(state) ? FINAL : (int)state];
}

enum flare_state flare_outcome_of(enum flare_event event)
{
    switch (event) {
    case FLARE_EVENT_FINISHING:
        return FLARE_SUCCEEDED;
    case FLARE_EVENT_FAILING:
        return FLARE_FAILED;
    case FLARE_EVENT_CANCELLING:
        return FLARE_CANCELLED;
    case FLARE_EVENT_TIMING_OUT:
        return FLARE_TIMED_OUT;
    default:
        return FLARE_NONE;
    }
}

const char *flare_state_name(enum flare_state state)
{
    static const char *const names[] = {
#define FLARE_STATE_NAME(id, name) [FLARE_##id] = (name),
        FLARE_STATE_MAP(FLARE_STATE_NAME)
#undef FLARE_STATE_NAME
    };
    return names[state];
}

static const char *const event_names[] = {
#define FLARE_EVENT_NAME(id, name, meaning) [FLARE_EVENT_##id] = (name),
    FLARE_EVENT_MAP(FLARE_EVENT_NAME)
#undef FLARE_EVENT_NAME
};

const char *flare_event_name(enum flare_event event)
{
    return event_names[event];
}

const char *flare_event_meaning(enum flare_event event)
{
    static const char *const meanings[] = {
#define FLARE_EVENT_MEANING(id, name, meaning) [FLARE_EVENT_##id] = (meaning),
        FLARE_EVENT_MAP(FLARE_EVENT_MEANING)
#undef FLARE_EVENT_MEANING
    };
    return meanings[event];
}

bool flare_event_parse(const char *name, enum flare_event *event)
{
    for (int i = 0; i < FLARE_EVENTS; i++) {
        if (strcmp(event_names[i], name) == 0) {
            *event = (enum flare_event)i;
            return true;
        }
    }
    return false;
}
