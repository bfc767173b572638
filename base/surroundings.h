/* What a machine, a container or a parent may deny a program, and what we do then. */
#ifndef BASE_SURROUNDINGS_H
#define BASE_SURROUNDINGS_H

#include "covey/status.h"

/*
 * Whether what nothing works without is there: the system calls pidfd_open, pidfd_send_signal and
 * memfd_create, files of 16 MiB, 32 descriptors and a stack of 512 KiB (the last two are raised
 * where they may be).
 * EPRECONDITION names what is missing, and the remedy. Cheap: once, at a program's start.
 */
enum covey_status covey_surroundings_check(struct covey_error *error) COVEY_MUST_USE;

/* Closes descriptors first to last; where close_range is denied, one by one. */
void covey_close_range(unsigned first, unsigned last);

/* Closes all but the standard descriptors and these two, either of which may be -1. */
void covey_close_others(int keep, int keep_too);

#endif
