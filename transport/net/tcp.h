/*
 * Inside the TCP backend: what its files share. One stream a link carries all: the greeting, then
 * messages. docs/wire.md says how.
 *
 * Budget: a message that is small costs a part of one sendmsg and of one recv, and no allocation;
 * one that is large is copied by the kernel only, but for what came along with its header.
 */
#ifndef TRANSPORT_NET_TCP_H
#define TRANSPORT_NET_TCP_H

#include "base/list.h"
#include "transport/net/backend.h"
#include "transport/net/device.h"

/* What comes before the content of a record: its length, and its type. */
#define TCP_RECORD_HEAD_BYTES 5

enum tcp_record {
    TCP_RECORD_FRAME = 1,
    TCP_RECORD_MESSAGE = 3,
    TCP_RECORD_LARGE = 4, /* a message whose sender waits until its payload was taken */
    TCP_RECORD_TAKEN = 5, /* u32: the number of such a message, counted from 0 at both ends */
};

/* What a link reads ahead. Small, since what is read ahead of a large payload is copied. */
#define TCP_AHEAD_BYTES 16384

/* A payload up to this is waited for, and offered as it lies there; it fits beside its header. */
#define TCP_HERE_BYTES 8192

struct net_backend {
    struct net_backend_options options; /* bind_address is not kept */
    struct net_device device;
    char ip[64];
    char address[80];
    int epoll; /* of all that follows */
    int listener;
    int timer;                 /* runs while there are settled links */
    struct covey_list links;   /* every link that is not closed, nor in news */
    struct covey_list news;    /* links that broke or settled, until the owner is told */
    struct covey_list doomed;  /* closed by the owner, not yet given back */
    struct covey_list settled; /* those that carry messages, until given back; tcp_link.carries */
    struct covey_list unsent;  /* links with something to write and room for it; tcp_link.writes */
    struct covey_list spare;   /* sends that may be used again */
    struct covey_list regions;
    unsigned settled_count;
    unsigned full_count; /* links whose socket takes no more now */
    unsigned rounds;     /* since epoll was asked */
    bool slept;          /* the owner may have: epoll is asked first */
};

/* A send that is under way. */
struct tcp_send {
    struct covey_list node;
    net_done done;
    void *done_data;
    const uint8_t *payload; /* borrowed */
    size_t payload_bytes;
    size_t head_bytes;
    size_t sent_bytes; /* of head and payload */
    uint32_t number;   /* of a large one */
    bool large;
    bool taken;     /* though not all of it has gone: it is thrown away there */
    uint8_t head[]; /* the record's head, the frame's fixed part and its header */
};

/* A payload that did not come together with its header: being read, or kept for the owner. */
struct tcp_body {
    struct covey_list node; /* on bodies */
    struct tcp_link *link;  /* NULL once that is gone */
    uint32_t number;        /* of a large message */
    bool large;
    size_t length_bytes;
    size_t got_bytes;
    uint8_t *address; /* where it goes: the owner's memory, or own */
    uint8_t *own;     /* while the owner only keeps it */
    net_done done;    /* of the fetch; NULL before */
    void *done_data;
};

struct tcp_link {
    struct net_link link; /* first: a net_link is one */
    struct net_backend *tcp;
    struct covey_list node;    /* on links, news or doomed */
    struct covey_list carries; /* on settled */
    struct covey_list writes;  /* on unsent */
    int socket;
    bool connected; /* the socket is */
    bool settled;   /* by the owner */
    bool told;      /* the owner knows that it is */
    bool full;      /* the socket takes no more now */
    bool broken;    /* and why: */
    bool reported;  /* and the owner knows */
    bool closed;    /* by the owner */
    enum covey_status why;
    char reason[96];
    struct covey_list sends;   /* in their order */
    struct covey_list untaken; /* large ones that have gone and were not taken yet */
    struct covey_list bodies;  /* struct tcp_body */
    uint32_t larges_out, larges_in;
    struct tcp_body *body; /* that is being read */
    size_t skip_bytes;     /* of a payload that nobody wants */
    uint8_t *ahead;        /* TCP_AHEAD_BYTES; NULL before the first read */
    size_t ahead_start, ahead_end;
};

/* Memory needs no registering here: what is noted is only what the owner may use. */
struct net_region {
    struct covey_list node; /* on regions */
    uintptr_t start;
    size_t length_bytes;
};

static inline struct tcp_link *tcp_link_of(struct net_link *link)
{
    return (struct tcp_link *)(void *)link;
}

/* tcp_link.c: the listener, links and their end. */
enum covey_status tcp_open(struct net_backend *tcp, struct covey_error *error) COVEY_MUST_USE;
enum covey_status tcp_connect(struct net_backend *tcp, const char *address, struct net_link **link);
enum covey_status tcp_settle(struct net_backend *tcp, struct net_link *link);
void tcp_close(struct net_backend *tcp, struct net_link *link);
void tcp_link_break(struct tcp_link *link, enum covey_status why, const char *reason);
/* Has epoll say when the socket takes more, or no longer. */
void tcp_link_full(struct tcp_link *link, bool full);
/* Serves what epoll says is ready. */
bool tcp_sockets_progress(struct net_backend *tcp);
/* Tells the owner of links that settled or broke, and gives back closed ones. */
bool tcp_links_progress(struct net_backend *tcp);

/* tcp_out.c */
enum covey_status tcp_send(struct net_backend *tcp, struct net_link *link,
                           const struct net_send_request *request);
/* Writes what the socket takes. */
void tcp_write(struct tcp_link *link);
bool tcp_writes_progress(struct net_backend *tcp);
/* Says that a large message was taken, or thrown away. */
void tcp_say_taken(struct tcp_link *link, uint32_t number);
/* The other end has said so. */
void tcp_was_taken(struct tcp_link *link, uint32_t number);
/* Ends what was not sent, or not taken. */
void tcp_sends_fail(struct tcp_link *link);

/* tcp_in.c */
/* Reads a bounded amount of what has come, and hands it on. False: there was nothing. */
bool tcp_read(struct tcp_link *link);
/* Ends what is read of a link that goes. */
void tcp_body_orphan(struct tcp_link *link);
void tcp_fetch(struct net_backend *tcp, struct net_link *link, void *handle, void *address,
               size_t length_bytes, struct net_region *region, net_done done, void *done_data);
void tcp_release(struct net_backend *tcp, void *handle);

#endif
