/* Bookings: room of nodes that is kept from a time on. A promise is one. */
#ifndef SCHEDULER_CLUSTER_BOOKING_H
#define SCHEDULER_CLUSTER_BOOKING_H

#include "scheduler/cluster/machine.h"

struct sched_bookings {
    struct covey_list all; /* of sched_booking.link */
    uint64_t walk;         /* the last way through the queue; bookings of others do not count */
};

struct sched_booking {
    struct covey_list link; /* among all */
    int64_t start_ns;
    int64_t until_ns;
    bool holds;    /* what is free there is kept for it from now on */
    uint64_t walk; /* it counts in this one */
    struct sched_vector worker;
};

/* The part of a booking on one node. */
struct sched_booked {
    struct covey_list link; /* in the node's list */
    struct sched_node *node;
    const struct sched_booking *booking;
    uint32_t workers;
};

/* Lowers room by what is booked of a node in a view. */
void sched_withhold(const struct sched_node *node, const struct sched_view *view,
                    struct sched_vector *room);
/* The same, of all nodes of a machine. */
void sched_withhold_machine(const struct sched_machine *machine, const struct sched_view *view,
                            struct sched_vector *room);
/* Those that counted in a walk do in the last, which only looked. */
void sched_bookings_keep(struct sched_bookings *bookings, uint64_t walk);

#endif
