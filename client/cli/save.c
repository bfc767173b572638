#include "client/cli/save.h"

#include "base/error.h"
#include "base/io.h"
#include "base/text.h"
#include "client/cli/cli.h"
#include "client/cli/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Longer results are not printed, but named. */
#define PRINTED_BYTES 4096

static void fail_file(struct cli_results *results, uint32_t rank)
{
    results->status = covey_error_set_errno(&results->error, errno,
                                            "cannot write the result of rank %" PRIu32 " in %s",
                                            rank, results->folder);
}

/* DIR/rank-00003; written under another name first, so that it is whole or not there. */
static void result_paths(const struct cli_results *results, uint32_t rank, char temporary[PATH_MAX],
                         char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/rank-%05" PRIu32, results->folder, rank);
    snprintf(temporary, PATH_MAX, "%s/.rank-%05" PRIu32 ".part", results->folder, rank);
}

static void save_piece(struct cli_results *results, const struct covey_result_piece *piece)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    result_paths(results, piece->rank, temporary, path);
    if (piece->offset == 0) {
        results->fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (results->fd < 0) {
            fail_file(results, piece->rank);
            return;
        }
    }
    bool failed =
        covey_write_full(results->fd, piece->data.data, piece->data.length_bytes) != COVEY_OK;
    if (!failed && piece->last) {
        failed = close(results->fd) != 0 || rename(temporary, path) != 0;
        results->fd = -1;
    }
    if (failed)
        fail_file(results, piece->rank);
    if (failed)
        unlink(temporary);
}

/* Text that can go to a terminal as it is: UTF-8 without control characters but newline and tab. */
static bool is_text(const struct covey_buffer *bytes)
{
    if (!covey_text_valid(bytes->data, bytes->length_bytes))
        return false;
    for (size_t i = 0; i < bytes->length_bytes; i++) {
        uint8_t byte = bytes->data[i];
        bool is_c1 = byte == 0xc2 && bytes->data[i + 1] < 0xa0;
        if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f || is_c1)
            return false;
    }
    return true;
}

static void print_result(struct cli_results *results, uint32_t rank)
{
    char size[CLI_TEXT_BYTES];
    size_t length = results->text.length_bytes;
    bool whole = results->length_bytes == length;
    if (whole && length == 0)
        return;
    if (!whole || !is_text(&results->text)) {
        printf("result %" PRIu32 ": %s (save it with --results DIR)\n", rank,
               cli_size_text(size, results->length_bytes));
        return;
    }
    const char *next = (const char *)results->text.data;
    const char *end = next + length;
    while (next < end) {
        const char *newline = memchr(next, '\n', (size_t)(end - next));
        printf("result %" PRIu32 ": %.*s\n", rank, (int)((newline ? newline : end) - next), next);
        next = newline ? newline + 1 : end;
    }
}

static void print_piece(struct cli_results *results, const struct covey_result_piece *piece)
{
    if (piece->offset == 0) {
        results->text.length_bytes = 0;
        results->length_bytes = 0;
    }
    results->length_bytes += piece->data.length_bytes;
    if (results->length_bytes <= PRINTED_BYTES)
        results->status =
            covey_buffer_append(&results->text, piece->data.data, piece->data.length_bytes);
    if (!results->status && piece->last)
        print_result(results, piece->rank);
}

static void on_piece(void *data, const struct covey_result_piece *piece)
{
    struct cli_results *results = data;
    if (results->status)
        return;
    results->count += piece->last;
    results->bytes += piece->data.length_bytes;
    if (results->folder)
        save_piece(results, piece);
    if (results->json && !results->folder)
        printf("%s\n", piece->json);
    else if (results->raw)
        fwrite(piece->data.data, 1, piece->data.length_bytes, stdout);
    else if (!results->folder)
        print_piece(results, piece);
}

static enum covey_status finish(struct cli_results *results, struct covey_error *error)
{
    covey_close(&results->fd);
    covey_buffer_free(&results->text);
    if (results->status && !results->error.status)
        return covey_error_set(error, results->status, "%s", covey_status_text(results->status));
    if (results->status)
        *error = results->error;
    return results->status;
}

enum covey_status cli_results_check(const char *folder, struct covey_error *error)
{
    if (!folder)
        return COVEY_OK;
    enum covey_status status = covey_make_dirs(folder, 0777, error);
    if (!status && access(folder, W_OK | X_OK) != 0)
        status = covey_error_set_errno(error, errno, "cannot write results in %s", folder);
    return status;
}

static bool on_signal(void *data)
{
    (void)data;
    return true;
}

static void on_done(void *data, const struct covey_reply *reply)
{
    struct cli_results *results = data;
    results->done = true;
    results->fetched = *reply->error;
}

enum covey_status cli_results_fetch(struct covey_client *client, const char *id,
                                    struct covey_ranks ranks, struct cli_results *results,
                                    struct covey_error *error)
{
    struct cli_loop loop = {.client = client, .life_fd = -1, .on_signal = on_signal};
    struct covey_start start = {
        .callbacks = {.on_done = on_done, .on_result = on_piece, .data = results}};
    struct covey_error kept = {0};
    results->fd = -1;
    enum covey_status status = cli_results_check(results->folder, error);
    if (!status)
        status = cli_loop_begin(&loop, error);
    if (status)
        return status;
    status = covey_client_results_start(client, id, ranks, &start, error);
    if (!status)
        status = cli_loop_run(&loop, &results->done, error);
    if (!status && results->fetched.status) {
        *error = results->fetched;
        status = error->status;
    }
    cli_loop_end(&loop);
    if (finish(results, &kept) && !status) {
        *error = kept;
        status = kept.status;
    }
    return status;
}
