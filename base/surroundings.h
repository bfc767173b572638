/* What a machine, a container or a parent may deny a program, and what we do then. */
#ifndef BASE_SURROUNDINGS_H
#define BASE_SURROUNDINGS_H

#include "covey/status.h"

#include <stddef.h>

/*
 * Whether what nothing works without is there: the system calls pidfd_open, pidfd_send_signal and
 * memfd_create, /proc, files of 16 MiB, 32 descriptors and a stack of 512 KiB (the last two are
 * raised where they may be). EPRECONDITION names what is missing, and the remedy. Cheap: once, at a
 * program's start.
 */
enum covey_status covey_surroundings_check(struct covey_error *error) COVEY_MUST_USE;

/* Whether so many more threads can be started: who is refused one later may only abort. EAGAIN with
 * the limit. */
enum covey_status covey_threads_check(unsigned count, struct covey_error *error) COVEY_MUST_USE;

/*
 * Which of this process's own limits an error of the system may have come of: "the limit of open
 * files is 64 (ulimit -n)". Its length; 0, with text empty, where there is none for it or it is
 * unlimited. EAGAIN is for what starts processes or threads.
 */
size_t covey_limit_text(int error_number, char *text, size_t size_bytes);

/* Closes descriptors first to last; where close_range is denied, one by one. */
void covey_close_range(unsigned first, unsigned last);

/* Closes all but the standard descriptors and these two, either of which may be -1. */
void covey_close_others(int keep, int keep_too);

#endif
