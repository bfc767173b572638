/* Doorbells: how an endpoint sleeps, and how it is woken. Internal to transport/core. */
#ifndef TRANSPORT_CORE_BELL_H
#define TRANSPORT_CORE_BELL_H

#include "transport/core/layout.h"

/* Sleeps while *word is value, at most until the deadline (a slice of it: it may return early). */
void bell_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline_ns);
void bell_futex_wake(_Atomic uint32_t *word);

/* Wakes the endpoint where it sleeps; one load where it does not. */
void bell_ring(const struct arena *arena, uint32_t endpoint);

/* Wakes the endpoint even if it only is about to sleep. */
void bell_force(const struct arena *arena, uint32_t endpoint);

/*
 * To sleep: bell_prepare, then look once more for what is waited for; then bell_sleep with what
 * bell_prepare returned, or bell_cancel.
 */
uint32_t bell_prepare(const struct arena *arena, uint32_t endpoint);
void bell_sleep(const struct arena *arena, uint32_t endpoint, uint32_t seen, int64_t deadline_ns);
void bell_cancel(const struct arena *arena, uint32_t endpoint);

#endif
