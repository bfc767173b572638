/*
 * How the living members of a communicator agree on who they are, after a death or a timeout, while
 * further ones may die. Internal to transport/core.
 *
 * The lowest member that is not known to have ended speaks. Everybody JOINs the speaker; when all
 * that live have, it PROPOSEs a set; when all that live in it have ACKed, it DECIDEs. When the
 * speaker dies, everybody joins the next one, and says what it has ACKed last; the new speaker
 * proposes that again. So:
 *
 *   1. Nobody hears a decision before every living member has ACKed it: whatever speaker comes
 *      later finds it among the joins, with the highest ballot, and proposes nothing else.
 *   2. A speaker may propose another set while it has decided nothing and took its set from nobody:
 *      it does when a member dies on the way.
 *   3. Who has returned goes on answering joins for what is decided, in whatever call it waits in.
 *      So the communicator stays until the worker ends, though its user frees it.
 *   4. Who gives up for want of time may come again: what it has ACKed it still knows. The others
 *      wait for it, as long as it lives and they have time.
 *
 * It rests on this: an end that one member hears of is heard of by all, and is true. A member that
 * others hold for dead and that lives (its node was cut off) finds that it is left out.
 *
 * Messages are of a channel of their own, as the others may be full of what nobody will receive.
 * They fit into descriptors, so no state of the memory can hold them up; a set goes as several.
 */
#ifndef TRANSPORT_CORE_AGREE_H
#define TRANSPORT_CORE_AGREE_H

#include "transport/core/comm.h"

/*
 * Collective over the members that live: the ranks in the flare of those that all of them agree on,
 * in their order, and the number of such agreements of this communicator before. *ranks is the
 * caller's to free. ETIMEOUT, and the text names who did not come; EPEER where this worker is left
 * out; ENOMEM.
 */
enum covey_status agree_on_members(struct comm *comm, uint32_t **ranks, uint32_t *count,
                                   uint32_t *number) COVEY_MUST_USE;

/* True where the channel is that of agreements, and then the message is taken over. */
bool agree_takes(struct channel *channel, struct message *message);

/* Frees what a communicator keeps of its agreements. */
void agree_close(struct comm *comm);

#endif
