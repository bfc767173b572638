#include "graph.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Thread_local char why[512];

struct reader {
    const char *path;
    FILE *file;
    char *line; /* without its end */
    size_t capacity;
    size_t number; /* of the line */
    size_t file_bytes;
};

__attribute__((format(printf, 2, 3))) static bool fail(const struct reader *reader,
                                                       const char *format, ...)
{
    int used = snprintf(why, sizeof(why), "%.200s:%zu: ", reader->path, reader->number);
    size_t start = used > 0 ? (size_t)used : 0;
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not see the va_start above */
    vsnprintf(why + start, sizeof(why) - start, format, arguments);
    va_end(arguments);
    return false;
}

static bool next_line(struct reader *reader, const char *wanted)
{
    errno = 0;
    ssize_t length = getline(&reader->line, &reader->capacity, reader->file);
    if (length < 0 && errno)
        return fail(reader, "%s", strerror(errno));
    if (length < 0)
        return fail(reader, "the file ends where %s should follow", wanted);
    reader->number++;
    while (length > 0 && strchr(" \t\r\n", reader->line[length - 1]))
        reader->line[--length] = '\0';
    return strlen(reader->line) == (size_t)length ? true
                                                  : fail(reader, "there is a NUL in this line");
}

/* A number below limit at *text, which moves behind it. */
static bool take_number(const char **text, size_t limit, size_t *number)
{
    char *end;
    *text += strspn(*text, " \t");
    errno = 0;
    unsigned long long value = strtoull(*text, &end, 10);
    if (errno || **text < '0' || **text > '9' || value >= limit)
        return false;
    *number = (size_t)value;
    *text = end;
    return true;
}

static bool take_word(const char **text, const char *word)
{
    size_t length = strlen(word);
    *text += strspn(*text, " \t");
    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool read_header(struct reader *reader, struct graph *graph, size_t *edges)
{
    if (!next_line(reader, "\"nodes N edges M\""))
        return false;
    const char *text = reader->line;
    bool sound = take_word(&text, "nodes") && take_number(&text, UINT32_MAX, &graph->nodes) &&
                 take_word(&text, "edges") && take_number(&text, SIZE_MAX, edges) && !*text &&
                 graph->nodes > 0;
    if (!sound)
        return fail(reader, "\"nodes N edges M\" was expected, with at least one node");
    /* Or memory would be taken for what the header only says. */
    if (graph->nodes > reader->file_bytes)
        return fail(reader, "the file is too short for the names of %zu nodes", graph->nodes);
    return true;
}

static bool read_names(struct reader *reader, struct graph *graph)
{
    for (size_t i = 0; i < graph->nodes; i++) {
        if (!next_line(reader, "the name of a node"))
            return false;
        if (!*reader->line || strpbrk(reader->line, " \t"))
            return fail(reader, "the name of node %zu is not one word", i);
        graph->names[i] = strdup(reader->line);
        if (!graph->names[i])
            return fail(reader, "out of memory");
    }
    return true;
}

static bool keep_edge(struct reader *reader, struct graph *graph, size_t *capacity, size_t from,
                      size_t to)
{
    if (graph->edges == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 4096;
        void *more = realloc(graph->ends, *capacity * sizeof(*graph->ends));
        if (!more)
            return fail(reader, "out of memory");
        graph->ends = more;
    }
    graph->ends[graph->edges][0] = (unsigned)from;
    graph->ends[graph->edges++][1] = (unsigned)to;
    graph->degrees[from - graph->first]++;
    return true;
}

static bool read_edges(struct reader *reader, struct graph *graph, size_t total)
{
    size_t capacity = 0;
    for (size_t i = 0; i < total; i++) {
        size_t from, to;
        if (!next_line(reader, "an edge"))
            return false;
        const char *text = reader->line;
        if (!take_number(&text, graph->nodes, &from) || !take_number(&text, graph->nodes, &to) ||
            *text)
            return fail(reader, "an edge is two numbers of nodes, from 0 to %zu", graph->nodes - 1);
        if (from >= graph->first && from < graph->end &&
            !keep_edge(reader, graph, &capacity, from, to))
            return false;
    }
    return true;
}

static bool read_end(struct reader *reader, size_t total)
{
    errno = 0;
    while (getline(&reader->line, &reader->capacity, reader->file) >= 0) {
        reader->number++;
        if (reader->line[strspn(reader->line, " \t\r\n")])
            return fail(reader, "more follows, but the header says %zu edges", total);
    }
    return errno ? fail(reader, "%s", strerror(errno)) : true;
}

static bool read_all(struct reader *reader, size_t rank, size_t size, struct graph *graph)
{
    size_t total = 0;
    if (!read_header(reader, graph, &total))
        return false;
    graph->first = graph->nodes * rank / size;
    graph->end = graph->nodes * (rank + 1) / size;
    graph->names = calloc(graph->nodes, sizeof(*graph->names));
    graph->degrees = calloc(graph->end - graph->first + 1, sizeof(*graph->degrees));
    if (!graph->names || !graph->degrees)
        return fail(reader, "out of memory for %zu nodes", graph->nodes);
    return read_names(reader, graph) && read_edges(reader, graph, total) && read_end(reader, total);
}

const char *graph_read(const char *path, size_t rank, size_t size, struct graph *graph)
{
    struct reader reader = {.path = path};
    struct stat facts;
    *graph = (struct graph){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* nor waits for a pipe's writer */
    bool is_file = fd >= 0 && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
    reader.file = is_file ? fdopen(fd, "r") : NULL;
    if (!reader.file) {
        snprintf(why, sizeof(why), "%.200s: %s", path,
                 fd < 0 || is_file ? strerror(errno) : "is no file: each worker reads all of it");
        if (fd >= 0)
            close(fd);
        return why;
    }
    reader.file_bytes = (size_t)facts.st_size;
    bool read = read_all(&reader, rank, size, graph);
    free(reader.line);
    fclose(reader.file);
    return read ? NULL : why;
}

void graph_free(struct graph *graph)
{
    for (size_t i = 0; graph->names && i < graph->nodes; i++)
        free(graph->names[i]);
    free(graph->names);
    free(graph->degrees);
    free(graph->ends);
    *graph = (struct graph){0};
}
