/*
 * Flow control between two workers of different nodes: how many matched messages, and how many
 * bytes of payload that nobody asked for, may be under way from one to the other. Pure: no memory,
 * no time, no messages of its own; flow.c joins it to the engine.
 *
 * All counts run from the start and never back, and a grant says how far they may go in all. So a
 * grant may be lost, repeated or overtaken by a later one, and the greatest counts.
 *
 * A message is
 *   sent      when it leaves the sender, which needs leave:             sent <= limit
 *   arrived   when the receiver takes it out of its inbox:              arrived <= sent
 *   settled   when it is matched, or thrown away:                       settled <= arrived
 *   granted   is the greatest limit that the receiver has told:         limit <= granted
 *
 * What holds, with W the window:
 *   1. granted <= arrived + W. So at most W messages are on their way, in all hosts and inboxes
 *      together, whatever either worker does or leaves undone.
 *   2. While the receiver wants nothing of the sender, granted <= settled + W: a flood that nobody
 *      receives stops at the sender, with at most W messages unmatched at the receiver.
 *   3. While it wants something (a receive is posted, or a probe runs) and has taken all that it
 *      had granted, it grants more. So the message that matches comes, however many before it in
 *      the order of sending do not: no pair that matches waits for ever.
 *   4. After all that was sent has arrived, either the sender has leave to send, or the receiver
 *      has more than W/2 unmatched messages and wants nothing: grants are not worth a message for
 *      each, but none is forgotten.
 * Bytes follow 1, 2 and 4; for want of leave for bytes nothing waits, since a message can go as an
 * offer.
 */
#ifndef TRANSPORT_CORE_CREDIT_H
#define TRANSPORT_CORE_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

struct credit_window {
    uint32_t messages; /* even, at least 2 */
    uint32_t bytes;
};

/* The window of each pair in a flare of so many workers: smaller where there are more, so that what
 * a worker that does not receive lets pile up at its host stays within some megabytes. */
struct credit_window credit_window_of(uint32_t worker_count);

/* A limit, as it is told. */
struct credit_grant {
    uint64_t messages;
    uint64_t bytes;
};

/* The sender's side. */
struct credit_out {
    uint64_t sent;
    uint64_t sent_bytes;
    struct credit_grant limit;
};

void credit_out_init(struct credit_out *out, const struct credit_window *window);

/* True, and it counts as sent, where one more message may go. */
bool credit_send(struct credit_out *out);

/* It did not go after all. */
void credit_unsend(struct credit_out *out);

/* True, and they count as sent, where so many bytes may go unasked. */
bool credit_send_bytes(struct credit_out *out, uint32_t length_bytes);

/* Those bytes did not go after all. */
void credit_unsend_bytes(struct credit_out *out, uint32_t length_bytes);

/* A grant has come. False where no honest receiver would have made it; then it is not believed. */
bool credit_allow(struct credit_out *out, const struct credit_window *window,
                  const struct credit_grant *grant);

/* The receiver's side. */
struct credit_in {
    uint64_t arrived;
    uint64_t settled;
    uint64_t settled_bytes;
    struct credit_grant granted;
};

void credit_in_init(struct credit_in *in, const struct credit_window *window);

/* A message was taken out of the inbox. False where more came than was granted. */
bool credit_arrive(struct credit_in *in);

/* A message that had arrived is matched or thrown away. */
void credit_settle(struct credit_in *in);

/* So have bytes that came unasked. */
void credit_settle_bytes(struct credit_in *in, uint64_t length_bytes);

/* All that was granted has arrived: the sender may be waiting for leave. */
bool credit_is_dry(const struct credit_in *in);

/*
 * True where a grant should go out now, and *grant is it; wanted: the receiver wants something of
 * this sender. Call it after credit_settle, and where credit_is_dry and something becomes wanted.
 */
bool credit_due(const struct credit_in *in, const struct credit_window *window, bool wanted,
                struct credit_grant *grant);

/* The grant went out. */
void credit_granted(struct credit_in *in, const struct credit_grant *grant);

#endif
