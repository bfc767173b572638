/*
 * debgraph: reads package stanzas (apt-cache dumpavail) from standard input and writes their
 * dependency graph: nodes N edges M one package name a line, N lines one edge a line, "FROM TO",
 * numbers from 0, M lines: FROM depends on TO Every alternative of a dependency that is a package
 * in the input is an edge; each edge is there once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct names {
    char **items;
    size_t count, capacity;
};

struct edge {
    unsigned from, to;
};

struct edges {
    struct edge *items;
    size_t count, capacity;
};

static void *grow(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 1024;
    void *more = realloc(items, *capacity * item_bytes);
    if (!more) {
        fprintf(stderr, "debgraph: out of memory\n");
        exit(1);
    }
    return more;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_edges(const void *a, const void *b)
{
    const struct edge *left = a, *right = b;
    if (left->from != right->from)
        return left->from < right->from ? -1 : 1;
    return left->to < right->to ? -1 : left->to > right->to;
}

/* All of it: a byte that ends a string would hide what follows. */
static char *read_all(void)
{
    size_t length = 0, capacity = 0;
    char *text = NULL;
    for (;;) {
        if (length + 65536 + 1 > capacity) {
            capacity = capacity ? capacity * 2 : 1 << 20;
            text = realloc(text, capacity);
            if (!text) {
                fprintf(stderr, "debgraph: out of memory\n");
                exit(1);
            }
        }
        size_t got = fread(text + length, 1, 65536, stdin);
        length += got;
        if (got == 0)
            break;
    }
    text[length] = '\0';
    if (ferror(stdin) || strlen(text) < length) {
        fprintf(stderr, "debgraph: standard input %s\n",
                ferror(stdin) ? "cannot be read to its end"
                              : "is no list of packages: it has a NUL");
        exit(1);
    }
    return text;
}

/* The value of a line "Field: value", or NULL. */
static char *field(char *line, const char *name)
{
    size_t length = strlen(name);
    return strncmp(line, name, length) == 0 && line[length] == ':'
               ? line + length + 1 + strspn(line + length + 1, " ")
               : NULL;
}

static void collect_names(char **lines, size_t count, struct names *names)
{
    for (size_t i = 0; i < count; i++) {
        char *name = field(lines[i], "Package");
        if (!name)
            continue;
        names->items = grow(names->items, names->count, &names->capacity, sizeof(*names->items));
        names->items[names->count++] = name;
    }
    if (names->count == 0)
        return;
    qsort(names->items, names->count, sizeof(*names->items), compare_names);
    size_t kept = 1;
    for (size_t i = 1; i < names->count; i++) {
        if (strcmp(names->items[i], names->items[kept - 1]) != 0)
            names->items[kept++] = names->items[i];
    }
    names->count = kept;
}

static long find(const struct names *names, const char *name)
{
    char **found = bsearch(&name, names->items, names->count, sizeof(*names->items), compare_names);
    return found ? found - names->items : -1;
}

static void add_dependencies(char *value, unsigned from, const struct names *names,
                             struct edges *edges)
{
    char *rest = NULL;
    for (char *item = strtok_r(value, ",|", &rest); item; item = strtok_r(NULL, ",|", &rest)) {
        item += strspn(item, " ");
        item[strcspn(item, " :([")] = '\0';
        long to = find(names, item);
        if (to < 0)
            continue;
        edges->items = grow(edges->items, edges->count, &edges->capacity, sizeof(*edges->items));
        edges->items[edges->count++] = (struct edge){from, (unsigned)to};
    }
}

static void collect_edges(char **lines, size_t count, const struct names *names,
                          struct edges *edges)
{
    long from = -1;
    for (size_t i = 0; i < count; i++) {
        char *name = field(lines[i], "Package");
        if (name)
            from = find(names, name);
        char *value = field(lines[i], "Depends");
        if (!value)
            value = field(lines[i], "Pre-Depends");
        if (value && from >= 0)
            add_dependencies(value, (unsigned)from, names, edges);
    }
    if (edges->count == 0)
        return;
    qsort(edges->items, edges->count, sizeof(*edges->items), compare_edges);
    size_t kept = 1;
    for (size_t i = 1; i < edges->count; i++) {
        if (compare_edges(&edges->items[i], &edges->items[kept - 1]) != 0)
            edges->items[kept++] = edges->items[i];
    }
    edges->count = kept;
}

static void print_graph(const struct names *names, const struct edges *edges)
{
    printf("nodes %zu edges %zu\n", names->count, edges->count);
    for (size_t i = 0; i < names->count; i++)
        puts(names->items[i]);
    for (size_t i = 0; i < edges->count; i++)
        printf("%u %u\n", edges->items[i].from, edges->items[i].to);
}

int main(void)
{
    char *text = read_all();
    struct names lines = {0}, names = {0};
    struct edges edges = {0};
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        lines.items = grow(lines.items, lines.count, &lines.capacity, sizeof(*lines.items));
        lines.items[lines.count++] = line;
    }
    collect_names(lines.items, lines.count, &names);
    if (names.count > 0)
        collect_edges(lines.items, lines.count, &names, &edges);
    else
        fprintf(stderr, "debgraph: no \"Package:\" in the input; usage: apt-cache dumpavail | "
                        "debgraph > GRAPH\n");
    if (names.count > 0)
        print_graph(&names, &edges);
    int failed = names.count == 0 || fflush(stdout) != 0;
    free(edges.items);
    free(names.items);
    free(lines.items);
    free(text);
    return failed;
}
