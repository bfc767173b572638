#include "client/cli/mpi.h"

#include "base/elf.h"
#include "base/io.h"
#include "base/text.h"
#include "client/cli/cli.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES   64
#define SCRIPT_BYTES ((size_t)16 * 1024)

/* One of the texts is the beginning of the name; what follows may not go on with it. */
static bool begins(const char *name, const char *const *texts)
{
    for (; *texts; texts++) {
        size_t length = strlen(*texts);
        if (strncmp(name, *texts, length) == 0 && (name[length] == '.' || !name[length]))
            return true;
    }
    return false;
}

static bool is_mpi(const char *library, void *data)
{
    /* Of Open MPI, MPICH and what is made of it, and Intel MPI; for C, C++ and Fortran. */
    static const char *const names[] = {"libmpi",           "libmpich",
                                        "libmpicxx",        "libmpichcxx",
                                        "libmpifort",       "libmpichfort",
                                        "libmpi_cxx",       "libmpi_mpifh",
                                        "libmpi_usempif08", "libmpi_usempi_ignore_tkr",
                                        "libmpi_cray",      NULL};
    if (!begins(library, names))
        return false;
    (void)covey_text_print(data, NAME_BYTES, "%s", library);
    return true;
}

/* A script of Python that begins a line with it, near its beginning. */
static bool imports_mpi(int fd)
{
    static const char *const lines[] = {"\nimport mpi4py", "\nfrom mpi4py"};
    char text[SCRIPT_BYTES];
    ssize_t got = pread(fd, text, sizeof(text), 0);
    if (got < 2 || memcmp(text, "#!", 2) != 0)
        return false;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        if (memmem(text, (size_t)got, lines[i], strlen(lines[i])))
            return true;
    }
    return false;
}

static bool is_ours(const char *library, void *data)
{
    static const char *const names[] = {"libcovey-worker", NULL};
    (void)data;
    return begins(library, names);
}

void cli_mpi_warn(const char *file)
{
    static const char *const launchers[] = {"mpirun", "mpiexec", "orterun", "prterun", NULL};
    const char *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;
    char library[NAME_BYTES];
    if (begins(name, launchers)) {
        cli_complain("warning: each worker is a %s of its own, which starts a whole MPI job: to "
                     "have one, call it without Covey",
                     name);
        return;
    }
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && covey_elf_find(fd, DT_NEEDED, is_mpi, library) &&
        !covey_elf_find(fd, DT_NEEDED, is_ours, NULL))
        cli_complain("warning: %s is linked with %s, and Covey starts no MPI: each worker will be "
                     "an MPI job of its own, rank 0 of 1; start it with mpirun, or write it with "
                     "covey/worker.h",
                     name, library);
    else if (fd >= 0 && imports_mpi(fd))
        cli_complain("warning: %s imports mpi4py, and Covey starts no MPI: each worker will be an "
                     "MPI job of its own, rank 0 of 1; start it with mpirun",
                     name);
    covey_close(&fd);
}
