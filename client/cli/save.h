/* Results: into a folder, one file per rank, or printed. */
#ifndef CLI_SAVE_H
#define CLI_SAVE_H

#include "base/buffer.h"
#include "covey/client.h"

#include <stdint.h>

struct cli_results {
    const char *folder; /* NULL: print */
    bool json;          /* print the pieces as JSON */
    bool raw;           /* print the bytes and nothing else */
    /* Filled in. */
    uint32_t count;
    uint64_t bytes;
    /* Used within. */
    int fd;                   /* of the rank that is being written, or -1 */
    struct covey_buffer text; /* of the rank that is being printed, as far as it is short */
    uint64_t length_bytes;    /* of that rank */
    bool done;
    enum covey_status status; /* of writing */
    struct covey_error error;
    struct covey_error fetched; /* of fetching */
};

/*
 * Fetches a flare's results. In a folder each is the file rank-00003, whole or not there. What was
 * counted is in *results. ECANCELLED: a signal came.
 */
enum covey_status cli_results_fetch(struct covey_client *client, const char *id,
                                    struct covey_ranks ranks, struct cli_results *results,
                                    struct covey_error *error) COVEY_MUST_USE;

/* Makes the folder, and checks that results can be written there: before anything is started for
 * them. NULL is accepted. */
enum covey_status cli_results_check(const char *folder, struct covey_error *error) COVEY_MUST_USE;

#endif
