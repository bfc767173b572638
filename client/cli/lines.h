/*
 * Prints log lines with their rank, each by one write: "[3] text". Pieces of a long line are put
 * together again. Standard output of workers goes to ours, standard error to ours.
 */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include "base/map.h"
#include "covey/client.h"

struct cli_lines {
    struct covey_map open; /* by rank and stream, what came so far */
    bool plain;            /* without the rank */
};

void cli_lines_print(struct cli_lines *lines, const struct covey_log_line *line);

/* Prints what was not ended by a newline, and frees. */
void cli_lines_finish(struct cli_lines *lines);

#endif
