/* How values are shown to a person. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdint.h>

/* "1.2 ms", "3.4 s"; "2.0 MiB"; "2026-01-31 12:00:00". Into text, which is returned. */
#define CLI_TEXT_BYTES 32
/* "4 s", "3 min", "2 h", "5 d": how long about. */
const char *cli_rough_text(char text[CLI_TEXT_BYTES], int64_t duration_ns);
const char *cli_duration_text(char text[CLI_TEXT_BYTES], int64_t duration_ns);
const char *cli_size_text(char text[CLI_TEXT_BYTES], uint64_t bytes);
const char *cli_time_text(char text[CLI_TEXT_BYTES], int64_t wall_ns);

/* "succeeded" for "SUCCEEDED". Static storage, overwritten by the fourth next call. */
const char *cli_lowercase(const char *name);

#endif
