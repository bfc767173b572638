/*
 * What the control groups around this process leave it of its machine: the memory limits, cpu
 * quotas and limits of processes of its own group and of all above it that can be seen, in the
 * unified hierarchy and in the older ones; and what the kernel counts of its kills there.
 */
#ifndef SERVICE_NODE_CONFINEMENT_H
#define SERVICE_NODE_CONFINEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFINEMENT_PATH_BYTES 512

/* A file of the kernel that lowers an amount; "", with UINT64_MAX, where none does. */
struct confinement_limit {
    uint64_t amount;
    char file[CONFINEMENT_PATH_BYTES];
    uint64_t
        group; /* the kernel's number of the group: the same in whatever container it is read */
};

struct confinement {
    struct confinement_limit memory;         /* bytes */
    struct confinement_limit cpus;           /* thousandths of a cpu */
    struct confinement_limit pids;           /* processes and threads */
    char kills_file[CONFINEMENT_PATH_BYTES]; /* counts those of the own group; "" */
};

/* Reads them. `root` is put before every path: "" but in tests. What cannot be read is no limit. */
void confinement_read(const char *root, struct confinement *confinement);

/* Where such a limit stands, for the text of an error by which no process or thread could be made
 * (EAGAIN): ", and FILE allows 64 processes and threads". Its length; 0 where there is none. */
size_t confinement_name_pids(const struct confinement *confinement, char *text, size_t size_bytes);

/* How often the kernel has killed a process of the group, or of one below it, because memory was
 * out. False where it does not say. */
bool confinement_kills(const struct confinement *confinement, uint64_t *kills);

/* The same of the whole machine; `root` as above. */
bool confinement_machine_kills(const char *root, uint64_t *kills);

#endif
