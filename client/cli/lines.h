/*
 * Log lines with their rank, "[3] text", on their way to the reader: standard output of workers to
 * ours, standard error to ours. Parts of a long line are put together again. While the reader is
 * behind, the operation that brings the lines is paused.
 */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include "base/map.h"
#include "client/cli/output.h"
#include "covey/client.h"

struct cli_lines {
    bool plain;                        /* without the rank */
    bool json;                         /* each as a JSON object */
    struct covey_operation *operation; /* paused and resumed; NULL: it has ended */

    /* Used within. */
    struct cli_output output;
    struct covey_map open; /* by rank and stream, what came so far of a line */
    bool paused;
    uint32_t prefix_rank;
    char prefix[16];
    size_t prefix_bytes;
};

/* plain, json and operation are set by the caller, before or after. */
void cli_lines_begin(struct cli_lines *lines);
void cli_lines_add(struct cli_lines *lines, const struct covey_log_line *line);
/* After each turn of the loop: the reader may have caught up, or fallen behind. */
void cli_lines_turn(struct cli_lines *lines);
/* No more come: adds what was not ended by a newline. */
void cli_lines_complete(struct cli_lines *lines);
/* Frees. */
void cli_lines_end(struct cli_lines *lines);

#endif
