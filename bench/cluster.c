#include "bench/cluster.h"

#include "bench/bench.h"
#include "bench/command.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_folder(const char *folder)
{
    if (nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "covey-bench: cannot remove %s: %s\n", folder, strerror(errno));
}

static int make_folder(struct bench_cluster *cluster)
{
    char run[bench_path_bytes + 8];
    /* Not below TMPDIR: the path of a socket must stay short. */
    snprintf(cluster->folder, sizeof(cluster->folder), "/tmp/covey-bench-XXXXXX");
    if (!mkdtemp(cluster->folder)) {
        fprintf(stderr, "covey-bench: cannot create a folder in /tmp: %s\n", strerror(errno));
        return -1;
    }
    snprintf(run, sizeof(run), "%s/run", cluster->folder);
    if (mkdir(run, 0700) < 0) {
        fprintf(stderr, "covey-bench: cannot create %s: %s\n", run, strerror(errno));
        remove_folder(cluster->folder);
        return -1;
    }
    return 0;
}

/* covey VERB [ARGUMENT...] in the cluster's environment. */
static int covey(struct bench_cluster *cluster, const char *const *words)
{
    const char *arguments[16] = {bench_file("covey")};
    if (!arguments[0])
        return -1;
    for (size_t i = 0; words[i] && i < 14; i++)
        arguments[i + 1] = words[i];
    return bench_command(arguments, cluster->environment, NULL);
}

int bench_cluster_open(struct bench_cluster *cluster, int nodes, int slots, bool cold)
{
    *cluster = (struct bench_cluster){0};
    const char *server = getenv("COVEY_SERVER");
    if (server && *server) {
        if (cold) {
            fprintf(stderr, "covey-bench: --cold needs a cluster of its own; unset COVEY_SERVER\n");
            return -1;
        }
        snprintf(cluster->server, sizeof(cluster->server), "%s", server);
        return 0;
    }
    if (make_folder(cluster) < 0)
        return -1;
    cluster->own = true;
    snprintf(cluster->server, sizeof(cluster->server), "unix:%s/run/covey.sock", cluster->folder);
    snprintf(cluster->variables[0], sizeof(cluster->variables[0]), "COVEY_STATE_DIR=%s/state",
             cluster->folder);
    snprintf(cluster->variables[1], sizeof(cluster->variables[1]), "COVEY_RUNTIME_DIR=%s/run",
             cluster->folder);
    for (int i = 0; i < 2; i++)
        cluster->environment[i] = cluster->variables[i];
    char node_text[16], slot_text[16];
    snprintf(node_text, sizeof(node_text), "%d", nodes);
    snprintf(slot_text, sizeof(slot_text), "%d", slots);
    const char *words[] = {"up",      "--quiet", "--nodes", node_text,
                           "--slots", slot_text, "--cold",  NULL};
    if (!cold)
        words[6] = NULL;
    if (covey(cluster, words) == 0)
        return 0;
    fprintf(stderr, "covey-bench: covey up failed\n");
    bench_cluster_close(cluster);
    return -1;
}

void bench_cluster_close(struct bench_cluster *cluster)
{
    if (!cluster->own)
        return;
    const char *const words[] = {"down", NULL};
    if (covey(cluster, words) != 0)
        fprintf(stderr, "covey-bench: covey down failed; its folder is %s\n", cluster->folder);
    else
        remove_folder(cluster->folder);
    cluster->own = false;
}
