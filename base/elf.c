#include "base/elf.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES_MOST 65536
#define TEXT_BYTES   4096

struct file {
    int fd;
    Elf64_Ehdr header;
};

static bool read_at(const struct file *file, uint64_t at, void *bytes, size_t length_bytes)
{
    return at <= INT64_MAX &&
           pread(file->fd, bytes, length_bytes, (off_t)at) == (ssize_t)length_bytes;
}

static bool read_segment(const struct file *file, unsigned index, Elf64_Phdr *segment)
{
    return file->header.e_phentsize == sizeof(*segment) &&
           read_at(file, file->header.e_phoff + index * sizeof(*segment), segment,
                   sizeof(*segment));
}

static bool find_dynamic(const struct file *file, Elf64_Phdr *segment)
{
    for (unsigned i = 0; i < file->header.e_phnum; i++) {
        if (!read_segment(file, i, segment))
            return false;
        if (segment->p_type == PT_DYNAMIC)
            return true;
    }
    return false;
}

/* Where in the file the memory at an address comes from; 0: from nowhere. */
static uint64_t place_of(const struct file *file, uint64_t address)
{
    Elf64_Phdr segment;
    for (unsigned i = 0; i < file->header.e_phnum && read_segment(file, i, &segment); i++) {
        if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
            address - segment.p_vaddr < segment.p_filesz)
            return segment.p_offset + (address - segment.p_vaddr);
    }
    return 0;
}

/* The entry of this number. False behind the last. */
static bool read_entry(const struct file *file, const Elf64_Phdr *dynamic, uint64_t index,
                       Elf64_Dyn *entry)
{
    return index < dynamic->p_filesz / sizeof(*entry) && index < ENTRIES_MOST &&
           read_at(file, dynamic->p_offset + index * sizeof(*entry), entry, sizeof(*entry)) &&
           entry->d_tag != DT_NULL;
}

/* As much of a text as fits. */
static bool read_text(const struct file *file, uint64_t at, char text[TEXT_BYTES])
{
    ssize_t got = at <= INT64_MAX ? pread(file->fd, text, TEXT_BYTES - 1, (off_t)at) : -1;
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

bool covey_elf_find(int fd, int64_t tag, bool (*accept)(const char *text, void *data), void *data)
{
    struct file file = {.fd = fd};
    Elf64_Phdr dynamic;
    Elf64_Dyn entry;
    char text[TEXT_BYTES];
    uint64_t texts = 0;
    if (!read_at(&file, 0, &file.header, sizeof(file.header)) ||
        memcmp(file.header.e_ident, ELFMAG, SELFMAG) != 0 ||
        file.header.e_ident[EI_CLASS] != ELFCLASS64 || !find_dynamic(&file, &dynamic))
        return false;
    for (uint64_t i = 0; texts == 0 && read_entry(&file, &dynamic, i, &entry); i++) {
        if (entry.d_tag == DT_STRTAB)
            texts = place_of(&file, entry.d_un.d_ptr);
    }
    for (uint64_t i = 0; texts > 0 && read_entry(&file, &dynamic, i, &entry); i++) {
        if (entry.d_tag == tag && read_text(&file, texts + entry.d_un.d_val, text) &&
            accept(text, data))
            return true;
    }
    return false;
}
