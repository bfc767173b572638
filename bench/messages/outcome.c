#include "bench/messages/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number after a word, where a line begins with it. */
static const char *value_of(const char *line, const char *word)
{
    size_t length = strlen(word);
    return strncmp(line, word, length) == 0 && line[length] == ' ' ? line + length + 1 : NULL;
}

static int read_line(struct outcome *outcome, const char *line, double *wrong)
{
    struct {
        const char *word;
        struct bench_series *series;
    } known[] = {
        {"call", &outcome->call}, {"read", &outcome->read}, {"barrier", &outcome->barrier}};
    const char *value = value_of(line, "wrong");
    if (value) {
        *wrong = strtod(value, NULL);
        return 0;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        value = value_of(line, known[i].word);
        if (value)
            return bench_series_add(known[i].series, strtod(value, NULL));
    }
    fprintf(stderr, "covey-bench: \"%.*s\" is no figure\n", (int)strcspn(line, "\n"), line);
    return -1;
}

int outcome_read(struct outcome *outcome, const char *text, const char *who)
{
    double wrong = -1;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (read_line(outcome, line, &wrong))
            return -1;
    }
    if (wrong == 0 && outcome->call.count > 0)
        return 0;
    if (wrong > 0)
        fprintf(stderr, "covey-bench: %s: %.0f messages were not what was sent\n", who, wrong);
    else
        fprintf(stderr, "covey-bench: %s brought no figures\n", who);
    return -1;
}

static int add_all(struct bench_series *series, const struct bench_series *more)
{
    for (size_t i = 0; i < more->count; i++) {
        if (bench_series_add(series, more->values[i]))
            return -1;
    }
    return 0;
}

int outcome_add(struct outcome *outcome, const struct outcome *more)
{
    return add_all(&outcome->call, &more->call) || add_all(&outcome->read, &more->read) ||
           add_all(&outcome->barrier, &more->barrier);
}

void outcome_free(struct outcome *outcome)
{
    bench_series_free(&outcome->call);
    bench_series_free(&outcome->read);
    bench_series_free(&outcome->barrier);
}
