/* A table of flares, as wide as the terminal; what is piped is not cut. */
#ifndef CLI_FLARES_H
#define CLI_FLARES_H

#include "covey/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pages of flares, and pointers to all that is in them; zeroed at first. */
struct cli_flares {
    struct covey_flare_list **pages;
    size_t page_count;
    const struct covey_flare **rows;
    size_t count;
};

/* What rows can be in order of, NULL at the end: "age", "duration", ... */
extern const char *const cli_flares_keys[];

/* At most limit flares that the filter lets through, newest first. What calls give; ENOMEM. */
enum covey_status cli_flares_fetch(struct covey_client *client, struct covey_flare_filter *filter,
                                   uint32_t limit, struct cli_flares *flares,
                                   struct covey_error *error) COVEY_MUST_USE;
void cli_flares_free(struct cli_flares *flares);

/* Puts the rows in the order of the key of this index: what is largest or longest first, words by
 * the alphabet. */
void cli_flares_sort(struct cli_flares *flares, int key);

/* Columns as wide as what is in them. */
void cli_flares_print(const struct cli_flares *flares);

/* Columns of the terminal that standard output is, or 0. */
unsigned cli_terminal_width(void);

#endif
