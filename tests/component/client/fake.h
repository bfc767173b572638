/* Starts and stops the fake controller for a C test, and gives it code to deploy. */
#ifndef FAKE_H
#define FAKE_H

#include <stdbool.h>
#include <sys/types.h>

/* Also after fake_kill: a new one on the same address, which has forgotten everything. */
bool fake_start(void);

/* False where it has not ended well. */
bool fake_stop(void);
void fake_kill(void);

const char *fake_address(void);

/* A program, made by the first call; and one that is sent in several pieces (5 MiB). */
const char *fake_code(void);
const char *fake_big_code(void);

#endif
