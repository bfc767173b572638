/* Finding a flare's processes from outside, by the mark in their environment. */
#ifndef TESTS_COMPONENT_NODE_PROCESSES_H
#define TESTS_COMPONENT_NODE_PROCESSES_H

#include <stddef.h>
#include <sys/types.h>

/* How many processes have COVEY_FLARE_ID=id in their environment; the pids of the first ones. */
size_t processes_marked(const char *flare_id, pid_t *pids, size_t limit);

/* The n-th (from 0) of them that runs a program ("covey-pack") and is a child of none of them that
 * runs it too: so not a forked worker. 0: none. */
pid_t processes_find(const char *flare_id, const char *program, size_t n);

/* The parent of a process; 0: there is no such process. */
pid_t processes_parent(pid_t pid);

#endif
