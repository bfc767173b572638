/* Any bytes as a file that READER reads: taken, or refused with a sentence. */
#include "base/error.h"
#include "base/io.h"
#include "tests/unit/files/readers.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes)
{
    struct covey_error error = {0};
    char path[32];
    int memory = memfd_create("file", MFD_CLOEXEC);
    if (memory < 0 || fchmod(memory, 0600) < 0 ||
        write(memory, bytes, length_bytes) != (ssize_t)length_bytes)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
    enum covey_status status = READER(path, &error);
    if (status != COVEY_OK && !*error.message)
        abort();
    covey_close(&memory);
    return 0;
}
