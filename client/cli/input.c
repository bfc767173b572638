#include "client/cli/input.h"

#include "base/error.h"
#include "base/io.h"
#include "client/cli/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)64 * 1024)

/* A file without a name. */
static int make_file(void)
{
    char path[PATH_MAX];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/covey-stdin-XXXXXX", folder && *folder ? folder : "/tmp");
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

static enum covey_status copy(int to, uint64_t limit_bytes, uint64_t *length_bytes,
                              struct covey_error *error)
{
    char piece[PIECE_BYTES];
    *length_bytes = 0;
    for (;;) {
        ssize_t got = read(STDIN_FILENO, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return covey_error_set_errno(error, errno, "cannot read standard input");
        if (got == 0)
            return COVEY_OK;
        *length_bytes += (uint64_t)got;
        if (*length_bytes > limit_bytes)
            return covey_error_set(error, COVEY_ELIMIT,
                                   "standard input has more than %llu bytes, which the controller "
                                   "takes at most (max-blob-bytes): put it into a file",
                                   (unsigned long long)limit_bytes);
        if (covey_write_full(to, piece, (size_t)got) != COVEY_OK)
            return covey_error_set_errno(error, errno,
                                         "cannot keep standard input in a temporary file (TMPDIR)");
    }
}

/* Standard input itself, where it is a file that was not read yet. */
static bool is_whole_file(uint64_t *length_bytes)
{
    struct stat facts;
    if (fstat(STDIN_FILENO, &facts) != 0 || !S_ISREG(facts.st_mode) ||
        lseek(STDIN_FILENO, 0, SEEK_CUR) != 0)
        return false;
    *length_bytes = (uint64_t)facts.st_size;
    return true;
}

static enum covey_status put(struct covey_client *client, char sha256[COVEY_SHA256_BYTES],
                             uint64_t *length_bytes, struct covey_error *error)
{
    struct covey_server_info *info = NULL;
    if (is_whole_file(length_bytes))
        return *length_bytes ? covey_client_put_blob(client, STDIN_FILENO, -1, sha256, error)
                             : COVEY_OK;
    enum covey_status status = covey_client_server_info(client, 0, &info, error);
    if (status)
        return status;
    int file = make_file();
    status = file < 0 ? covey_error_set_errno(error, errno, "cannot make a temporary file (TMPDIR)")
                      : copy(file, info->max_blob_bytes, length_bytes, error);
    covey_server_info_free(info);
    if (!status && *length_bytes)
        status = covey_client_put_blob(client, file, -1, sha256, error);
    covey_close(&file);
    return status;
}

enum covey_status cli_input_put(struct covey_client *client, enum covey_stdin to,
                                struct covey_flare_request *request, struct covey_error *error)
{
    static char sha256[COVEY_SHA256_BYTES];
    uint64_t length_bytes = 0;
    if (to == COVEY_STDIN_NONE)
        return COVEY_OK;
    cli_progress_step("reading standard input to its end");
    enum covey_status status = put(client, sha256, &length_bytes, error);
    cli_progress_hide();
    if (!status && length_bytes) {
        request->stdin_sha256 = sha256;
        request->stdin_to = to;
    }
    return status;
}
