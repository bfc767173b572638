/*
 * Pairs of workers that only talk to each other, near and far, and others beside them who send to
 * receivers that do not receive: how long do the pairs' round trips take? bystanders.py says on a
 * board that all map what is to be done, and reads there how long each trip took. Parameter: the
 * board's path.
 *
 * Five workers a node, by their order on it: the node's part of the far pair, the near pair, one
 * that sends (the flooder) and one that receives (the sink).
 */
#include <covey/worker.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { trips_most = 1 << 16, ranks_most = 64, flood_messages = 1500, flood_length = 200000 };
enum { held_most = 4096, hog_transfers = 24, hog_bytes = 4 << 20, nodes = 3, roles = 5 };

enum role { FAR_PART, NEAR_FIRST, NEAR_SECOND, FLOODER, SINK };
enum pair { NO_PAIR, NEAR_PAIR, FAR_PAIR, PAIRS };
enum attack { NEAR_SINK, FAR_SINK, OTHER_NODE, FULL_ARENA };

/* As bystanders.py writes and reads it. */
struct board {
    _Atomic uint32_t turn; /* counted up: the pair measures once */
    _Atomic uint32_t pair;
    _Atomic uint32_t trips; /* of how many */
    _Atomic uint32_t length_bytes;
    _Atomic uint32_t turn_done;
    _Atomic uint32_t over;              /* all of it */
    _Atomic uint32_t raid;              /* counted up with each attack */
    _Atomic uint32_t attack;            /* of the latest raid, which one */
    _Atomic uint32_t lasts;             /* until then nothing of it is received */
    _Atomic uint32_t ready[ranks_most]; /* by rank: the last raid in which it has done its part */
    _Atomic uint32_t ended[ranks_most]; /* by rank: the last raid that it has done with */
    _Atomic uint64_t times_ns[trips_most];
};

/* Of the world. */
enum tag { TRIP = 1, LAST_TRIP, FLOOD, HOG };

struct worker {
    struct covey_ctx *ctx;
    struct covey_comm *world;
    struct board *board;
    int rank;
    int node;
    enum role role;
    char *bytes;
    struct covey_request *requests[flood_messages];
};

static bool failed(struct worker *self, const char *what, enum covey_status status)
{
    if (status)
        covey_logf(self->ctx, "rank %d: %s: %s: %s", self->rank, what, covey_status_name(status),
                   covey_error_text(self->ctx));
    return status != COVEY_OK;
}

static int rank_of(int node, enum role role)
{
    return node * roles + (int)role;
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* ---- bystanders ---- */

/* Whoever is not the first of its pair. */
static bool echo(struct worker *self, int peer)
{
    for (;;) {
        struct covey_message message;
        if (failed(
                self, "echo",
                covey_recv(self->world, self->bytes, flood_length, peer, COVEY_ANY_TAG, &message)))
            return false;
        if (message.tag == LAST_TRIP)
            return true;
        if (failed(self, "echo",
                   covey_send(self->world, self->bytes, message.length_bytes, peer, TRIP)))
            return false;
    }
}

static bool travel(struct worker *self, int peer)
{
    struct board *board = self->board;
    size_t length = atomic_load(&board->length_bytes);
    uint32_t trips = atomic_load(&board->trips);
    for (uint32_t i = 0; i < trips; i++) {
        uint64_t begun = now_ns();
        if (failed(self, "trip", covey_send(self->world, self->bytes, length, peer, TRIP)) ||
            failed(self, "trip",
                   covey_recv(self->world, self->bytes, flood_length, peer, TRIP, NULL)))
            return false;
        atomic_store(&board->times_ns[i], now_ns() - begun);
    }
    return true;
}

/* The first of a pair measures when its turn comes. */
static bool stand_by(struct worker *self, enum pair pair, int peer)
{
    struct board *board = self->board;
    for (uint32_t seen = 0; !atomic_load(&board->over); usleep(1000)) {
        uint32_t turn = atomic_load(&board->turn);
        if (turn == seen || atomic_load(&board->pair) != pair)
            continue;
        seen = turn;
        if (!travel(self, peer))
            return false;
        atomic_store(&board->turn_done, turn);
    }
    return !failed(self, "last trip", covey_send(self->world, "", 0, peer, LAST_TRIP));
}

/* ---- the others ---- */

static size_t length_of(int number)
{
    static const size_t lengths[] = {8, 8, 8, 3000, 8, 8, flood_length, 8, 20000, 8};
    return lengths[number % (int)(sizeof lengths / sizeof *lengths)];
}

/* All that it may have under way; the rest waits here. */
static bool flood(struct worker *self, int sink)
{
    for (int i = 0; i < flood_messages; i++)
        if (failed(self, "flood",
                   covey_isend(self->world, self->bytes, length_of(i), sink, FLOOD,
                               &self->requests[i])))
            return false;
    atomic_store(&self->board->ready[self->rank], atomic_load(&self->board->raid));
    return !failed(self, "flood", covey_wait_all(self->requests, flood_messages));
}

static bool drain(struct worker *self, int flooder)
{
    for (int i = 0; i < flood_messages; i++)
        if (failed(self, "drain",
                   covey_recv(self->world, self->bytes, flood_length, flooder, FLOOD, NULL)))
            return false;
    return true;
}

static void await_end(struct worker *self)
{
    atomic_store(&self->board->ready[self->rank], atomic_load(&self->board->raid));
    while (atomic_load(&self->board->lasts))
        usleep(1000);
}

static bool send_to_hog(struct worker *self, int sink)
{
    static char bytes[hog_bytes];
    for (int i = 0; i < hog_transfers; i++)
        if (failed(self, "to the hog",
                   covey_isend(self->world, bytes, sizeof bytes, sink, HOG, &self->requests[i])))
            return false;
    atomic_store(&self->board->ready[self->rank], atomic_load(&self->board->raid));
    return !failed(self, "to the hog", covey_wait_all(self->requests, hog_transfers));
}

/* Fills the node's memory, accepts what comes from elsewhere, and takes none of it. */
static bool hog(struct worker *self, int flooder)
{
    static struct covey_buf *held[held_most];
    static char bytes[hog_transfers][hog_bytes];
    struct covey_message message;
    int count = 0;
    bool well = !failed(self, "hog", covey_probe(self->world, flooder, HOG, &message));
    for (int i = 0; well && i < hog_transfers; i++)
        well = !failed(
            self, "hog",
            covey_irecv(self->world, bytes[i], hog_bytes, flooder, HOG, &self->requests[i]));
    while (count < held_most && covey_buf_alloc(self->ctx, 1 << 20, &held[count]) == COVEY_OK)
        count++;
    await_end(self);
    while (count > 0)
        covey_buf_release(held[--count]);
    return well && !failed(self, "hog", covey_wait_all(self->requests, hog_transfers));
}

/* What this worker does in an attack. */
static bool raid(struct worker *self, enum attack attack)
{
    bool floods = self->role == FLOODER, near = attack == NEAR_SINK;
    int here = self->node, beside = here == 0 ? 1 : 0;
    if (attack == NEAR_SINK && here > 1)
        return true;
    if (attack == FULL_ARENA && floods && here == 0)
        return send_to_hog(self, rank_of(1, SINK));
    if (attack == FULL_ARENA && !floods && here == 1)
        return hog(self, rank_of(0, FLOODER));
    if (attack == FULL_ARENA || (attack == FAR_SINK && here > 1))
        return true;
    /* The third node is the other one: both of the pairs' nodes send there, and it sends to them.
     */
    if (attack == OTHER_NODE && floods)
        return flood(self, rank_of(here == 2 ? 0 : 2, SINK));
    if (attack != OTHER_NODE && floods)
        return flood(self, rank_of(near ? here : beside, SINK));
    await_end(self);
    if (attack != OTHER_NODE)
        return drain(self, rank_of(near ? here : beside, FLOODER));
    if (here == 2)
        return drain(self, rank_of(0, FLOODER)) && drain(self, rank_of(1, FLOODER));
    return here == 1 || drain(self, rank_of(2, FLOODER));
}

static bool serve(struct worker *self)
{
    struct board *board = self->board;
    for (uint32_t seen = 0;; usleep(1000)) {
        uint32_t number = atomic_load(&board->raid);
        if (atomic_load(&board->over))
            return true;
        if (number == seen)
            continue;
        seen = number;
        if (!raid(self, (enum attack)atomic_load(&board->attack)))
            return false;
        atomic_store(&board->ready[self->rank], number);
        atomic_store(&board->ended[self->rank], number);
    }
}

static bool open_board(struct worker *self)
{
    size_t length;
    char path[256] = "";
    const char *parameter = covey_param(self->ctx, &length);
    memcpy(path, parameter, length < sizeof path ? length : sizeof path - 1);
    int file = open(path, O_RDWR | O_CLOEXEC);
    void *map = file < 0
                    ? MAP_FAILED
                    : mmap(NULL, sizeof *self->board, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    self->board = map;
    self->bytes = calloc(1, flood_length);
    return map != MAP_FAILED && self->bytes;
}

int covey_work(struct covey_ctx *ctx)
{
    static struct worker self;
    self.ctx = ctx;
    self.world = covey_world(ctx);
    self.rank = covey_rank(ctx);
    self.node = covey_node_of(ctx, self.rank);
    self.role = (enum role)(self.rank % roles);
    if (covey_size(ctx) != nodes * roles || self.node != self.rank / roles || !open_board(&self))
        return 2;
    covey_comm_set_timeout(self.world, 300000000000);
    bool well = true;
    if (self.role == FLOODER || self.role == SINK)
        well = serve(&self);
    else if (self.role == FAR_PART && self.node < 2)
        well = self.node == 0 ? stand_by(&self, FAR_PAIR, rank_of(1, FAR_PART))
                              : echo(&self, rank_of(0, FAR_PART));
    else if (self.role != FAR_PART && self.node == 0)
        well = self.role == NEAR_FIRST ? stand_by(&self, NEAR_PAIR, rank_of(0, NEAR_SECOND))
                                       : echo(&self, rank_of(0, NEAR_FIRST));
    return well ? 0 : 1;
}
