/* What a person can do about a flare that did not succeed. */
#ifndef CLI_ADVICE_H
#define CLI_ADVICE_H

#include "covey/client.h"

/* Prints it, a line each: "next: ...". Nothing for a flare that succeeded or has not ended. */
void cli_print_advice(const struct covey_flare *flare);

#endif
