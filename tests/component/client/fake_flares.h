/* The services of the fake controller, and what they remember. */
#ifndef FAKE_FLARES_H
#define FAKE_FLARES_H

#include "rpc/rpc.h"

/* Ended by a row without a name. */
extern const struct rpc_service fake_services[];

void fake_flares_free(void);

#endif
