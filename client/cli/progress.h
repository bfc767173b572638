/*
 * How far a flare is, on standard error: one live line on a terminal, a line for each change
 * elsewhere. One flare at a time.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "covey/client.h"

#include <stdbool.h>

/* Begins, silently where quiet. */
void cli_progress_begin(bool quiet);

/* Shows what is being done before there is a flare. */
void cli_progress_step(const char *text);

/* Shows what an event or a flare says; either may be NULL. */
void cli_progress_show(const struct covey_event *event, const struct covey_flare *flare);

/* Wipes the live line, which the next show draws again: before anything else is printed. */
void cli_progress_hide(void);

/* A remark that stays, beside the live line. */
void cli_progress_say(const char *format, ...) COVEY_PRINTF(1, 2);

/* Where the time went, and how it ended. results_ns: what fetching results took, or -1. */
void cli_progress_summary(const struct covey_flare *flare, int64_t results_ns);

#endif
