/*
 * The cgroups of a node: a folder of its own in the unified hierarchy, beside the agent's group,
 * and in it a group for each pack. The folder's path is noted in the state folder, so that the next
 * agent finds what this one may leave, wherever that agent itself is started.
 */
#ifndef SERVICE_NODE_CGROUP_H
#define SERVICE_NODE_CGROUP_H

#include "covey/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_FOLDER_BYTES 384
#define CGROUP_BYTES        448

/* The node's folder, or "" */
struct cgroups {
    char folder[CGROUP_FOLDER_BYTES];  /* where packs are put */
    char earlier[CGROUP_FOLDER_BYTES]; /* where an agent before this one has put them */
    char note[320];                    /* the file that says so */
};

/* Reads what an earlier agent has noted. */
void cgroups_find_earlier(struct cgroups *cgroups, const char *state_folder);

/* Makes the node's folder, and notes it. False where there is no unified hierarchy that this user
 * can write to and that has cgroup.kill. */
bool cgroups_open(struct cgroups *cgroups, const char *node_name, const char *identity);

/* Removes the folders, where nothing is in them, and then the note. */
void cgroups_close(struct cgroups *cgroups);

/* Makes a group. False, with *group empty, where it cannot be made. */
bool cgroup_make(const struct cgroups *cgroups, uint64_t number, char group[CGROUP_BYTES]);

/* The group of a process that an earlier agent has started; "" where it is in none. */
void cgroup_of(const struct cgroups *cgroups, pid_t pid, char group[CGROUP_BYTES]);

/* Puts the calling process into a group; ends it where that fails. */
void cgroup_enter(const char *group);

/* SIGKILL to all in a group, and in those that it has made in it. */
void cgroup_kill(const char *group);

/* Removes a group and those in it. False while something in them has not ended yet. */
bool cgroup_remove(const char *group);

/* Kills and removes all groups of the node's folders that keep(group, data) is not true of. False
 * while some are still there. */
bool cgroups_sweep(const struct cgroups *cgroups, bool (*keep)(const char *group, void *data),
                   void *data);

#endif
