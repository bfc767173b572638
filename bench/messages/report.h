/* Rows for people and programs, on standard output. */
#ifndef BENCH_MESSAGES_REPORT_H
#define BENCH_MESSAGES_REPORT_H

#include "bench/messages/machine.h"
#include "bench/messages/row.h"

/* What stands above the rows: headings, or nothing in JSON. */
void report_begin(const struct settings *settings, const struct machine *machine);

/* A row, one line for each peer, or for Covey alone where there is none. */
void report_row(const struct row *row, const struct machine *machine);

#endif
