/* Cuts what a worker writes at the ends of lines. One thread; no I/O. */
#ifndef SERVICE_PACK_LINES_H
#define SERVICE_PACK_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As much of a line waits for its end; a longer one is passed on in parts. */
#define LINES_HELD_BYTES ((size_t)16 * 1024)

struct lines {
    uint8_t *held; /* the beginning of a line that has no end yet */
    size_t held_bytes;
};

/* Whole lines with their newlines, or a part of a long one; borrowed until the callback returns. */
typedef void (*lines_sink)(const uint8_t *text, size_t length_bytes, void *data);

/* Puts what is held in front of the bytes that are read next; returns its length. */
size_t lines_begin(struct lines *lines, uint8_t *bytes);

/*
 * Takes the bytes, from what lines_begin put there on: passes on whole lines, all at once, and
 * holds the rest, or passes it on too where it is longer than LINES_HELD_BYTES or memory is out. So
 * the sink is called at most twice.
 */
void lines_cut(struct lines *lines, const uint8_t *bytes, size_t length_bytes, lines_sink sink,
               void *data);

/* The end: passes on what has no newline. Frees the memory. */
void lines_finish(struct lines *lines, lines_sink sink, void *data);

#endif
