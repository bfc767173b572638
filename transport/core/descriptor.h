/*
 * The header of a message: the same in an inbox slot, in the host's hands and on the wire between
 * hosts (all nodes of a cluster have the same byte order; the network's hello checks it).
 *
 * The host forwards a header unchanged, with its payload bytes behind it, and looks at nothing but
 * source, destination and how long the payload is. Kinds are the workers' affair.
 */
#ifndef TRANSPORT_CORE_DESCRIPTOR_H
#define TRANSPORT_CORE_DESCRIPTOR_H

#include <stdint.h>

#define DESCRIPTOR_INLINE_BYTES 64

enum descriptor_kind {
    DESCRIPTOR_MESSAGE = 1, /* matched; its whole payload comes with it */
    DESCRIPTOR_OFFER,       /* matched; the payload follows when it is asked for (rendezvous) */
    DESCRIPTOR_ACCEPT,      /* answers an offer: send as much of the payload */
    DESCRIPTOR_DATA,        /* a piece of an accepted payload */
    DESCRIPTOR_WITHDRAWN,   /* the sender gave up: instead of an offer, or after its accept */
    DESCRIPTOR_REFUSED,     /* the receiver gave up after its accept */
    DESCRIPTOR_CREDIT,      /* payload that was sent without being asked for is consumed */
    DESCRIPTOR_KINDS
};

enum descriptor_payload {
    DESCRIPTOR_NONE,
    DESCRIPTOR_INLINE,
    DESCRIPTOR_BLOCK,
    DESCRIPTOR_PRIVATE, /* in the memory of the process that has the descriptor; in no inbox */
};

struct descriptor_header {
    uint16_t kind;    /* enum descriptor_kind */
    uint16_t payload; /* enum descriptor_payload: on the wire meaningless, rewritten on arrival */
    uint32_t source;  /* rank in the flare */
    uint32_t destination;
    int32_t tag;
    uint64_t communicator;
    uint64_t sequence; /* per communicator, source and destination; of matched kinds */
    uint64_t length;   /* of the whole message */
    uint64_t cookie;   /* names the rendezvous with whom the message goes to */
    uint64_t argument; /* by kind */
};

_Static_assert(sizeof(struct descriptor_header) == 56, "goes over the wire");

/* Where in the arena a payload lies. Part of one block; one slab only, where the host is asked to
 * send it. */
struct descriptor_block {
    uint32_t slab;  /* the block's (first) slab */
    uint32_t block; /* its number in the slab */
    uint64_t start; /* of the payload in the block */
    uint64_t length;
};

struct descriptor {
    struct descriptor_header header;
    union {
        uint8_t
            inline_bytes[DESCRIPTOR_INLINE_BYTES]; /* DESCRIPTOR_INLINE: header.length of them */
        struct descriptor_block block;             /* DESCRIPTOR_BLOCK */
        uint8_t *private_bytes;                    /* DESCRIPTOR_PRIVATE */
    };
};

_Static_assert(sizeof(struct descriptor) == 120, "a slot without its state word");

#endif
