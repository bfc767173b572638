/* The machine that figures are from. */
#ifndef BENCH_MESSAGES_MACHINE_H
#define BENCH_MESSAGES_MACHINE_H

enum { machine_text_bytes = 160 };

struct machine {
    char processor[machine_text_bytes];
    char kernel[machine_text_bytes];
    long cores;
    double memory_gib;
    double load; /* of the last minute */
};

void machine_read(struct machine *machine);

#endif
