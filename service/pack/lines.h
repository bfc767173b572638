/* Splits what a worker writes into lines. One thread; no I/O. */
#ifndef SERVICE_PACK_LINES_H
#define SERVICE_PACK_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer line is passed on in parts. */
#define LINES_MAX_BYTES ((size_t)16 * 1024)

struct lines {
    uint8_t *held; /* the beginning of a line that has no end yet */
    size_t held_bytes;
};

/* One line without its newline, or a part of one; borrowed until the callback returns. */
typedef void (*lines_sink)(const uint8_t *text, size_t length_bytes, bool partial, void *data);

/*
 * Takes more bytes and passes on every whole line, and LINES_MAX_BYTES of a line as soon as it is
 * longer than that. False, with the bytes that did not fit dropped, where memory is out.
 */
bool lines_feed(struct lines *lines, const uint8_t *bytes, size_t length_bytes, lines_sink sink,
                void *data);

/* The end: passes on what has no newline, as partial. Frees the memory. */
void lines_finish(struct lines *lines, lines_sink sink, void *data);

#endif
