/* What an ELF file says of itself in its dynamic section. */
#ifndef BASE_ELF_H
#define BASE_ELF_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Gives accept each text that has this tag (DT_NEEDED, DT_RUNPATH), until it returns true; true
 * then. False also for a file that is no 64-bit ELF file, or whose tables lead nowhere: any file
 * may be given. Reads by pread(2). Thread-safe.
 */
bool covey_elf_find(int fd, int64_t tag, bool (*accept)(const char *text, void *data), void *data);

#endif
