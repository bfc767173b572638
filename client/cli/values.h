/* Values of options: on a malformed one argp_error ends the program with CLI_BAD_INPUT. */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include "covey/client.h"

#include <argp.h>
#include <stdint.h>

uint32_t cli_parse_count(const struct argp_state *state, const char *option, const char *text,
                         uint32_t least, uint32_t most);
int32_t cli_parse_integer(const struct argp_state *state, const char *option, const char *text,
                          int32_t least, int32_t most);
/* Sizes and times as base/quantity.h has them, above 0. */
uint64_t cli_parse_size(const struct argp_state *state, const char *option, const char *text);
int64_t cli_parse_duration(const struct argp_state *state, const char *option, const char *text);
/* "key=value" cut into the pair; text is changed and kept. */
struct covey_pair cli_parse_pair(const struct argp_state *state, const char *option, char *text);
/* "0,3,8-11": *ranks is allocated. */
void cli_parse_ranks(const struct argp_state *state, const char *text, uint32_t **ranks,
                     size_t *count);

#endif
