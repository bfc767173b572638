#include "bench/messages/history.h"

#include "bench/series.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The values on a line of that name; NULL where it is another's. */
static const char *values_of(const char *line, const char *name)
{
    size_t length = strlen(name);
    return strncmp(line, name, length) == 0 && line[length] == ' ' ? line + length : NULL;
}

static size_t parse(const char *text, double values[history_kept])
{
    size_t count = 0;
    for (char *end; count < history_kept; text = end) {
        double value = strtod(text, &end);
        if (end == text)
            break;
        values[count++] = value;
    }
    return count;
}

size_t history_read(const char *path, const char *name, double values[history_kept])
{
    char *line = NULL;
    size_t size = 0, count = 0;
    FILE *file = fopen(path, "re");
    while (file && getline(&line, &size, file) >= 0) {
        const char *text = values_of(line, name);
        if (text)
            count = parse(text, values);
    }
    free(line);
    if (file)
        fclose(file);
    return count;
}

/* The lines of other names. */
static void copy_others(const char *path, const char *name, FILE *out)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    while (file && getline(&line, &size, file) >= 0) {
        if (!values_of(line, name))
            fputs(line, out);
    }
    free(line);
    if (file)
        fclose(file);
}

int history_add(const char *path, const char *name, double value)
{
    char fresh[PATH_MAX];
    double values[history_kept];
    size_t count = history_read(path, name, values);
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    FILE *out = fopen(fresh, "we");
    if (!out)
        return -1;
    copy_others(path, name, out);
    fprintf(out, "%s", name);
    for (size_t i = count == history_kept; i < count; i++)
        fprintf(out, " %.3f", values[i]);
    fprintf(out, " %.3f\n", value);
    if (fclose(out) == 0 && rename(fresh, path) == 0)
        return 0;
    remove(fresh);
    return -1;
}

int history_agrees(const double *values, size_t count, double value, double factor)
{
    struct bench_series series = {0};
    int failed = 0;
    for (size_t i = 0; i < count && !failed; i++)
        failed = bench_series_add(&series, values[i]);
    double median = bench_series_median(&series);
    bench_series_free(&series);
    return failed || count == 0 || (value <= median * factor && value >= median / factor);
}
