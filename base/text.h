/*
 * Text that people wrote or will read, on its way through buffers of a fixed size: UTF-8, cut
 * between characters. It is cut here and nowhere else: a sequence that is cut in two is refused by
 * whoever it is sent to.
 *
 * No function allocates, fails or blocks. What is not UTF-8 is replaced byte by byte, so that text
 * keeps its length and can be mended where it lies.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "covey/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* True for well-formed UTF-8 (no overlong form, no surrogate, nothing past U+10FFFF) without NUL.
 */
bool covey_text_valid(const void *bytes, size_t length_bytes);

/* How many bytes of text, at most limit_bytes, hold whole characters: all of it where it is no
 * longer. For printf's "%.*s". */
int covey_text_fit(const char *text, size_t limit_bytes);

/* Makes valid what is not: '?' for each byte that belongs to no character. Returns how many there
 * were. */
size_t covey_text_mend(void *bytes, size_t length_bytes);

/* For a terminal or a log: '?' for each byte of a control character (C0, DEL, C1), which would
 * move its cursor or worse. The text is valid. */
void covey_text_tame(char *text);

/*
 * As snprintf, with text that is valid whatever the arguments held: what does not fit is cut
 * between characters, and "..." says so. Returns the length written; size_bytes is at least 1. An
 * argument may not be in the buffer itself.
 */
size_t covey_text_print(char *text, size_t size_bytes, const char *format, ...) COVEY_PRINTF(3, 4);
size_t covey_text_vprint(char *text, size_t size_bytes, const char *format, va_list arguments);

#endif
