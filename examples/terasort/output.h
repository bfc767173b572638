/* The folder that a sort writes: whole, or without a part. */
#ifndef EXAMPLES_TERASORT_OUTPUT_H
#define EXAMPLES_TERASORT_OUTPUT_H

#include <stddef.h>

/*
 * Each function returns NULL, or why it failed: a text that lasts until the next call.
 *
 * The folder is made where it is not there. Where it is, it must hold nothing but names that begin
 * with '.' or '_', which are nobody's parts: parts of another sort would be taken for this one's.
 */
const char *output_prepare(const char *folder);

/* Writes the part of a rank under a name that does not count yet. */
const char *output_write(const char *folder, int rank, const void *bytes, size_t length_bytes);

/* Gives it its name, part-00000 for rank 0, once all parts are written; or removes it. */
const char *output_finish(const char *folder, int rank);
void output_discard(const char *folder, int rank);

#endif
