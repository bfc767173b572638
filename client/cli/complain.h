/* What went wrong, said and told as an exit status. */
#ifndef CLI_COMPLAIN_H
#define CLI_COMPLAIN_H

#include "covey/status.h"

/* The exit statuses of every verb. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the flare failed; also: out of memory, disk full and the like */
    CLI_BAD_INPUT = 2,   /* arguments, files, or a request that the controller refused */
    CLI_UNPLACEABLE = 3, /* it can never be placed on this cluster */
    CLI_UNREACHABLE = 4, /* the controller */
    CLI_TIME_LIMIT = 5,  /* of the flare, or of waiting for it */
    CLI_CANCELLED = 130,
};

/* "covey VERB", as it begins each message. Set by main. */
extern const char *cli_name;

/* Prints "covey VERB: message" on standard error. */
void cli_complain(const char *format, ...) COVEY_PRINTF(1, 2);

/* The exit status of a failed call. */
int cli_exit_of(enum covey_status status);

#endif
