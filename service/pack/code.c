#include "service/pack/code.h"

#include "base/elf.h"
#include "base/error.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#elif defined(__riscv)
#define OUR_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define OUR_MACHINE EM_PPC64
#elif defined(__s390x__)
#define OUR_MACHINE EM_S390
#else
#error "the ELF machine of this architecture is not known"
#endif

#define OUR_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OUR_DATA ELFDATA2LSB
#else
#define OUR_DATA ELFDATA2MSB
#endif

static const char *machine_name(unsigned machine)
{
    switch (machine) {
    case EM_X86_64:
        return "x86_64";
    case EM_386:
        return "i386";
    case EM_AARCH64:
        return "aarch64";
    case EM_ARM:
        return "arm";
    case EM_RISCV:
        return "riscv";
    case EM_PPC64:
        return "ppc64";
    case EM_S390:
        return "s390";
    default:
        return "another machine";
    }
}

/* Where e_type and e_machine lie is the same in both classes. */
static enum covey_status read_header(int fd, Elf64_Ehdr *header, bool *elf)
{
    ssize_t got = pread(fd, header, sizeof(*header), 0);
    if (got < 0)
        return covey_status_from_errno(errno);
    *elf = (size_t)got >= sizeof(*header) && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0;
    return COVEY_OK;
}

static enum covey_status check_machine(const Elf64_Ehdr *header, struct covey_error *error)
{
    if (header->e_ident[EI_DATA] != OUR_DATA || header->e_machine != OUR_MACHINE)
        return covey_error_set(error, COVEY_EINVAL, "the code is for %s, this node is %s",
                               header->e_ident[EI_DATA] != OUR_DATA
                                   ? "another byte order"
                                   : machine_name(header->e_machine),
                               machine_name(OUR_MACHINE));
    if (header->e_ident[EI_CLASS] != OUR_CLASS)
        return covey_error_set(error, COVEY_EINVAL,
                               "the code has another word size than this node");
    return COVEY_OK;
}

static bool names_origin(const char *text, void *data)
{
    (void)data;
    return strstr(text, "$ORIGIN") || strstr(text, "${ORIGIN}");
}

bool code_wants_neighbours(int fd)
{
    return covey_elf_find(fd, DT_RUNPATH, names_origin, NULL) ||
           covey_elf_find(fd, DT_RPATH, names_origin, NULL);
}

enum covey_status code_load(int fd, const char *path, code_entry *entry, struct covey_error *error)
{
    Elf64_Ehdr header;
    bool elf = false;
    enum covey_status status = read_header(fd, &header, &elf);
    if (status)
        return covey_error_set(error, status, "the code cannot be read");
    if (!elf)
        return covey_error_set(error, COVEY_EINVAL,
                               "the code is not an ELF file, so not a shared object");
    status = check_machine(&header, error);
    if (status)
        return status;
    if (header.e_type != ET_DYN)
        return covey_error_set(error, COVEY_EINVAL,
                               "the code is no shared object: link it with -shared, or deploy it "
                               "as an executable");
    char copy[32];
    (void)snprintf(copy, sizeof(copy), "/proc/self/fd/%d", fd);
    void *library = dlopen(path ? path : copy, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return covey_error_set(error, COVEY_EINVAL, "the shared object cannot be loaded: %s%s",
                               dlerror(),
                               !path && code_wants_neighbours(fd)
                                   ? " ($ORIGIN names nothing here: the file is not on this node "
                                     "where it was deployed from)"
                                   : "");
    void *found = dlsym(library, "covey_work");
    if (!found)
        return covey_error_set(error, COVEY_EINVAL,
                               "the shared object does not export covey_work: it must define int "
                               "covey_work(struct covey_ctx *) with default visibility");
    memcpy(entry, &found, sizeof(found));
    return COVEY_OK;
}

enum covey_status code_check_program(int fd, struct covey_error *error)
{
    Elf64_Ehdr header;
    bool elf = false;
    struct stat facts;
    enum covey_status status = read_header(fd, &header, &elf);
    if (!status && fstat(fd, &facts) < 0)
        status = covey_status_from_errno(errno);
    if (status)
        return covey_error_set(error, status, "the program cannot be read");
    if (!(facts.st_mode & S_IXUSR))
        return covey_error_set(error, COVEY_EINVAL, "the program is not executable");
    if (elf) {
        status = check_machine(&header, error);
        if (status)
            return status;
        if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
            return covey_error_set(error, COVEY_EINVAL, "the ELF file is not a program");
        return COVEY_OK;
    }
    char mark[2];
    if (pread(fd, mark, sizeof(mark), 0) == 2 && mark[0] == '#' && mark[1] == '!')
        return COVEY_OK;
    return covey_error_set(error, COVEY_EINVAL,
                           "the program is neither an ELF file nor a script that starts with #!");
}

unsigned code_count_threads(void)
{
    unsigned count = 0;
    DIR *threads = opendir("/proc/self/task");
    if (!threads)
        return 1;
    for (struct dirent *entry; (entry = readdir(threads));)
        count += *entry->d_name != '.';
    closedir(threads);
    return count;
}
