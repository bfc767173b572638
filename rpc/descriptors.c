#include "rpc/descriptors.h"

#include "base/memory.h"
#include "proto/wire.h"

#include <stdlib.h>
#include <string.h>

/* Deeper than any schema that a person would write. */
#define MAX_NESTING 32

/* Where a descriptor has the definitions inside it (descriptor.proto). */
enum kind { KIND_FILE, KIND_MESSAGE, KIND_ENUM, KIND_SERVICE, KIND_LEAF };

static const struct {
    enum kind parent;
    uint32_t number;
    enum kind child;
} parts[] = {
    {KIND_FILE, 4, KIND_MESSAGE}, {KIND_FILE, 5, KIND_ENUM},    {KIND_FILE, 6, KIND_SERVICE},
    {KIND_FILE, 7, KIND_LEAF},    {KIND_MESSAGE, 2, KIND_LEAF}, {KIND_MESSAGE, 3, KIND_MESSAGE},
    {KIND_MESSAGE, 4, KIND_ENUM}, {KIND_MESSAGE, 6, KIND_LEAF}, {KIND_MESSAGE, 8, KIND_LEAF},
    {KIND_ENUM, 2, KIND_LEAF},    {KIND_SERVICE, 2, KIND_LEAF},
};

#define NAME_NUMBER       1
#define PACKAGE_NUMBER    2
#define DEPENDENCY_NUMBER 3

struct walk {
    struct rpc_descriptors *descriptors;
    struct rpc_descriptor_file *file;
};

/* A string field of a descriptor; empty where it has none. */
static struct proto_wire_field find_string(struct proto_wire wire, uint32_t number)
{
    struct proto_wire_field field;
    while (proto_wire_next(&wire, &field)) {
        if (field.number == number && field.type == PROTO_WIRE_BYTES)
            return field;
    }
    return (struct proto_wire_field){.bytes = (const uint8_t *)""};
}

static char *join(const char *scope, const struct proto_wire_field *name)
{
    return covey_asprintf("%s%s%.*s", scope, *scope && name->length_bytes ? "." : "",
                          (int)name->length_bytes, (const char *)name->bytes);
}

static enum covey_status walk_children(const struct walk *walk, struct proto_wire wire,
                                       enum kind kind, const char *scope, unsigned depth);

static enum covey_status walk_one(const struct walk *walk, struct proto_wire wire, enum kind kind,
                                  const char *scope, unsigned depth)
{
    if (depth > MAX_NESTING)
        return COVEY_EPROTO;
    struct proto_wire_field name = find_string(wire, NAME_NUMBER);
    char *full_name = join(scope, &name);
    if (!full_name)
        return COVEY_ENOMEM;
    enum covey_status status = COVEY_OK;
    if (!covey_map_get(&walk->descriptors->symbols, full_name))
        status = covey_map_set(&walk->descriptors->symbols, full_name, walk->file);
    if (!status && kind == KIND_MESSAGE)
        status = covey_map_set(&walk->descriptors->messages, full_name, walk->file);
    /* The values of an enum are named in the scope around it. */
    if (!status && kind != KIND_LEAF)
        status = walk_children(walk, wire, kind, kind == KIND_ENUM ? scope : full_name, depth + 1);
    free(full_name);
    return status;
}

static enum covey_status walk_children(const struct walk *walk, struct proto_wire wire,
                                       enum kind kind, const char *scope, unsigned depth)
{
    struct proto_wire_field field;
    while (proto_wire_next(&wire, &field)) {
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            if (parts[i].parent != kind || parts[i].number != field.number ||
                field.type != PROTO_WIRE_BYTES)
                continue;
            struct proto_wire inner = proto_wire_over(field.bytes, field.length_bytes);
            enum covey_status status = walk_one(walk, inner, parts[i].child, scope, depth);
            if (status)
                return status;
        }
    }
    return wire.at ? COVEY_OK : COVEY_EPROTO;
}

static enum covey_status add_file(struct rpc_descriptors *descriptors,
                                  const struct proto_wire_field *bytes)
{
    struct proto_wire wire = proto_wire_over(bytes->bytes, bytes->length_bytes);
    struct proto_wire_field name = find_string(wire, NAME_NUMBER);
    struct proto_wire_field package = find_string(wire, PACKAGE_NUMBER);
    struct rpc_descriptor_file *file = covey_calloc(1, sizeof *file);
    if (!file)
        return COVEY_ENOMEM;
    file->next = descriptors->files;
    descriptors->files = file;
    file->bytes = bytes->bytes;
    file->length_bytes = bytes->length_bytes;
    file->name = join("", &name);
    if (!file->name)
        return COVEY_ENOMEM;
    if (covey_map_get(&descriptors->names, file->name))
        return COVEY_OK;
    enum covey_status status = covey_map_set(&descriptors->names, file->name, file);
    if (status)
        return status;
    char *scope = join("", &package);
    if (!scope)
        return COVEY_ENOMEM;
    struct walk walk = {descriptors, file};
    status = walk_children(&walk, wire, KIND_FILE, scope, 0);
    free(scope);
    return status;
}

enum covey_status rpc_descriptors_add(struct rpc_descriptors *descriptors, const uint8_t *bytes,
                                      size_t length_bytes)
{
    struct proto_wire wire = proto_wire_over(bytes, length_bytes);
    struct proto_wire_field field;
    while (proto_wire_next(&wire, &field)) {
        if (field.number != 1 || field.type != PROTO_WIRE_BYTES)
            continue;
        enum covey_status status = add_file(descriptors, &field);
        if (status)
            return status;
    }
    return length_bytes == 0 || wire.at ? COVEY_OK : COVEY_EPROTO;
}

static struct rpc_descriptor_file *find_dependency(const struct rpc_descriptors *descriptors,
                                                   const struct proto_wire_field *name)
{
    char text[512];
    if (name->length_bytes >= sizeof text)
        return NULL;
    memcpy(text, name->bytes, name->length_bytes);
    text[name->length_bytes] = '\0';
    return covey_map_get(&descriptors->names, text);
}

size_t rpc_descriptors_closure(struct rpc_descriptors *descriptors,
                               struct rpc_descriptor_file *file,
                               const struct rpc_descriptor_file **files, size_t size)
{
    for (struct rpc_descriptor_file *other = descriptors->files; other; other = other->next)
        other->marked = false;
    size_t count = 0;
    if (size == 0)
        return 0;
    file->marked = true;
    files[count++] = file;
    for (size_t i = 0; i < count; i++) {
        struct proto_wire wire = proto_wire_over(files[i]->bytes, files[i]->length_bytes);
        struct proto_wire_field field;
        while (proto_wire_next(&wire, &field) && count < size) {
            if (field.number != DEPENDENCY_NUMBER || field.type != PROTO_WIRE_BYTES)
                continue;
            struct rpc_descriptor_file *found = find_dependency(descriptors, &field);
            if (!found || found->marked)
                continue;
            found->marked = true;
            files[count++] = found;
        }
    }
    return count;
}

void rpc_descriptors_free(struct rpc_descriptors *descriptors)
{
    covey_map_clear(&descriptors->names);
    covey_map_clear(&descriptors->symbols);
    covey_map_clear(&descriptors->messages);
    struct rpc_descriptor_file *next;
    for (struct rpc_descriptor_file *file = descriptors->files; file; file = next) {
        next = file->next;
        free(file->name);
        free(file);
    }
    descriptors->files = NULL;
}
