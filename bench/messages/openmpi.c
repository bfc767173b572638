#include "bench/messages/openmpi.h"

#include "bench/command.h"
#include "bench/messages/capture.h"
#include "bench/program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { words_most = 48, host_bytes = 24, number_bytes = 16 };

int openmpi_check(void)
{
    if (!bench_command_found("mpirun")) {
        fprintf(stderr, "covey-bench: openmpi needs mpirun: install openmpi-bin\n");
        return -1;
    }
    if (bench_file("lib:mpi"))
        return 0;
    fprintf(stderr, "covey-bench: openmpi's program is built where mpicc is: install "
                    "libopenmpi-dev and build again\n");
    return -1;
}

struct words {
    const char *words[words_most];
    size_t count;
};

/* NULL-ended lists of words. */
static void add(struct words *line, const char *const *words)
{
    for (; *words && line->count + 1 < words_most; words++)
        line->words[line->count++] = *words;
}

/* "n0:24,n1:24", to be freed. */
static char *host_list(const struct settings *settings)
{
    char *list = calloc((size_t)settings->nodes, host_bytes);
    size_t length = 0;
    for (int i = 0; list && i < settings->nodes; i++)
        length += (size_t)snprintf(list + length, host_bytes, "%sn%d:%d", i ? "," : "", i,
                                   settings->workers / settings->nodes);
    return list;
}

/* How a run is placed, from what Open MPI documents as best for each. */
static void add_place(struct words *line, const struct settings *settings, const char *hosts,
                      const char *agent)
{
    const char *const nodes[] = {"-H",
                                 hosts,
                                 "--mca",
                                 "plm_rsh_agent",
                                 agent,
                                 "--mca",
                                 "btl",
                                 "vader,tcp,self",
                                 "--mca",
                                 "btl_tcp_if_include",
                                 "lo",
                                 "--mca",
                                 "oob_tcp_if_include",
                                 "lo",
                                 NULL};
    static const char *const one[] = {"--mca", "btl", "vader,self", NULL};
    /* Ranks that have a core each are bound to it and spin; others must yield while they wait. */
    static const char *const bound[] = {"--bind-to", "core", NULL};
    static const char *const crowded[] = {
        "--bind-to", "none", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1", NULL};
    add(line, settings->nodes > 1 ? nodes : one);
    add(line, settings_bound(settings) ? bound : crowded);
}

int openmpi_run(const struct settings *settings, const struct order *order, struct outcome *outcome)
{
    char text[order_text_bytes], number[number_bytes], agent[PATH_MAX + 256] = "";
    const char *file = settings->nodes > 1 ? bench_file("lib:node") : "";
    char *hosts = host_list(settings);
    struct words line = {0};
    if (!file || !hosts) {
        free(hosts);
        return -1;
    }
    snprintf(agent, sizeof(agent), "%s", file);
    snprintf(number, sizeof(number), "%d", settings->workers);
    order_write(order, text);
    add(&line, (const char *const[]){"mpirun", "--mca", "pml", "ob1", NULL});
    if (geteuid() == 0)
        add(&line, (const char *const[]){"--allow-run-as-root", NULL});
    add_place(&line, settings, hosts, agent);
    add(&line, (const char *const[]){"-n", number, bench_file("lib:mpi"), text, NULL});
    char *seen = capture(line.words, NULL);
    int failed = seen ? outcome_read(outcome, seen, "openmpi") : -1;
    free(seen);
    free(hosts);
    return failed;
}
