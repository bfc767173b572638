/*
 * What is booked of a node, or of a machine, at a time. Room only falls where a booking starts: it
 * is least at the beginning of a view or there.
 */
#include "scheduler/cluster/booking.h"

#include "scheduler/cluster/share.h"

static bool counts(const struct sched_node *node, const struct sched_booking *booking)
{
    return booking->walk == *node->booked_walk;
}

/* True where it starts within a view, after its beginning. Who may run for ever meets all that will
 * ever start. */
static bool starts_in(const struct sched_booking *booking, const struct sched_view *view)
{
    return booking->start_ns > view->from_ns &&
           (booking->start_ns < view->until_ns || view->until_ns == COVEY_NEVER_NS);
}

static void take_off(struct sched_vector *room, const struct sched_vector *worker, uint32_t workers)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t amount = workers * worker->amount[d];
        room->amount[d] -= amount < room->amount[d] ? amount : room->amount[d];
    }
}

/* Takes off what is booked at a time. */
static void take_booked(const struct sched_node *node, int64_t at_ns, struct sched_vector *room)
{
    covey_list_for_each (link, &node->bookings) {
        const struct sched_booked *booked = covey_container_of(link, struct sched_booked, link);
        const struct sched_booking *booking = booked->booking;
        bool has_begun = booking->start_ns <= at_ns || booking->holds;
        bool has_ended = booking->until_ns <= at_ns && booking->until_ns != COVEY_NEVER_NS;
        if (counts(node, booking) && has_begun && !has_ended)
            take_off(room, &booking->worker, booked->workers);
    }
}

/* Takes off what is booked of all nodes of a machine at a time. */
static void take_booked_of_machine(const struct sched_machine *machine, int64_t at_ns,
                                   struct sched_vector *room)
{
    covey_list_for_each (link, &machine->nodes)
        take_booked(covey_container_of(link, struct sched_node, on_machine), at_ns, room);
}

/* What is left of a capacity beside what is claimed. */
static struct sched_vector left_of(const struct sched_vector *capacity,
                                   const struct sched_vector *claimed)
{
    struct sched_vector left = *capacity;
    take_off(&left, claimed, 1);
    return left;
}

static void lower(struct sched_vector *room, const struct sched_vector *then)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if (then->amount[d] < room->amount[d])
            room->amount[d] = then->amount[d];
    }
}

void sched_withhold(const struct sched_node *node, const struct sched_view *view,
                    struct sched_vector *room)
{
    take_booked(node, view->from_ns, room);
    covey_list_for_each (link, &node->bookings) {
        const struct sched_booking *booking =
            covey_container_of(link, struct sched_booked, link)->booking;
        if (!counts(node, booking) || !starts_in(booking, view))
            continue;
        struct sched_vector claimed;
        sched_claimed_beyond(node, booking->start_ns, &claimed);
        struct sched_vector then = left_of(&node->capacity, &claimed);
        take_booked(node, booking->start_ns, &then);
        lower(room, &then);
    }
}

void sched_withhold_machine(const struct sched_machine *machine, const struct sched_view *view,
                            struct sched_vector *room)
{
    const struct sched_bookings *bookings = machine->machines->bookings;
    take_booked_of_machine(machine, view->from_ns, room);
    covey_list_for_each (link, &bookings->all) {
        const struct sched_booking *booking = covey_container_of(link, struct sched_booking, link);
        if (booking->walk != bookings->walk || !starts_in(booking, view))
            continue;
        struct sched_vector claimed;
        sched_machine_claimed_beyond(machine, booking->start_ns, &claimed);
        struct sched_vector then = left_of(&machine->pool.capacity, &claimed);
        take_booked_of_machine(machine, booking->start_ns, &then);
        lower(room, &then);
    }
}

void sched_bookings_keep(struct sched_bookings *bookings, uint64_t walk)
{
    covey_list_for_each (link, &bookings->all) {
        struct sched_booking *booking = covey_container_of(link, struct sched_booking, link);
        if (booking->walk == walk)
            booking->walk = bookings->walk;
    }
}
