/* Figures of now and of before. */
#ifndef BENCH_MESSAGES_COMPARE_H
#define BENCH_MESSAGES_COMPARE_H

#include <stdbool.h>

/* What runs of one thing spread over: their 10th and 90th percentile, around the median. */
struct span {
    double median, p10, p90;
};

enum verdict { VERDICT_SAME, VERDICT_BETTER, VERDICT_WORSE };

extern const char *const verdict_names[];

/*
 * Better or worse only beyond noise: where the spans of both have nothing in common. more: that
 * more is better.
 */
enum verdict compare_spans(const struct span *before, const struct span *now, bool more);

/* A row of before. */
struct past {
    struct span value;
    struct span ratio; /* to the peer; all 0: it had none */
    bool valid;
};

/* The last line of a file of JSON objects that has this name and peer ("": none). 1 where there is
 * one, 0 where there is not, -1, said, where the file cannot be read or has a line that is none. */
int compare_find(const char *path, const char *name, const char *peer, struct past *past);

#endif
