/*
 * Boxes: for each pair of workers of a node a ring of one-line boxes, beside the inboxes, for
 * descriptors that are short enough when what is zero is left out: nearly all. Internal to
 * transport/core.
 *
 * A ring has one producer and one consumer, so that a descriptor costs one line: the producer
 * writes what it says and then, with release, the stamp of its position; the consumer, which knows
 * the position that comes next, waits for that stamp. What a dead producer had not stamped is not
 * there: nothing is to be reaped. How far the consumer has come is in a line of its own, written
 * every few boxes, and read only by a producer that believes the ring full.
 *
 * The consumer looks into the rings of those who talk to it: a bit for each, set by the producer
 * when it finds it clear, and cleared by the consumer when it has long found nothing. The producer
 * publishes and then looks at the bit; the consumer clears the bit and then looks into the box.
 *
 * Budget of a box: no system call, no lock, no memory; one locked instruction (the store of the
 * stamp, which orders it before the looks at the bit and at the doorbell).
 */
#ifndef TRANSPORT_CORE_BOXES_H
#define TRANSPORT_CORE_BOXES_H

#include "transport/core/layout.h"

struct boxes_out;
struct boxes_in;

/* One endpoint's side of all its rings; private to its process. */
struct boxes {
    uint32_t endpoint;
    uint32_t peers;        /* workers of the node; 0: they are too many for boxes */
    struct boxes_out *out; /* by endpoint */
    struct boxes_in *in;   /* by endpoint */
    uint32_t *talking;     /* endpoints whose rings are looked into */
    uint32_t talking_count;
    uint32_t next; /* in talking: where the next look begins */
};

/* Opens the rings of a worker, from the first box. ENOMEM. */
enum covey_status boxes_open(const struct arena *arena, uint32_t endpoint,
                             struct boxes *boxes) COVEY_MUST_USE;
void boxes_close(struct boxes *boxes);

enum boxes_posted {
    BOXES_UNFIT, /* it goes by the inbox */
    BOXES_FULL,  /* the sender is rung when there is room again, or tries again after a while */
    BOXES_POSTED,
};

/* Posts a descriptor to a worker of the node, and wakes it. */
enum boxes_posted boxes_post(const struct arena *arena, struct boxes *boxes, uint32_t to,
                             const struct descriptor *descriptor);

/*
 * Takes a descriptor: from each source in the order of posting. False when there is none. It is a
 * copy and unchecked, but for source and destination, which are those of the ring.
 */
bool boxes_take(const struct arena *arena, struct boxes *boxes, struct descriptor *descriptor);

/* True where boxes_take would find something. */
bool boxes_ready(const struct arena *arena, const struct boxes *boxes);

#endif
