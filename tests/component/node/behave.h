/* What workers of the tests do, by their parameter. */
#ifndef TESTS_COMPONENT_NODE_BEHAVE_H
#define TESTS_COMPONENT_NODE_BEHAVE_H

#include "covey/worker.h"

int behave(struct covey_ctx *ctx);

#endif
