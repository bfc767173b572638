/*
 * A pack: loads a flare's code once, makes its workers and reaps them. One thread (beside worker
 * threads, where workers are threads), one epoll.
 *
 *   warm --PackPrepare--> ready --the arena's gate opens--> running --PackStop--> stopping --> gone
 */
#ifndef SERVICE_PACK_PACK_H
#define SERVICE_PACK_PACK_H

#include "base/log.h"
#include "service/common/link.h"
#include "service/common/local.h"
#include "service/pack/backlog.h"
#include "service/pack/code.h"
#include "service/pack/lines.h"
#include "service/pack/spool.h"
#include "transport/core/arena.h"
#include "worker/setup.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

struct pack;

/* Something in the epoll. ready is called with the epoll's events. */
struct pack_source {
    int fd; /* -1: none */
    bool watched;
    void (*ready)(struct pack *pack, struct pack_source *source, uint32_t events);
};

struct pack_worker;

/* A worker's standard output or error, or the pack's own. */
struct pack_output {
    struct pack_source source; /* the read end of a pipe, or none */
    struct spool spool;        /* the pack's own: what comes from the pipe, if any, and more */
    struct covey_list
        queued; /* on pack.outputs_waiting while it is to be read and nothing can be */
    struct pack *pack;
    uint32_t rank;
    uint32_t stream;
    size_t left_bytes; /* once it is settled: to be read yet */
    struct lines lines;
};

struct pack_worker {
    uint32_t rank;
    pid_t pid;          /* in this process's pid namespace; 0: a thread */
    uint32_t outer_pid; /* in the agent's */
    pthread_t thread;
    struct pack *pack;
    struct pack_source control;
    struct pack_output outputs[2];
    int64_t started_ns; /* by the wall clock; 0: not yet */
    bool start_told;
    bool ended;
    bool acknowledged;
    bool stopped;
    bool host_gone; /* when it ended */
    uint32_t exit_status;
    uint32_t signal;
    int64_t ended_ns;
    int result_fd;
    uint64_t result_bytes;
    char message[160];
};

/* Descriptors that a prepared pack keeps; those that workers need first. */
enum pack_fd {
    PACK_FD_ARENA,
    PACK_FD_EVENT,
    PACK_FD_PARAMETERS,
    PACK_FD_CODE,
    PACK_FD_LIFELINE,
    PACK_FD_FLARE,
    PACK_FD_STDIN,
    PACK_FDS
};

/* A pack begins once, or twice: see again.c. */
enum pack_life {
    PACK_LIFE_FIRST,
    PACK_LIFE_AGAIN,    /* executed with the flare's environment */
    PACK_LIFE_UNLOADED, /* and without the code, which its workers load */
};

struct pack {
    int epoll;
    bool finished;
    enum pack_life life;
    int log_fd;
    int words_fd;
    unsigned own_threads; /* without those of the code */
    const char *program;  /* its name, as it was executed */
    const char *runtime_folder;
    const char *cgroup; /* in which it is with all that it forks; or NULL */
    char socket_name[64];
    struct pack_source listener;
    struct pack_source agent;
    struct pack_source lifeline;
    struct pack_source signals;
    struct pack_source threads_done;
    struct local_link link;
    int64_t agent_deadline_ns; /* the agent must be back by then */
    int64_t stop_deadline_ns;  /* SIGKILL then */
    int64_t drain_deadline_ns; /* whoever holds a worker's output open is not waited for then */
    bool prepared;
    bool stopping;
    bool emptied; /* all workers are gone, and what they left behind was killed */
    bool settled; /* nothing more is written: what is left of the log is being passed on */
    bool host_gone;
    bool told_done;
    bool cut_short; /* worker threads were left in the middle of something */
    bool leaves;    /* it ends as a program does, with what the code has for that */
    int fds[PACK_FDS];
    Covey__V1__LocalFlare *flare;
    Covey__V1__LocalPack here;
    struct arena *arena;
    code_entry entry;
    bool is_object;            /* the code is loaded, not executed */
    bool in_place;             /* its content is at the path that it was deployed from */
    struct worker_setup setup; /* what is the same for all */
    uint64_t *parameter_bytes;
    size_t parameter_count;
    struct pack_worker *workers;
    size_t running;
    char stop_reason[160];
    struct covey_log_limit bad_results;
    struct backlog backlog;
    struct pack_output own[2];         /* see own.c */
    struct covey_list outputs_waiting; /* pack_output.queued, longest first */
    /* Ends of worker threads. */
    pthread_mutex_t threads_lock;
    struct thread_end *thread_ends;
};

/* ---- title.c ---- */

/* Before anything else looks at the arguments; a title may take their place later. */
void pack_title_init(int argc, char **argv);
/* Titles of a forked worker, which needs the pack's arguments no more, and of a thread. */
void pack_title_process(const struct pack *pack, uint32_t rank);
void pack_title_thread(const struct pack *pack, uint32_t rank);

/* ---- loop.c ---- */

/* Runs until the pack is finished. */
enum covey_status pack_run(struct pack *pack) COVEY_MUST_USE;
enum covey_status pack_watch(struct pack *pack, struct pack_source *source,
                             uint32_t events) COVEY_MUST_USE;
void pack_unwatch(struct pack *pack, struct pack_source *source);
/* Stops watching and closes. */
void pack_drop(struct pack *pack, struct pack_source *source);

/* ---- report.c: what is said to the agent ---- */

/* Sends; a broken connection is noticed by the loop, and what matters is said again to the next
 * agent. */
void pack_send(struct pack *pack, const local_message *message, const int *fds, size_t fd_count);
void pack_hello(struct pack *pack);
void pack_tell_ready(struct pack *pack);
void pack_tell_started(struct pack *pack);
void pack_tell_ended(struct pack *pack, struct pack_worker *worker);
void pack_fail(struct pack *pack, const struct covey_error *error, int32_t rank);

/* ---- output.c: what workers write ---- */

/* Takes the read end of an output, also after a failure, and reads it from now on. */
enum covey_status pack_output_open(struct pack *pack, struct pack_output *output,
                                   int take_fd) COVEY_MUST_USE;
void pack_output_ready(struct pack *pack, struct pack_source *source, uint32_t events);
/* Says what has no newline, and closes. */
void pack_output_close(struct pack *pack, struct pack_output *output);
/* A worker has ended: reads what it wrote last, as far as it is its turn. */
void pack_output_catch_up(struct pack *pack, struct pack_worker *worker);
/* Says to the agent what was not said yet. */
void pack_log_say(struct pack *pack);
/* The log was taken up to this offset: there may be room again for those that wait. */
void pack_log_taken(struct pack *pack, uint64_t offset);
/* All workers are gone: what is in the pipes now is the rest, whoever else still holds them. */
void pack_outputs_settle(struct pack *pack);
/* Reads of the rest what there is room for, and closes outputs that have no more. True when all are
 * closed. */
bool pack_outputs_drain(struct pack *pack);
/* Closes all outputs; where something of them was not read a last line says so. */
void pack_outputs_cut(struct pack *pack);

/* ---- own.c: what the code writes in the pack's own process ---- */

/* From here on it goes to memory, new and empty. */
void pack_own_redirect(struct pack *pack);
/* It goes to the memory that the pack found when it began again, and what is there is its own. */
void pack_own_adopt(struct pack *pack);
/* Adds to the log what has been written there. */
void pack_own_read(struct pack *pack);
/* From here on it is the workers' output: to pipes, which are read from now on and lead to the
 * memory, if there is any. */
enum covey_status pack_own_pipes(struct pack *pack, struct covey_error *error) COVEY_MUST_USE;
/* Nothing is read here any more: from here on it goes to the memory again, for the agent. */
void pack_own_leave(struct pack *pack);
/* Gives the agent the read ends. */
void pack_own_tell(struct pack *pack);

/* ---- control.c: what the agent and the workers say ---- */

void pack_agent_ready(struct pack *pack, struct pack_source *source, uint32_t events);
/* The newest connection is the agent's. Takes the descriptor. */
enum covey_status pack_take_agent(struct pack *pack, int take_fd) COVEY_MUST_USE;
void pack_listener_ready(struct pack *pack, struct pack_source *source, uint32_t events);
void pack_lifeline_ready(struct pack *pack, struct pack_source *source, uint32_t events);
void pack_control_ready(struct pack *pack, struct pack_source *source, uint32_t events);
/* Reads everything that is on a worker's control socket. */
void pack_control_drain(struct pack *pack, struct pack_source *source);

/* ---- prepare.c ---- */

/* Answers PackPrepare. After a failure the pack is finished. */
void pack_prepare(struct pack *pack, struct local_record *record);
/* Where the code's content lies under its own name, or NULL. */
static inline const char *pack_code_path(const struct pack *pack)
{
    return pack->in_place ? pack->flare->code_path : NULL;
}

/* ---- again.c ---- */

/* The life of a name on the command line. False: none. */
bool pack_life_parse(const char *name, enum pack_life *life);
/* Which of the pack's descriptors the record has at this place, of PACK_FDS. */
enum pack_fd pack_fd_of_record(size_t index);
/* Where the log is when a pack begins again. */
int pack_again_log_fd(void);
/* Executes the pack once more, in the present environment, to do what it was asked to; what it has
 * written by now was redirected to new memory. Returns only where it has failed before anything was
 * lost. */
enum covey_status pack_begin_again(struct pack *pack, const local_message *prepare,
                                   enum pack_life life, struct covey_error *error) COVEY_MUST_USE;
/* After a new beginning: what the pack was asked, and the agent's connection. */
enum covey_status pack_again_read(struct local_record *record, int *agent_fd) COVEY_MUST_USE;

/* ---- environment.c: what workers find in their environment ---- */

/* What is the same for all workers of the pack: the flare's variables, and Covey's own. */
enum covey_status pack_set_environment(struct pack *pack, struct covey_error *error) COVEY_MUST_USE;
/* Goes to the folder where the workers start. EPRECONDITION where it must be there, and is not. */
enum covey_status pack_enter_folder(const struct pack *pack,
                                    struct covey_error *error) COVEY_MUST_USE;
/* Lets this process, and what it forks, leave core dumps. */
void pack_allow_core_dumps(void);
/* Whether some of the flare's variables take effect only when a program starts. */
bool pack_environment_is_late(const struct pack *pack);
/* Puts what the worker of this index reads on its standard input; for a thread, its pack. */
bool pack_place_stdin(const struct pack *pack, uint32_t index) COVEY_MUST_USE;
/* What is a worker's own, in its process. False: no memory. */
bool pack_set_worker_environment(const struct pack *pack, uint32_t index) COVEY_MUST_USE;

/* ---- watch.c ---- */

typedef void pack_hang_fn(struct pack *pack, const struct covey_error *error, int32_t rank);

/* The code is being loaded from now on: where that has not come to an end within the time, on_hang
 * is told where it hangs, from a signal's handler. */
void pack_watch_load(struct pack *pack, int64_t within_ns, pack_hang_fn *on_hang);
void pack_unwatch_load(void);

/* ---- bind.c ---- */

/* Whether the workers can be bound to their cpus here. EUNAVAILABLE, with *rank set. */
enum covey_status pack_check_cpus(const struct pack *pack, int32_t *rank,
                                  struct covey_error *error) COVEY_MUST_USE;
/* Binds the calling thread as a worker; nothing where it is not to be bound. */
enum covey_status pack_bind(const struct pack *pack, uint32_t index) COVEY_MUST_USE;

/* ---- process.c, threads.c: making workers ---- */

enum covey_status pack_fork(struct pack *pack, struct pack_worker *worker,
                            struct covey_error *error) COVEY_MUST_USE;
enum covey_status pack_make_threads(struct pack *pack, struct covey_error *error) COVEY_MUST_USE;
void pack_threads_ready(struct pack *pack, struct pack_source *source, uint32_t events);
/* A process's id as the agent sees it; 0 where it cannot be found. */
uint32_t pack_outer_pid(pid_t pid);
/* The setup of one worker. */
struct worker_setup pack_worker_setup(const struct pack *pack, uint32_t index, int control_fd);

/* What a worker has returned, as an exit status: 0 for 0 alone. */
static inline uint32_t pack_exit_status(int returned)
{
    uint32_t low = (uint32_t)returned & 0xff;
    return returned != 0 && low == 0 ? 255 : low;
}

/* ---- reap.c ---- */

void pack_signals_ready(struct pack *pack, struct pack_source *source, uint32_t events);

/* How a worker has ended. */
struct pack_end {
    struct pack_worker *worker;
    uint32_t exit_status;
    uint32_t signal;
    bool still_runs; /* a thread that goes with the process: the host takes back what it held */
};

#define PACK_ENDS 64 /* that are dealt with at once */

/* Workers that have not been told of as ended have: marks them in the arena, wakes whoever waits
 * for them, and tells the agent. At most PACK_ENDS. */
void pack_workers_ended(struct pack *pack, const struct pack_end *ends, size_t count);

/* ---- stop.c ---- */

void pack_stop(struct pack *pack, int64_t grace_ns, const char *reason);
/* Ends everything in the pack but itself, at once. */
void pack_kill_all(struct pack *pack);
/* Nothing of the log is taken: what has not been said of it is given up. */
void pack_stop_cut(struct pack *pack);
/* Moves on with a stop; called once a turn of the loop. */
void pack_stop_progress(struct pack *pack, int64_t now_ns);
/* Removes the sockets of the flare, and its own folder, for want of an agent that would. */
void pack_remove_traces(const struct pack *pack);

#endif
