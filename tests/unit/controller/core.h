/* The controller's core on a clock and links that the test holds in its hands. */
#ifndef CORE_H
#define CORE_H

#include "base/clock.h"
#include "service/controller/controller.h"

#define CORE_SEEN 64

/* A link that notes what is sent. */
struct core_link {
    struct controller_link link;
    struct controller_node *node;
    uint64_t epoch;
    uint64_t sequence;
    uint64_t repeats; /* reports that it says, as it attaches, that it will repeat */
    uint64_t acknowledged;
    uint64_t log_taken;
    unsigned prepares, starts, stops, peers, refused;
    uint64_t refused_sequence;
    int64_t stop_grace_ns;
    size_t unknown;
    bool closed;
    enum covey_status fail_send; /* what the next sends give */
    char last_reason[256];
};

struct core {
    struct store *store;
    struct controller *controller;
    struct controller_options options;
    struct controller_identity caller;
    int64_t now_ns;
    int64_t wall_ns;
    char folder[256];
    struct covey_error error;
};

/* A fresh store with the code and definition "hello". */
void core_start(struct core *core);
/* Destroys and makes the controller again on the same store, as a restart. */
void core_restart(struct core *core);
void core_stop(struct core *core);
/* Time passes, in one step, and the controller has its turn. */
void core_pass(struct core *core, int64_t duration_ns);

enum covey_status core_attach(struct core *core, struct core_link *link, const char *name,
                              uint32_t slots, char **running, size_t running_count);
/* As core_attach with a capacity of the caller's. */
enum covey_status core_attach_as(struct core *core, struct core_link *link, const char *name,
                                 Covey__V1__Capacity *capacity, char **running,
                                 size_t running_count);
enum covey_status core_say(struct core *core, struct core_link *link,
                           Covey__V1__AttachRequest *message, bool report);

enum covey_status core_submit(struct core *core, uint32_t workers, int64_t limit_ns,
                              char id[ULID_BYTES]);
/* As core_submit with other options; the definition is hello. */
enum covey_status core_submit_as(struct core *core, uint32_t workers,
                                 Covey__V1__FlareOptions *options, char id[ULID_BYTES]);
/* Its state now. */
int core_state(struct core *core, const char *id);
/* Owned. */
flare_message *core_flare(struct core *core, const char *id);
/* As controller_explain and controller_plan, with the estimate. */
enum covey_status core_explain(struct core *core, const struct controller_identity *caller,
                               const char *id, Covey__V1__ExplainFlareResponse **why);
enum covey_status core_plan(struct core *core, const Covey__V1__FlareRequest *request,
                            Covey__V1__PlanFlareResponse *plan);
uint32_t core_slots_used(struct core *core, const char *node);

enum covey_status core_prepared(struct core *core, struct core_link *link, const char *id,
                                uint32_t first_rank, uint32_t workers);
enum covey_status core_worker_ended(struct core *core, struct core_link *link, const char *id,
                                    uint32_t rank, uint32_t signal);
enum covey_status core_gone(struct core *core, struct core_link *link, const char *id);

#endif
