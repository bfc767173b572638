/* Which process is which: a pid is given to another when its process has ended. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* A process for as long as it runs, and no later one with its pid. */
struct covey_process_id {
    pid_t pid;
    uint64_t start_time; /* of /proc/PID/stat; 0: it does not run */
};

/* When a process was started; 0 where none of that pid runs. */
uint64_t covey_process_start_time(pid_t pid);

#endif
