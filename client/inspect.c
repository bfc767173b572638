/* What kind of code a file holds. Every number read from it is checked: it may be anything. */
#include "client/inspect.h"

#include "base/error.h"
#include "base/io.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#elif defined(__riscv)
#define OWN_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define OWN_MACHINE EM_PPC64
#elif defined(__s390x__)
#define OWN_MACHINE EM_S390
#else
#error "which ELF machine is this?"
#endif

struct image {
    const unsigned char *bytes;
    uint64_t length_bytes;
};

/* What the file says of itself. */
struct findings {
    bool is_program; /* ET_EXEC, or marked as position-independent executable */
    bool has_interpreter;
    bool exports_entry;
};

/* length bytes at offset, or NULL where the file ends before. */
static const void *at(const struct image *image, uint64_t offset, uint64_t length_bytes)
{
    if (offset > image->length_bytes || length_bytes > image->length_bytes - offset)
        return NULL;
    return image->bytes + offset;
}

static const char *machine_name(unsigned machine)
{
    switch (machine) {
    case EM_X86_64:
        return "x86_64";
    case EM_AARCH64:
        return "aarch64";
    case EM_386:
        return "i386";
    case EM_ARM:
        return "arm";
    case EM_RISCV:
        return "riscv";
    case EM_PPC64:
        return "ppc64";
    case EM_S390:
        return "s390x";
    default:
        return "another";
    }
}

static bool is_pie(const struct image *image, const Elf64_Phdr *dynamic)
{
    uint64_t count = dynamic->p_filesz / sizeof(Elf64_Dyn);
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Dyn entry;
        const void *bytes = at(image, dynamic->p_offset + i * sizeof entry, sizeof entry);
        if (!bytes)
            return false;
        memcpy(&entry, bytes, sizeof entry);
        if (entry.d_tag == DT_NULL)
            return false;
        if (entry.d_tag == DT_FLAGS_1)
            return entry.d_un.d_val & DF_1_PIE;
    }
    return false;
}

static bool is_entry(const struct image *image, const Elf64_Sym *symbol, const Elf64_Shdr *names)
{
    static const char entry[] = "covey_work";
    unsigned binding = ELF64_ST_BIND(symbol->st_info);
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_name >= names->sh_size ||
        names->sh_size - symbol->st_name < sizeof entry ||
        (binding != STB_GLOBAL && binding != STB_WEAK) ||
        ELF64_ST_VISIBILITY(symbol->st_other) == STV_HIDDEN)
        return false;
    const void *name = at(image, names->sh_offset, names->sh_size);
    return name && memcmp((const char *)name + symbol->st_name, entry, sizeof entry) == 0;
}

static bool section_exports(const struct image *image, const Elf64_Ehdr *header,
                            const Elf64_Shdr *symbols)
{
    Elf64_Shdr names;
    const void *bytes =
        symbols->sh_link < header->e_shnum
            ? at(image, header->e_shoff + symbols->sh_link * sizeof names, sizeof names)
            : NULL;
    const unsigned char *table = at(image, symbols->sh_offset, symbols->sh_size);
    if (!bytes || !table)
        return false;
    memcpy(&names, bytes, sizeof names);
    for (uint64_t i = 0; i < symbols->sh_size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, table + i * sizeof symbol, sizeof symbol);
        if (is_entry(image, &symbol, &names))
            return true;
    }
    return false;
}

static void look(const struct image *image, const Elf64_Ehdr *header, struct findings *findings)
{
    findings->is_program = header->e_type == ET_EXEC;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        const void *bytes = at(image, header->e_phoff + i * sizeof segment, sizeof segment);
        if (!bytes || header->e_phentsize != sizeof segment)
            return;
        memcpy(&segment, bytes, sizeof segment);
        findings->has_interpreter |= segment.p_type == PT_INTERP;
        findings->is_program |= segment.p_type == PT_DYNAMIC && is_pie(image, &segment);
    }
    for (unsigned i = 0; i < header->e_shnum; i++) {
        Elf64_Shdr section;
        const void *bytes = at(image, header->e_shoff + i * sizeof section, sizeof section);
        if (!bytes || header->e_shentsize != sizeof section)
            return;
        memcpy(&section, bytes, sizeof section);
        if (section.sh_type == SHT_DYNSYM && section_exports(image, header, &section))
            findings->exports_entry = true;
    }
}

static bool is_script(const struct image *image)
{
    const char *mark = at(image, 0, 2);
    return mark && mark[0] == '#' && mark[1] == '!';
}

static enum covey_status take_program(const char *file, unsigned mode, enum covey_code_kind *kind,
                                      struct covey_error *error)
{
    if (!(mode & 0111))
        return covey_error_set(error, COVEY_EINVAL,
                               "%s is not executable: set its permission with chmod +x", file);
    *kind = COVEY_CODE_EXECUTABLE;
    return COVEY_OK;
}

static enum covey_status judge(const struct image *image, const char *file, unsigned mode,
                               enum covey_code_kind *kind, struct covey_error *error)
{
    Elf64_Ehdr header;
    struct findings findings = {0};
    const void *bytes = at(image, 0, sizeof header);
    if (is_script(image))
        return take_program(file, mode, kind, error);
    if (!at(image, 0, SELFMAG) || memcmp(image->bytes, ELFMAG, SELFMAG) != 0)
        return covey_error_set(error, COVEY_EINVAL,
                               "%s is neither an ELF file nor a script that starts with #!: give a "
                               "shared object that exports covey_work(), a program or a script",
                               file);
    if (!bytes)
        return covey_error_set(error, COVEY_EINVAL, "%s is cut short: build it again", file);
    memcpy(&header, bytes, sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != OWN_MACHINE)
        return covey_error_set(
            error, COVEY_EINVAL, "%s is for another machine (%s, %d bits): build it for %s", file,
            machine_name(header.e_machine), header.e_ident[EI_CLASS] == ELFCLASS32 ? 32 : 64,
            machine_name(OWN_MACHINE));
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
        return covey_error_set(error, COVEY_EINVAL,
                               "%s is neither a shared object nor a program: link it", file);
    look(image, &header, &findings);
    if (!findings.is_program && findings.exports_entry) {
        *kind = COVEY_CODE_SHARED_OBJECT;
        return COVEY_OK;
    }
    if (!findings.is_program && !findings.has_interpreter)
        return covey_error_set(error, COVEY_EINVAL,
                               "%s exports no covey_work(): define int covey_work(struct covey_ctx "
                               "*ctx) in it, with default visibility",
                               file);
    return take_program(file, mode, kind, error);
}

enum covey_status client_code_open(const char *file, int *fd, uint64_t *length_bytes,
                                   enum covey_code_kind *kind, struct covey_error *error)
{
    struct stat facts;
    *fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return covey_error_set_errno(error, errno, "cannot read %s", file);
    enum covey_status status = COVEY_OK;
    if (fstat(*fd, &facts))
        status = covey_error_set_errno(error, errno, "cannot read %s", file);
    else if (!S_ISREG(facts.st_mode))
        status = covey_error_set(error, COVEY_EINVAL,
                                 "%s is no regular file: give a shared object or a program", file);
    else if (facts.st_size == 0)
        status = covey_error_set(error, COVEY_EINVAL, "%s is empty: build it again", file);
    if (status)
        goto close_file;
    struct image image = {.length_bytes = (uint64_t)facts.st_size};
    void *mapped = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, *fd, 0);
    if (mapped == MAP_FAILED) {
        status = covey_error_set_errno(error, errno, "cannot map %s", file);
        goto close_file;
    }
    image.bytes = mapped;
    status = judge(&image, file, facts.st_mode, kind, error);
    munmap(mapped, (size_t)facts.st_size);
    *length_bytes = image.length_bytes;
    if (!status)
        return COVEY_OK;
close_file:
    covey_close(fd);
    return status;
}

enum covey_status covey_code_inspect(const char *file, enum covey_code_kind *kind,
                                     struct covey_error *error)
{
    int fd;
    uint64_t length_bytes;
    *kind = COVEY_CODE_UNSPECIFIED;
    enum covey_status status = client_code_open(file, &fd, &length_bytes, kind, error);
    covey_close(&fd);
    return status;
}
