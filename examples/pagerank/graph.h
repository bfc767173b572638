/* A graph as debgraph writes it, of which a worker keeps the edges that leave its own nodes. */
#ifndef EXAMPLES_PAGERANK_GRAPH_H
#define EXAMPLES_PAGERANK_GRAPH_H

#include <stddef.h>

struct graph {
    size_t nodes, edges; /* edges that leave this worker's nodes */
    char **names;
    unsigned (*ends)[2];
    unsigned *degrees; /* edges that leave a node, for this worker's nodes */
    size_t first, end; /* this worker's nodes */
};

/*
 * Reads the part of worker `rank` of `size`. NULL, or what is wrong with the file, by its line: a
 * text that lasts until the next call. The file is checked to its end. graph_free in either case.
 */
const char *graph_read(const char *path, size_t rank, size_t size, struct graph *graph);
void graph_free(struct graph *graph);

#endif
