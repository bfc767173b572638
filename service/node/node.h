/*
 * The agent: one process, one thread, one loop. What hangs on it:
 *
 *   attach   the stream to the controller, and what comes on it
 *   outbox   what is said to the controller, kept until it is acknowledged
 *   relay    logs of packs, kept until the controller has taken them
 *   warm     hosts and packs that wait to be used
 *   child    one host or pack process: its pidfd, its socket
 *   cgroup   where packs are held together by cgroups: the node's folder of them
 *   flare    one flare's share on this node, from Prepare to FlareGone
 *   cache    code
 */
#ifndef SERVICE_NODE_NODE_H
#define SERVICE_NODE_NODE_H

#include "base/list.h"
#include "base/map.h"
#include "covey/v1/node.pb-c.h"
#include "rpc/rpc.h"
#include "service/common/peer.h"
#include "service/node/cache.h"
#include "service/node/capacity.h"
#include "service/node/cgroup.h"
#include "service/node/oom.h"
#include "service/node/options.h"
#include "service/node/relay.h"

#include <uv.h>

struct node;
struct node_flare;

/* ---- child.c: host and pack processes ---- */

enum child_role { CHILD_HOST, CHILD_PACK };

enum child_state {
    CHILD_STARTING, /* executed, or connected again; has not said hello */
    CHILD_WARM,
    CHILD_USED,
    CHILD_ENDED,
};

/* Standard output and error of a pack's own process, as memory and as pipes. */
#define CHILD_OUTPUTS 4

struct node_child {
    struct covey_list node; /* of the warm pool, or of the flare's packs */
    struct covey_list all;  /* of node.children */
    struct node *agent;
    enum child_role role;
    enum child_state state;
    pid_t pid;
    int pidfd;
    bool ours; /* a child of this process: it can be waited for */
    uv_poll_t pid_poll;
    struct local_peer peer;
    unsigned handles; /* open uv handles: freed with the last */
    bool exited;
    int words_fd; /* its last error; -1: one that was adopted */
    int wait_status;
    bool wait_known;
    char socket_name[64];
    struct node_flare *flare;
    /* A pack in use. */
    uint32_t pack_id;
    uint32_t first_rank;
    uint32_t workers;
    bool asked; /* PREPARE was passed on to it */
    bool ready;
    bool done;
    int output_fds[CHILD_OUTPUTS]; /* where what its own process writes can be read, or -1 */
    int lifeline_fd;               /* its end, until it has it */
    int parameters_fd;
    uint64_t *parameter_bytes;
    size_t parameter_count;
    char cgroup[CGROUP_BYTES]; /* its cgroup's folder, or empty */
    uv_timer_t cgroup_timer;   /* it has exited, and its cgroup is not empty yet */
    int64_t cgroup_by_ns;
};

/* Executes a host or pack with its socket; it is warm once it has said hello. */
enum covey_status child_spawn(struct node *agent, enum child_role role, struct node_child **child,
                              struct covey_error *error) COVEY_MUST_USE;

/* Connects to the socket of one that another agent has started. Takes nothing over yet. ENOTFOUND
 * where nobody listens. */
enum covey_status child_connect(struct node *agent, const char *socket_name,
                                struct node_child **child) COVEY_MUST_USE;

/* Names the socket after the flare, so that whoever looks can tell. */
enum covey_status child_rename(struct node_child *child, const char *socket_name) COVEY_MUST_USE;

/* Its connection is closed: its end, and how it came, will be known in a moment. */
bool child_is_ending(const struct node_child *child);

/* SIGKILL; a pack takes all that it has forked with it. The end is told as for any other. */
void child_kill(struct node_child *child);

/* Where its main thread is, as far as the kernel says so: "running", "waiting in futex_wait_queue".
 */
void child_describe_wait(const struct node_child *child, char *text, size_t size_bytes);

/* Its last error, cut to size_bytes, of which none may be known: its length. */
size_t child_last_words(const struct node_child *child, char *text, size_t size_bytes);

/* ---- tree.c: holding a pack's descendants together ---- */

/* Settles TREE_AUTO: the strongest kind that works here. EPRECONDITION where a kind that was asked
 * for does not. */
enum covey_status tree_choose(struct node *agent, struct covey_error *error) COVEY_MUST_USE;

/* Forks with what the kind needs; the child returns 0, the agent its pid (and *pidfd). */
enum covey_status tree_fork(struct node *agent, struct node_child *child, pid_t *pid,
                            int *pidfd) COVEY_MUST_USE;

/* Whether something is left of a flare that only /proc can tell; kills it. */
bool tree_sweep(const char *flare_id);

/* ---- warm.c ---- */

struct warm {
    struct covey_list hosts;
    struct covey_list packs;
    uint32_t host_count;
    uint32_t pack_count;
    uint32_t failures; /* in a row */
    uint32_t deferred; /* refills that were put off, in a row */
    uv_timer_t timer;
};

void warm_open(struct node *agent);
/* A child of the role, warm or still starting; executed now where none is there. */
enum covey_status warm_take(struct node *agent, enum child_role role, struct node_child **child,
                            struct covey_error *error) COVEY_MUST_USE;
/* One of the pool has ended by itself. */
void warm_lost(struct node_child *child);
/* Fills up, soon, when nothing is being prepared. */
void warm_refill(struct node *agent);
void warm_refill_now(struct node *agent);
void warm_close(struct node *agent);

/* ---- flare.c, flare_make.c, flare_news.c, flare_end.c ---- */

enum flare_state {
    FLARE_FETCHING,  /* the code is on its way */
    FLARE_HOST,      /* the host makes the arena */
    FLARE_PACKS,     /* the packs make the workers */
    FLARE_READY,     /* Prepared was said */
    FLARE_RUNNING,   /* Start was received */
    FLARE_STOPPING,  /* Stop was received: ends with FlareGone */
    FLARE_WITHDRAWN, /* PREPARE failed: ends with PrepareFailed */
};

struct node_worker {
    uint32_t rank;
    uint32_t pack_id;
    uint32_t pid;
    int64_t started_ns;
    bool start_told;
    bool ended;
    bool acknowledged;
    Covey__V1__WorkerState state;
    uint32_t exit_status;
    uint32_t signal;
    int64_t ended_ns;
    uint64_t result_bytes;
    /* Its end is told after that of the host, which may be the cause. */
    bool held;
    int held_result_fd;
    char held_message[320];
    bool out_of_memory;
};

struct node_flare {
    struct node *agent;
    enum flare_state state;
    Covey__V1__LocalFlare *text;
    int text_fd;
    char code_sha256[CACHE_DIGEST_CHARACTERS + 1];
    int code_fd;
    char stdin_sha256[CACHE_DIGEST_CHARACTERS + 1]; /* or "" */
    int stdin_fd;
    uint8_t secret[32];
    size_t secret_bytes;
    int arena_fd;
    int event_fd;
    struct node_child *host;
    bool host_ended; /* it has been, and is no more */
    bool host_done;  /* it has nothing to send to other nodes any more */
    bool
        waits_for_host; /* a stop gives others time, who may still have to get what was sent here */
    bool prepared;      /* Prepared was said */
    bool started;       /* Start was received */
    bool stop_asked;    /* FlareGone is owed */
    bool gone;
    bool folder_gone; /* or it has never been */
    bool folder_leaves;
    bool settled; /* of an earlier agent, and all its processes have spoken */
    char host_address[128];
    char transport[64];
    bool transport_told;
    struct covey_list packs; /* node_child */
    uint32_t pack_count;     /* on this node */
    uint32_t packs_ready;
    uint32_t children;           /* that have not ended */
    struct node_worker *workers; /* of this node, by rank */
    uint32_t worker_count;
    uint64_t log_progress; /* grows when some of its logs is taken */
    uint64_t log_was;      /* what it was when the timer was set */
    bool log_cut;          /* its packs were told to give up what is left of their logs */
    uv_timer_t timer;      /* of preparation, then of a stop */
    uv_timer_t start_timer;
    unsigned handles;
    char failure_status[32];
    char failure_message[COVEY_ERROR_MESSAGE_BYTES];
    int32_t failure_rank;
    char stop_reason[160];
    uint32_t stop_round; /* of flare_stop_all, that has told it */
    /* When Prepare came, and when each step was done; for the log. */
    int64_t received_ns;
    int64_t timeout_ns; /* so long after that the answer is due */
    int64_t code_ns;
    int64_t host_ns;
};

/* What the controller says. */
void flare_prepare(struct node *agent, const Covey__V1__Prepare *prepare);
void flare_start(struct node *agent, const Covey__V1__Start *start);
void flare_stop(struct node *agent, const char *flare_id, int64_t grace_ns, const char *reason);
void flare_peers_ended(struct node *agent, const Covey__V1__PeersEnded *ended);
/* One of the above, by its field of AttachResponse, that could not be read: the flare is as far as
 * it goes. */
void flare_not_understood(struct node *agent, uint32_t command, const char *flare_id);

/* Stops every flare of the node, however many there are. */
void flare_stop_all(struct node *agent, int64_t grace_ns, const char *reason);

/* A flare without processes; its timers are initialised. NULL: out of memory. */
struct node_flare *flare_new(struct node *agent) COVEY_MUST_USE;
/* Takes the flare off the agent; it is freed when its handles are closed. */
void flare_forget(struct node_flare *flare);
/* From a Prepare, checked: the flare's text. */
enum covey_status flare_describe(struct node_flare *flare, const Covey__V1__Prepare *prepare,
                                 struct covey_error *error) COVEY_MUST_USE;
/* From the text: the workers of this node, and how many packs. ENOMEM. */
enum covey_status flare_make_workers(struct node_flare *flare) COVEY_MUST_USE;
/* The processes, taken from the pool, with their parameters. */
enum covey_status flare_take_processes(struct node_flare *flare, const Covey__V1__Prepare *prepare,
                                       struct covey_error *error) COVEY_MUST_USE;

/* The next step of preparation, where it is possible now. */
void flare_go_on(struct node_flare *flare);
/* The code, or what the workers read, has come, or not. */
void flare_code_ready(struct node_flare *flare, enum covey_status status, const char *message);
void flare_stdin_ready(struct node_flare *flare, enum covey_status status, const char *message);
/* Rolls back; PrepareFailed follows when nothing is left. status_name: of enum covey_status. */
void flare_withdraw(struct node_flare *flare, const char *status_name, const char *message,
                    int32_t rank);

/* What a flare's host or pack says, and its end. */
void flare_on_record(struct node_child *child, struct local_record *record);
void flare_child_ended(struct node_child *child);
/* Tells the ends that were held back. */
void flare_tell_held(struct node_flare *flare);
/* NULL for a rank that is not on this node. */
struct node_worker *flare_worker(struct node_flare *flare, uint32_t rank);
/* A pack is gone: so are those of its workers that had not ended. */
void flare_pack_lost(struct node_flare *flare, uint32_t pack_id, const char *how,
                     bool out_of_memory);
void flare_host_lost(struct node_flare *flare, const char *how);
void flare_fill_worker(const struct node_flare *flare, const struct node_worker *worker,
                       Covey__V1__Worker *message, Google__Protobuf__Timestamp *started,
                       Google__Protobuf__Timestamp *ended);
void flare_tell_started(struct node_flare *flare);
void flare_worker_acknowledged(struct node *agent, const char *flare_id, uint32_t rank);

/* Answers a Prepare of which nothing was begun, and forgets the flare. */
void flare_refuse(struct node_flare *flare, const char *flare_id, const struct covey_error *error);
/* The controller is lost: it may place anew what was not ready. */
void flare_withdraw_unprepared(struct node *agent);
/* Whether something that was never ready is still being removed. */
bool flare_withdrawing(const struct node *agent);

/* Says that a flare cannot go on here, though its host may be there. */
void flare_tell_broken(struct node *agent, const char *flare_id, const char *message);

/* Ends all processes of a flare at once. */
void flare_kill(struct node_flare *flare);
/* Says so and forgets the flare, where it is being ended and nothing of it is left. */
void flare_check_gone(struct node_flare *flare);

/* ---- folder.c: a flare's own folder on this node ---- */

#define FOLDER_BYTES 640

void folder_path(const struct node *agent, const char *flare_id, char path[FOLDER_BYTES]);
/* Removes it, where a pack has made it. False where that is under way: removed follows. */
bool folder_remove(struct node_flare *flare, void (*removed)(struct node_flare *flare));
/* Removes those of flares that are not here, which an agent that was killed has left. */
void folder_sweep(struct node *agent);

/* ---- outbox.c: reports ---- */

struct outbox {
    struct covey_list reports;
    struct covey_list *next; /* the first that was not sent on this stream */
    uint64_t sequence;       /* of the newest */
};

void outbox_open(struct outbox *outbox);
void outbox_close(struct outbox *outbox);

/* Queues a report, copied. result_fd (may be -1; taken) is sent before it as ResultChunks. */
void outbox_add(struct node *agent, const Covey__V1__AttachRequest *report, int take_result_fd,
                uint64_t result_bytes);
void outbox_acknowledge(struct node *agent, uint64_t sequence);
/* The controller never takes it: what is left of it is its sequence. */
void outbox_refused(struct node *agent, uint64_t sequence, const char *reason);
/* A part of some log was taken. */
void flare_log_taken(struct node *agent, const Covey__V1__LogTaken *taken);

/* From the first unacknowledged one again. */
void outbox_rewind(struct outbox *outbox);
/* The sequence of the newest report that waits for its acknowledgement; 0: none does. */
uint64_t outbox_last(const struct outbox *outbox);
/* Sends as much as the stream takes. */
void outbox_pump(struct node *agent);

/* ---- attach.c ---- */

struct attach {
    struct rpc_channel *channel;
    struct rpc_call *call;
    bool registered;
    uint64_t epoch;
    int64_t back_off_ns;
    int64_t registered_ns;
    int64_t heartbeat_ns;
    size_t message_bytes; /* no longer one is taken by the controller */
    uv_timer_t retry;
    uv_timer_t heartbeat;
    bool closing;
};

enum covey_status attach_open(struct node *agent, struct covey_error *error) COVEY_MUST_USE;
void attach_start(struct node *agent);
void attach_close(struct node *agent);

/* ---- register.c ---- */

/* Says who this node is and what runs on it, first on a stream. */
bool register_send(struct node *agent);

/* ---- usage.c ---- */

/* Tells the controller what the workers of a flare use now. */
void usage_tell(struct node *agent, const char *flare_id);

/* ---- proc.c ---- */

/* One of a process's files in /proc, as text. False, and the text is empty, where it cannot be
 * read. */
bool proc_read(uint32_t pid, const char *file, char *text, size_t size_bytes);

/* ---- fetch.c ---- */

/* Opens a blob, from the cache or the controller; flare_code_ready, or flare_stdin_ready, is
 * called, later or at once. */
void fetch_code(struct node_flare *flare);
void fetch_stdin(struct node_flare *flare);
/* The flare does not wait for a blob any more. */
void fetch_forget(struct node_flare *flare);

/* ---- adopt.c ---- */

/* Connects to what runs in the runtime folder; node_adopted is called when all have said what they
 * are. */
void adopt_start(struct node *agent);
/* One of them has said hello (or was lost: record NULL). */
void adopt_hello(struct node_child *child, struct local_record *record);

/* ---- node.c ---- */

struct node {
    uv_loop_t loop;
    struct node_options options;
    struct capacity capacity;
    struct oom oom;
    char identity[128];
    char machine[64]; /* the boot, and the control group that bounds this node, where one does */
    int lock_fd;
    int runtime_fd;
    enum tree_kind tree;
    struct cgroups cgroups;
    struct cache *cache;
    struct covey_map flares;
    struct covey_list children;
    uint64_t spawned; /* names sockets */
    struct warm warm;
    struct outbox outbox;
    struct relay relay;
    struct attach attach;
    struct covey_list fetches;
    uint32_t adopting;
    bool adopted;
    uv_timer_t adopt_timer;
    int64_t sweep_by_ns; /* what was left in cgroups is waited for until then */
    uv_signal_t signals[2];
    bool reaps_orphans;
    uv_signal_t orphans;
    uv_timer_t orphans_timer;
    uv_poll_t lifeline;
    bool has_lifeline;
    uint32_t stop_rounds; /* of flare_stop_all */
    bool stopping;
    bool report_late; /* reports that are still unacknowledged are given up */
    bool closed;
    uv_timer_t stop_timer;
    int exit_status;
};

/* Runs an agent to its end; the process's exit status. */
int node_run(const struct node_options *options);
/* Nothing is left to adopt: the controller may be told. */
void node_adopted(struct node *agent);
/* Every flare and pooled process ends; unless at once, with a grace and time for the reports. */
void node_shut_down(struct node *agent, bool at_once);
/* Moves on with a shutdown, when a flare or child has gone. */
void node_check_stopped(struct node *agent);

/* A duration that was received; otherwise_ns for none, or one that is none. */
int64_t node_duration_ns(const Google__Protobuf__Duration *duration, int64_t otherwise_ns);

/* A timestamp of the wall clock; 0 gives one that is not set. */
bool node_timestamp(int64_t wall_ns, Google__Protobuf__Timestamp *timestamp);

#endif
