/* Code that lies on this node under the name that it was deployed from. */
#include "base/io.h"
#include "service/pack/code.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)32 * 1024)

/* As much as there is, up to a piece. */
static ssize_t read_piece(int fd, char *bytes, off_t at)
{
    size_t got = 0;
    while (got < PIECE_BYTES) {
        ssize_t more = pread(fd, bytes + got, PIECE_BYTES - got, at + (off_t)got);
        if (more < 0)
            return -1;
        if (more == 0)
            break;
        got += (size_t)more;
    }
    return (ssize_t)got;
}

/* Read, not mapped: either may be cut short meanwhile. */
static bool same_content(int a, int b)
{
    char bytes[2][PIECE_BYTES];
    for (off_t at = 0;; at += (off_t)PIECE_BYTES) {
        ssize_t length = read_piece(a, bytes[0], at);
        if (length < 0 || read_piece(b, bytes[1], at) != length)
            return false;
        if (memcmp(bytes[0], bytes[1], (size_t)length) != 0)
            return false;
        if ((size_t)length < PIECE_BYTES)
            return true;
    }
}

bool code_is_at(const char *path, int fd)
{
    struct stat theirs;
    struct stat ours;
    if (*path != '/')
        return false;
    int there = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool same = there >= 0 && fstat(there, &theirs) == 0 && S_ISREG(theirs.st_mode) &&
                fstat(fd, &ours) == 0 && theirs.st_size == ours.st_size && same_content(there, fd);
    covey_close(&there);
    return same;
}
