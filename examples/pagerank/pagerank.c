/*
 * PageRank of a graph as debgraph writes it; the parameter is the graph's path.
 *
 * Each worker keeps the edges that leave its range of nodes. An iteration adds up what each node
 * receives from them (one allreduce over the whole vector) and stops when the vector moves by less
 * than `enough` in all. Damping 0.85; the rank of nodes without edges is spread over all. Worker 0
 * logs the ten top nodes, and its result is the whole vector.
 */
#include "graph.h"

#include <covey/worker.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double damping = 0.85, enough = 1e-9;
enum { most_iterations = 200, top = 10 };

static int fail(struct covey_ctx *ctx, const char *what, const char *why)
{
    covey_logf(ctx, "pagerank: %s: %s", what, why);
    return 1;
}

static int read_graph(struct covey_ctx *ctx, const char *path, struct graph *graph)
{
    const char *why = graph_read(path, (size_t)covey_rank(ctx), (size_t)covey_size(ctx), graph);
    if (why)
        covey_logf(ctx, "pagerank: %s", why);
    return why != NULL;
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
    enum covey_status status = COVEY_ENOMEM;
    if (fclose(stream) == 0)
        status = covey_set_result(ctx, text, length);
    free(text);
    return status ? fail(ctx, "result", covey_status_text(status)) : 0;
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
    graph_free(&graph);
    free(path);
    return failed;
}
