/* Time. Library code takes the time as a parameter; only loops and waits read the clock. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define COVEY_NS_PER_US 1000LL
#define COVEY_NS_PER_MS 1000000LL
#define COVEY_NS_PER_S  1000000000LL

/* Never reached: a deadline that is "none". */
#define COVEY_NEVER_NS INT64_MAX

/* CLOCK_MONOTONIC in nanoseconds: for durations and deadlines within one machine. */
int64_t covey_now_ns(void);

/* CLOCK_REALTIME in nanoseconds since 1970: for what a person or another machine reads. */
int64_t covey_wall_ns(void);

/* start + duration without overflow; COVEY_NEVER_NS is absorbing. A negative duration means none.
 */
int64_t covey_deadline_ns(int64_t start_ns, int64_t duration_ns);

#endif
