/*
 * Records of the protocol between an agent, its hosts and its packs (covey/v1/local.proto): one
 * protobuf message with descriptors on a SOCK_SEQPACKET socket.
 */
#ifndef SERVICE_COMMON_LOCAL_H
#define SERVICE_COMMON_LOCAL_H

#include "base/clock.h"
#include "base/io.h"
#include "covey/status.h"
#include "covey/v1/covey.pb-c.h"
#include "covey/v1/local.pb-c.h"
#include "covey/v1/types.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

/* The largest record. */
#define LOCAL_RECORD_BYTES ((size_t)96 * 1024)

/*
 * The log of a pack. Its offsets count each LogLines with its text and what it takes beside that
 * wherever it is kept, so that no output is for nothing; a pack has at most the window under way.
 */
#define LOCAL_LOG_OVERHEAD_BYTES 40U
#define LOCAL_LOG_TEXT_BYTES     ((size_t)64 * 1024)
#define LOCAL_LOG_WINDOW_BYTES   ((size_t)256 * 1024)
/* Beyond the window: the line that says where a log is cut off. */
#define LOCAL_LOG_MARK_BYTES ((size_t)256)

/* How long a host or pack in use waits for its agent to come back. */
#define LOCAL_RETURN_NS (10 * COVEY_NS_PER_S)

/* The descriptor on which a host or pack is given its listening socket. */
#define LOCAL_LISTEN_FD 3

/* And the one on which it keeps its last error, which its agent reads when it has ended. */
#define LOCAL_WORDS_FD 4

/* Workers, packs and nodes of one flare, at most. */
#define LOCAL_MAX_WORKERS 65536U
#define LOCAL_MAX_NODES   4096U

/* Workers of one pack, at most: what it says of each when it meets a new agent, a pid and a time of
 * the wall clock, has to fit into one record. */
#define LOCAL_PACK_WORKERS 6144U
_Static_assert((size_t)LOCAL_PACK_WORKERS *(4 + 9) < LOCAL_RECORD_BYTES - 4096,
               "a pack's hello fits");

typedef Covey__V1__LocalMessage local_message;

/* A received record. Descriptors still in it are closed with it. */
struct local_record {
    local_message *message;
    int fds[COVEY_IO_MAX_FDS];
    size_t fd_count;
};

/*
 * Sends one record. EAGAIN where the socket is full; EUNAVAILABLE where the peer is gone; ELIMIT
 * over LOCAL_RECORD_BYTES; ENOMEM. Descriptors stay the caller's.
 */
enum covey_status local_send(int socket, const local_message *message, const int *fds,
                             size_t fd_count) COVEY_MUST_USE;

/* Receives one record. EUNAVAILABLE where the peer has closed; EAGAIN where nothing is there;
 * EPROTO on what is no message or has no known body. Bad text costs only itself: it is mended. */
enum covey_status local_receive(int socket, struct local_record *record) COVEY_MUST_USE;

/* Decodes a record's bytes, which it mends, with the checks of local_receive. */
enum covey_status local_decode(void *bytes, size_t length_bytes,
                               local_message **message) COVEY_MUST_USE;

/* Takes a descriptor out of a record; -1 where there is none. */
int local_take_fd(struct local_record *record, size_t index);

void local_record_free(struct local_record *record);

/*
 * Reads and checks a flare's description from its memfd: packs contiguous from rank 0, node
 * indices within nodes, kinds known, at least one pack on this node. Freed with local_flare_free.
 */
enum covey_status local_flare_read(int fd, Covey__V1__LocalFlare **flare,
                                   struct covey_error *error) COVEY_MUST_USE;
void local_flare_free(Covey__V1__LocalFlare *flare);

/* The checks of local_flare_read. */
enum covey_status local_flare_check(const Covey__V1__LocalFlare *flare,
                                    struct covey_error *error) COVEY_MUST_USE;

/* The pack of an id, or NULL. */
const Covey__V1__LocalPack *local_flare_pack(const Covey__V1__LocalFlare *flare, uint32_t id);

/* True for 1 to 26 characters of [0-9A-Za-z_-]. */
bool local_flare_id_valid(const char *id);

/* What these lines count in the log of their pack; 0 where one of them is no piece of a log: empty,
 * too long, or of no stream. */
uint64_t local_log_cost(Covey__V1__LogLines *const *lines, size_t count);

/* One phrase for a worker's peers: "killed by signal 9 (Killed)", "exited with status 3". */
void local_describe_end(char *text, size_t size_bytes, uint32_t signal, uint32_t exit_status);

#endif
