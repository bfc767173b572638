/*
 * PageRank of a graph as debgraph writes it; the parameter is the graph's path.
 *
 * Each worker keeps the edges that leave its range of nodes. An iteration adds up what each node
 * receives from them (one allreduce over the whole vector) and stops when the vector moves by less
 * than `enough` in all. Damping 0.85; the rank of nodes without edges is spread over all. Worker 0
 * logs the ten top nodes, and its result is the whole vector.
 */
#include <covey/worker.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double damping = 0.85, enough = 1e-9;
enum { most_iterations = 200, name_bytes = 128, top = 10 };

struct graph {
    size_t nodes, edges; /* edges that leave this worker's nodes */
    char (*names)[name_bytes];
    unsigned (*ends)[2];
    unsigned *degrees; /* edges that leave a node, for this worker's nodes */
    size_t first, end; /* this worker's nodes */
};

static int fail(struct covey_ctx *ctx, const char *what, const char *why)
{
    covey_logf(ctx, "pagerank: %s: %s", what, why);
    return 1;
}

/* The next word of the file as a number below limit. */
static int read_number(FILE *file, size_t limit, size_t *number)
{
    char digits[24], *end;
    if (fscanf(file, "%23s", digits) != 1)
        return -1;
    errno = 0;
    unsigned long long value = strtoull(digits, &end, 10);
    *number = (size_t)value;
    return errno || *end || value >= limit ? -1 : 0;
}

static int read_edges(FILE *file, size_t total, struct graph *graph)
{
    size_t capacity = 0;
    for (size_t i = 0; i < total; i++) {
        size_t from, to;
        if (read_number(file, graph->nodes, &from) || read_number(file, graph->nodes, &to))
            return -1;
        if (from < graph->first || from >= graph->end)
            continue;
        if (graph->edges == capacity) {
            capacity = capacity ? capacity * 2 : 4096;
            void *more = realloc(graph->ends, capacity * sizeof(*graph->ends));
            if (!more)
                return -1;
            graph->ends = more;
        }
        graph->ends[graph->edges][0] = (unsigned)from;
        graph->ends[graph->edges++][1] = (unsigned)to;
        graph->degrees[from - graph->first]++;
    }
    return 0;
}

static int read_graph(struct covey_ctx *ctx, const char *path, struct graph *graph)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return fail(ctx, path, strerror(errno));
    size_t total = 0;
    int failed = fscanf(file, "nodes") < 0 || read_number(file, UINT32_MAX, &graph->nodes) ||
                 fscanf(file, " edges") < 0 || read_number(file, SIZE_MAX, &total) ||
                 graph->nodes == 0;
    size_t rank = (size_t)covey_rank(ctx), size = (size_t)covey_size(ctx);
    graph->first = graph->nodes * rank / size;
    graph->end = graph->nodes * (rank + 1) / size;
    graph->names = failed ? NULL : calloc(graph->nodes, sizeof(*graph->names));
    graph->degrees = failed ? NULL : calloc(graph->end - graph->first + 1, sizeof(*graph->degrees));
    failed = failed || !graph->names || !graph->degrees;
    for (size_t i = 0; i < graph->nodes && !failed; i++)
        failed = fscanf(file, "%127s", graph->names[i]) != 1;
    failed = failed || read_edges(file, total, graph) < 0;
    fclose(file);
    return failed ? fail(ctx, path, "not a graph as debgraph writes it, or out of memory") : 0;
}

/* What every node receives from this worker's nodes; received[nodes] is the rank of those that give
 * to nobody. */
static void spread(const struct graph *graph, const double *ranks, double *received)
{
    memset(received, 0, (graph->nodes + 1) * sizeof(*received));
    for (size_t i = 0; i < graph->edges; i++) {
        unsigned from = graph->ends[i][0];
        received[graph->ends[i][1]] += ranks[from] / graph->degrees[from - graph->first];
    }
    for (size_t i = graph->first; i < graph->end; i++) {
        if (graph->degrees[i - graph->first] == 0)
            received[graph->nodes] += ranks[i];
    }
}

static double move_ranks(const struct graph *graph, const double *received, double *ranks)
{
    double nodes = (double)graph->nodes, moved = 0;
    double base = (1 - damping) / nodes + damping * received[graph->nodes] / nodes;
    for (size_t i = 0; i < graph->nodes; i++) {
        double next = base + damping * received[i];
        moved += fabs(next - ranks[i]);
        ranks[i] = next;
    }
    return moved;
}

static int iterate(struct covey_ctx *ctx, const struct graph *graph, double *ranks,
                   double *received)
{
    for (size_t i = 0; i < graph->nodes; i++)
        ranks[i] = 1 / (double)graph->nodes;
    double moved = 1;
    int iterations = 0;
    while (moved > enough && iterations++ < most_iterations) {
        spread(graph, ranks, received);
        if (covey_allreduce(covey_world(ctx), COVEY_IN_PLACE, received, graph->nodes + 1,
                            COVEY_DOUBLE, COVEY_SUM))
            return fail(ctx, "allreduce", covey_error_text(ctx));
        moved = move_ranks(graph, received, ranks);
    }
    if (covey_rank(ctx) == 0)
        covey_logf(ctx, "%zu nodes, %d iterations, last change %.2e", graph->nodes, iterations,
                   moved);
    return moved <= enough ? 0 : fail(ctx, "ranks", "no convergence");
}

static void log_top(struct covey_ctx *ctx, const struct graph *graph, const double *ranks)
{
    size_t best[top];
    size_t kept = 0;
    for (size_t i = 0; i < graph->nodes; i++) {
        size_t place = kept;
        while (place > 0 && ranks[best[place - 1]] < ranks[i])
            place--;
        if (place == top)
            continue;
        kept += kept < top;
        memmove(&best[place + 1], &best[place], (kept - place - 1) * sizeof(*best));
        best[place] = i;
    }
    for (size_t i = 0; i < kept; i++)
        covey_logf(ctx, "%2zu. %-30s %.6f", i + 1, graph->names[best[i]], ranks[best[i]]);
}

static int set_result(struct covey_ctx *ctx, const struct graph *graph, const double *ranks)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return fail(ctx, "result", strerror(errno));
    for (size_t i = 0; i < graph->nodes; i++)
        fprintf(stream, "%s %.17g\n", graph->names[i], ranks[i]);
    fclose(stream);
    enum covey_status status = covey_set_result(ctx, text, length);
    free(text);
    return status ? fail(ctx, "result", covey_error_text(ctx)) : 0;
}

int covey_work(struct covey_ctx *ctx)
{
    size_t length;
    const char *param = covey_param(ctx, &length);
    char *path = strndup(param, length);
    struct graph graph = {0};
    double *ranks = NULL, *received = NULL;
    int failed = !path || length == 0 ? fail(ctx, "usage", "give the graph's path as the parameter")
                                      : read_graph(ctx, path, &graph);
    if (!failed) {
        ranks = calloc(graph.nodes, sizeof(*ranks));
        received = calloc(graph.nodes + 1, sizeof(*received));
        failed = !ranks || !received ? fail(ctx, path, "out of memory")
                                     : iterate(ctx, &graph, ranks, received);
    }
    if (!failed && covey_rank(ctx) == 0) {
        log_top(ctx, &graph, ranks);
        failed = set_result(ctx, &graph, ranks);
    }
    free(received);
    free(ranks);
    free(graph.ends);
    free(graph.degrees);
    free(graph.names);
    free(path);
    return failed;
}
