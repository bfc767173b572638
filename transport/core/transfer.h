/* How the parts of the engine work together. Internal to transport/core. */
#ifndef TRANSPORT_CORE_TRANSFER_H
#define TRANSPORT_CORE_TRANSFER_H

#include "transport/core/engine.h"

/* ---- engine.c ---- */

/*
 * Sends a descriptor: at once, or queued behind others where the inbox is full; done (may be NULL)
 * is completed when it is out. Its block's hold is taken over: it passes to the receiver. EPEER
 * where the destination has ended, ENOMEM; then the block is released.
 */
enum covey_status engine_post(struct engine *engine, const struct descriptor *descriptor,
                              struct request *done) COVEY_MUST_USE;

/* Sends a descriptor whose block the sender goes on holding, now or not at all: EAGAIN where the
 * inbox is full, EEXISTS where the receiver holds the block already, EPEER. */
enum covey_status engine_post_shared(struct engine *engine,
                                     const struct descriptor *descriptor) COVEY_MUST_USE;

/* Queued messages that would complete this request, or offer what it sends, are withdrawn. False
 * where there is none. */
bool engine_withdraw_pending(struct engine *engine, const struct request *request,
                             enum covey_status why);

/* The code of why an offer was given up that the other side accepts, where that word is still
 * queued; else another. */
uint64_t engine_pending_reason(struct engine *engine, const struct descriptor_header *accept,
                               uint64_t otherwise);

void engine_complete(struct request *request, enum covey_status status);
struct message *engine_message_new(struct engine *engine);
void engine_message_free(struct engine *engine, struct message *message);

/* Why a rank cannot be talked to any more: text and EPEER; OK while it lives. */
enum covey_status engine_check_rank(struct engine *engine, uint32_t rank);

/* Why nothing more comes from a rank, likewise: it has ended, and its messages were taken. */
enum covey_status engine_check_heard(struct engine *engine, uint32_t rank);

/* ---- match.c ---- */

/* Takes over a message that has its turn or not. */
void match_arrived(struct channel *channel, struct message *message);

/* Takes over the news that a message is withdrawn, which takes that message's place. */
void match_withdrawn(struct channel *channel, struct message *message);

/* A receive that is posted is so no longer. */
void match_unpost(struct request *request);

/* Takes back a message that was matched and not received. */
void match_put_back(struct channel *channel, struct message *message);

/* Fails what waits for ranks that have ended. The inbox has been emptied since they were marked. */
void match_ended(struct engine *engine);

/* True where a receive of the users' is posted that a message of this rank may match. */
bool match_wants(struct engine *engine, uint32_t rank);

/* ---- transfer.c ---- */

/* Gives a matched message to a receive, and frees it. */
void transfer_receive(struct engine *engine, struct request *request, struct message *message);

/* ACCEPT, DATA, and what ends a transfer that was agreed on: WITHDRAWN, REFUSED; the descriptor's
 * block is accepted. */
void transfer_accept(struct engine *engine, const struct descriptor *descriptor);
void transfer_data(struct engine *engine, const struct descriptor *descriptor);
void transfer_ended(struct engine *engine, const struct descriptor *descriptor);

/* Ends the receive, if there is one, that was given a message which is withdrawn. */
void transfer_withdrawn(struct channel *channel, const struct message *message);

/* Makes a message that has not gone out one that says only that it is withdrawn. */
void transfer_void(struct engine *engine, struct descriptor *descriptor, enum covey_status why);

/* True where this is all that a message says. */
bool transfer_is_void(const struct descriptor_header *header);

/* Ends a request here, without a word to the other side. */
void transfer_drop(struct request *request, enum covey_status status);

/* Moves on every accepted send, and the receives that wait for memory. */
void transfer_advance(struct engine *engine);

/* Gives up what a send holds. */
void transfer_drop_window(struct engine *engine, struct request *request);

/* Gives a request a cookie, by which the other side names it. ENOMEM. */
enum covey_status transfer_name(struct engine *engine, struct request *request) COVEY_MUST_USE;
void transfer_unname(struct engine *engine, struct request *request);

#endif
