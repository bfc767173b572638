/*
 * What a verb that follows something writes to standard output and error: kept until it can be
 * written, so that signals and the client are served while the reader takes its time.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/buffer.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct cli_sink {
    int fd;
    struct covey_buffer text;
    size_t written_bytes; /* of the text */
    bool is_file;         /* it can always be written */
    int failed;           /* errno of the write that failed; what comes then is dropped */
};

/* 1: standard output, 2: standard error, as streams of workers are numbered. */
struct cli_output {
    struct cli_sink sinks[2];
};

void cli_output_begin(struct cli_output *output);
/* Drops what was not written. */
void cli_output_end(struct cli_output *output);

/* Where text for a stream is added; NULL once that has failed. */
struct covey_buffer *cli_output_text(struct cli_output *output, unsigned stream);
/* Bytes that wait. */
size_t cli_output_pending(const struct cli_output *output);

/* For poll: asks for what is needed to go on, and whether the reader of standard output is gone. */
void cli_output_poll(const struct cli_output *output, struct pollfd fds[2]);
/* Writes what can be written now. */
void cli_output_write(struct cli_output *output, const struct pollfd fds[2]);
/* errno of what failed, 0: nothing. */
int cli_output_failed(const struct cli_output *output);

/* Ends what was printed: CLI_OK, or CLI_FAILED where standard output has failed. */
int cli_finish_output(void);

/*
 * Ends the program as one that wrote to a pipe without a reader, by SIGPIPE, where a write of it
 * has failed so; else returns the exit status. The last thing that main does.
 */
int cli_output_exit(int exit_status);
/* Nobody reads any more: there is nobody to be told, either. */
bool cli_output_pipe_is_broken(void);

#endif
