/*
 * An index over serialised FileDescriptorSets: which file has a name, which defines a symbol. Only
 * what reflection asks is read; the files themselves are handed on as bytes.
 */
#ifndef RPC_DESCRIPTORS_H
#define RPC_DESCRIPTORS_H

#include "base/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_descriptor_file {
    const uint8_t *bytes; /* a FileDescriptorProto, in the set that was added */
    size_t length_bytes;
    char *name;
    struct rpc_descriptor_file *next; /* all files, for freeing and marking */
    bool marked;
};

struct rpc_descriptors {
    struct covey_map names;    /* file name -> struct rpc_descriptor_file */
    struct covey_map symbols;  /* full name -> the file that defines it */
    struct covey_map messages; /* full names of message types -> their file */
    struct rpc_descriptor_file *files;
};

/* Adds a set, borrowed for the index's life; files that are there by name already are left out.
 * EPROTO: malformed. ENOMEM. After either the index can only be freed. */
enum covey_status rpc_descriptors_add(struct rpc_descriptors *descriptors, const uint8_t *bytes,
                                      size_t length_bytes) COVEY_MUST_USE;

/* Finds the file and those it imports, over all levels, it first: at most `size` are put into
 * files. Returns how many were. */
size_t rpc_descriptors_closure(struct rpc_descriptors *descriptors,
                               struct rpc_descriptor_file *file,
                               const struct rpc_descriptor_file **files, size_t size);

void rpc_descriptors_free(struct rpc_descriptors *descriptors);

#endif
