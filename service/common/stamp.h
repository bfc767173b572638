/*
 * The flare's mark in a process's environment. A warm process does not know its flare yet, so it is
 * started with room for the id, which is overwritten in place: /proc/PID/environ shows it from then
 * on, and children inherit it.
 */
#ifndef SERVICE_COMMON_STAMP_H
#define SERVICE_COMMON_STAMP_H

#include "covey/status.h"

/* What a warm process is started with. */
#define STAMP_ROOM "COVEY_FLARE_ID=__________________________"

/* Writes the id (1 to 26 characters) into the room. EPRECONDITION where there is none: the process
 * was not started by an agent. */
enum covey_status stamp_flare(const char *flare_id) COVEY_MUST_USE;

#endif
