#include "base/fault.h"

#include "base/error.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum action { ACTION_NONE, ACTION_FAIL, ACTION_KILL, ACTION_STOP };

static struct {
    enum action action;
    long nth;
    _Atomic long passes;
} points[COVEY_FAULT_POINTS];

bool covey_fault_armed;

static const char *const point_names[] = {
#define NAME(id, name) name,
    COVEY_FAULT_MAP(NAME)
#undef NAME
};

static int find_name(const char *name)
{
    for (int i = 0; i < COVEY_FAULT_POINTS; i++) {
        if (strcmp(name, point_names[i]) == 0)
            return i;
    }
    return -1;
}

static enum action parse_action(const char *text)
{
    if (!text || strcmp(text, "fail") == 0)
        return ACTION_FAIL;
    if (strcmp(text, "kill") == 0)
        return ACTION_KILL;
    return strcmp(text, "stop") == 0 ? ACTION_STOP : ACTION_NONE;
}

static enum covey_status arm(char *entry, struct covey_error *error)
{
    char *rest = NULL;
    const char *name = strtok_r(entry, ":", &rest);
    const char *count = strtok_r(NULL, ":", &rest);
    const char *action_name = strtok_r(NULL, ":", &rest);
    int point = name ? find_name(name) : -1;
    if (point < 0)
        return covey_error_set(error, COVEY_EINVAL, "COVEY_FAULT: no fault point is called \"%s\"",
                               name ? name : "");
    long nth = 1;
    if (count) {
        char *end;
        errno = 0;
        nth = strtol(count, &end, 10);
        if (errno || *end || end == count || nth < 1)
            return covey_error_set(error, COVEY_EINVAL, "COVEY_FAULT: \"%s\" is not a count from 1",
                                   count);
    }
    enum action action = parse_action(action_name);
    if (strtok_r(NULL, ":", &rest))
        return covey_error_set(error, COVEY_EINVAL,
                               "COVEY_FAULT: more than name:nth:action for \"%s\"", name);
    if (action == ACTION_NONE)
        return covey_error_set(error, COVEY_EINVAL,
                               "COVEY_FAULT: \"%s\" is none of fail, kill, stop", action_name);
    atomic_store(&points[point].passes, 0);
    points[point].action = action;
    points[point].nth = nth;
    covey_fault_armed = true;
    return COVEY_OK;
}

enum covey_status covey_fault_init(struct covey_error *error)
{
    const char *wanted = getenv("COVEY_FAULT");
    if (!wanted || !*wanted)
        return COVEY_OK;
    char text[512];
    size_t length = strlen(wanted);
    if (length >= sizeof(text))
        return covey_error_set(error, COVEY_EINVAL, "COVEY_FAULT is longer than %zu bytes",
                               sizeof(text) - 1);
    memcpy(text, wanted, length + 1);
    char *rest = NULL;
    for (char *entry = strtok_r(text, ",", &rest); entry; entry = strtok_r(NULL, ",", &rest)) {
        enum covey_status status = arm(entry, error);
        if (status)
            return status;
    }
    return COVEY_OK;
}

bool covey_fault_pass(enum covey_fault_point point)
{
    if (points[point].action == ACTION_NONE)
        return false;
    if (atomic_fetch_add(&points[point].passes, 1) + 1 != points[point].nth)
        return false;
    switch (points[point].action) {
    case ACTION_KILL:
        kill(getpid(), SIGKILL);
        /* Still here: the first process of a pid namespace is out of reach of its own signals, but
         * not of a trap. */
        __builtin_trap();
    case ACTION_STOP:
        raise(SIGSTOP);
        while (getpid() == 1)
            pause();
        return false;
    default:
        return true;
    }
}
