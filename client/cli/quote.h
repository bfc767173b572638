/* JSON that the verbs write themselves. */
#ifndef CLI_QUOTE_H
#define CLI_QUOTE_H

#include "base/buffer.h"

/* Appends text as a JSON string with its quotes. */
enum covey_status cli_quote(struct covey_buffer *out, const char *text) COVEY_MUST_USE;

#endif
