/* What covey-node is told when it starts. */
#ifndef SERVICE_NODE_OPTIONS_H
#define SERVICE_NODE_OPTIONS_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a flare's processes are held together, so that all of them can be ended. */
enum tree_kind {
    TREE_AUTO,
    TREE_PID_NAMESPACE, /* a pack is the first process of a pid namespace */
    TREE_CGROUP,        /* a cgroup for each pack, ended by cgroup.kill */
    TREE_ENVIRONMENT,   /* found by COVEY_FLARE_ID in /proc; a process that changes it escapes */
};

#define NODE_PAIRS_MAX 64

/* Of the command line, which lives as long. */
struct node_pair {
    const char *key;
    const char *value;
};

struct node_amount {
    const char *name;
    uint64_t amount;
};

struct node_options {
    char name[64];
    char controller[256];
    uint32_t slots;        /* 0: as many as cores, or what a quota leaves of them */
    uint64_t memory_bytes; /* 0: all that the machine and its control groups give */
    char state_dir[256];
    char runtime_dir[256];
    char data_address[64];
    uint32_t port_first;
    uint32_t port_last;
    char network[8]; /* auto, ucx or tcp */
    char join_token[256];
    uint32_t warm_hosts;
    uint32_t warm_packs;
    uint64_t cache_bytes;
    int lifeline_fd; /* -1: none */
    enum tree_kind tree;
    char program_folder[512];   /* where covey-host and covey-pack are */
    char ca_file[256];          /* whom to trust; empty: plaintext */
    char certificate_file[256]; /* this node's own; empty: none */
    char key_file[256];
    struct node_pair labels[NODE_PAIRS_MAX];
    size_t label_count;
    struct node_pair taints[NODE_PAIRS_MAX];
    size_t taint_count;
    struct node_amount resources[NODE_PAIRS_MAX];
    size_t resource_count;
    uint32_t gpus;
};

/*
 * Fills *options from the command line. Ends the process on --help, --version and bad usage (exit
 * status 2, with one sentence on standard error).
 */
void node_options_parse(struct node_options *options, int argc, char **argv);

/* "10-20" or "10". False, with nothing changed, on anything else. */
bool node_parse_ports(const char *text, uint32_t *first, uint32_t *last);

/* Cuts "key=value" in two, within text. False, with text untouched, where that is no label: both
 * are 1 to 63 of [A-Za-z0-9._/-], the value may be empty. */
bool node_parse_pair(char *text, struct node_pair *pair);

/* What may stand in a node's name: 1 to 63 of [A-Za-z0-9._-]. */
bool node_name_valid(const char *name);

#endif
