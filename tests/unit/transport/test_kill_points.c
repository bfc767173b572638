/*
 * SIGKILL at every point: a victim is single-stepped through what it does in the arena, and for
 * each state that the shared memory takes on the way, a copy of the arena is made in which it has
 * just died. There its worker is reaped and its peers go on; nothing may be lost, and nothing may
 * stay behind.
 */
#include "one_node.h"
#include "transport/core/boxes.h"
#include "transport/core/inbox.h"
#include "transport/core/memory.h"
#include "transport/core/slab.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ME, VICTIM, OTHER, DEAD, WORKERS };
enum { MOST_HELD = 4, LARGE = 3 << 20 };

/* An arena, and what those who live hold in it. */
struct world {
    struct arena *arena;
    struct memory memory[WORKERS];
    struct inbox inbox;                               /* of ME */
    struct boxes boxes[WORKERS];                      /* of ME and VICTIM */
    struct descriptor_block held[WORKERS][MOST_HELD]; /* by ME and OTHER: let go at the end */
    uint32_t held_count[WORKERS];
    struct descriptor_block block; /* from a scenario's setup to its victim */
};

struct scenario {
    const char *name;
    void (*set_up)(struct world *world);
    void (*victim)(struct world *world);
    bool dead_too; /* DEAD is not reaped yet */
};

/* ---- what workers do ---- */

static struct descriptor_block allocate(struct world *world, uint32_t endpoint, uint64_t length)
{
    struct descriptor_block block;
    if (!memory_allocate(&world->memory[endpoint], length, MEMORY_OWNED, &block))
        abort();
    return block;
}

static struct descriptor about(const struct descriptor_block *block, uint32_t from)
{
    return (struct descriptor){.header = {.kind = DESCRIPTOR_MESSAGE,
                                          .payload = DESCRIPTOR_BLOCK,
                                          .source = from,
                                          .length = block->length},
                               .block = *block};
}

static void send_block(struct world *world, uint32_t from, uint32_t to,
                       const struct descriptor_block *block)
{
    struct descriptor descriptor = about(block, from);
    if (memory_grant(&world->memory[from], to, block) != MEMORY_GRANTED)
        return;
    if (inbox_post(world->arena, from, to, &descriptor))
        memory_granted(&world->memory[from]);
    else
        memory_revoke(&world->memory[from], to, block);
}

static void hold(struct world *world, uint32_t endpoint, const struct descriptor_block *block)
{
    world->held[endpoint][world->held_count[endpoint]++] = *block;
}

/* A block of another one's that the victim holds and has taken. */
static void lend_to_victim(struct world *world, uint32_t from, uint64_t length)
{
    world->block = allocate(world, from, length);
    if (memory_grant(&world->memory[from], VICTIM, &world->block) != MEMORY_GRANTED ||
        !memory_accept(&world->memory[VICTIM], &world->block))
        abort();
    memory_granted(&world->memory[from]);
    memory_release(&world->memory[from], &world->block);
}

static void die(struct arena *arena, const uint32_t *ranks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        arena_mark_ended(arena, ranks[i], ARENA_DIED, "killed");
    arena_reap(arena, ranks, count);
}

/* ---- scenarios ---- */

static void nothing(struct world *world)
{
    (void)world;
}

static void small_message(struct world *world)
{
    struct descriptor_block block = allocate(world, VICTIM, 100);
    send_block(world, VICTIM, ME, &block);
    memory_release(&world->memory[VICTIM], &block);
}

static void boxed_message(struct world *world)
{
    struct descriptor_block block = allocate(world, VICTIM, 100);
    struct descriptor descriptor = about(&block, VICTIM);
    if (memory_grant(&world->memory[VICTIM], ME, &block) != MEMORY_GRANTED ||
        boxes_post(world->arena, &world->boxes[VICTIM], ME, &descriptor) != BOXES_POSTED)
        abort();
    memory_granted(&world->memory[VICTIM]);
    memory_release(&world->memory[VICTIM], &block);
}

static void two_boxed_messages(struct world *world)
{
    boxed_message(world);
    boxed_message(world);
}

static void large_message(struct world *world)
{
    struct descriptor_block block = allocate(world, VICTIM, LARGE);
    send_block(world, VICTIM, ME, &block);
    memory_release(&world->memory[VICTIM], &block);
}

static void agreed_message(struct world *world)
{
    struct descriptor_block block;
    if (!memory_allocate(&world->memory[VICTIM], 60000, MEMORY_AGREED, &block))
        abort();
    send_block(world, VICTIM, ME, &block);
    memory_release(&world->memory[VICTIM], &block);
}

static void lend_large(struct world *world)
{
    lend_to_victim(world, OTHER, LARGE);
}

static void lend_small(struct world *world)
{
    lend_to_victim(world, OTHER, 5000);
}

static void let_go(struct world *world)
{
    memory_release(&world->memory[VICTIM], &world->block);
}

static void pass_on(struct world *world)
{
    send_block(world, VICTIM, ME, &world->block);
    memory_release(&world->memory[VICTIM], &world->block);
}

/* The owner has died; the victim is the last that holds a block of it. */
static void lend_of_the_dead(struct world *world)
{
    static const uint32_t dead = DEAD;
    lend_to_victim(world, DEAD, 5000);
    die(world->arena, &dead, 1);
}

static void bury(struct world *world)
{
    static const uint32_t dead = DEAD;
    die(world->arena, &dead, 1);
}

static void send_to_the_dead(struct world *world)
{
    struct descriptor_block block = allocate(world, VICTIM, LARGE);
    send_block(world, VICTIM, DEAD, &block);
    memory_release(&world->memory[VICTIM], &block);
}

static void fill_the_inbox(struct world *world)
{
    struct descriptor descriptor = {.header = {.kind = DESCRIPTOR_MESSAGE, .source = OTHER}};
    while (inbox_post(world->arena, OTHER, ME, &descriptor)) {
    }
}

static void give_back(struct world *world)
{
    struct descriptor_block small = allocate(world, VICTIM, 100);
    struct descriptor_block larger = allocate(world, VICTIM, 200000);
    memory_release(&world->memory[VICTIM], &small);
    memory_release(&world->memory[VICTIM], &larger);
    atomic_fetch_add(&layout_header(world->arena)->pressure, 1);
    memory_trim(&world->memory[VICTIM]);
}

/* Slabs in a row are found only behind one that is taken. */
static void leave_a_gap(struct world *world)
{
    struct descriptor_block gap = allocate(world, OTHER, 2u << 20);
    struct descriptor_block fence = allocate(world, OTHER, 5000);
    memory_release(&world->memory[OTHER], &gap);
    hold(world, OTHER, &fence);
}

static void too_large_a_message(struct world *world)
{
    struct descriptor_block block;
    if (memory_allocate(&world->memory[VICTIM], 12u << 20, MEMORY_OWNED, &block))
        abort();
}

static void end_well(struct world *world)
{
    struct descriptor_block block = allocate(world, VICTIM, 5000);
    memory_release(&world->memory[VICTIM], &block);
    memory_close(&world->memory[VICTIM]);
}

/* DEAD has died in the middle of everything; the victim is the pack that reaps it. */
static void die_with_all(struct world *world)
{
    struct descriptor_block mine = allocate(world, DEAD, LARGE);
    struct descriptor_block sent = allocate(world, DEAD, 5000);
    struct descriptor_block foreign = allocate(world, OTHER, LARGE);
    struct descriptor_block part = allocate(world, DEAD, 2u << 20);
    send_block(world, DEAD, ME, &sent);
    send_block(world, OTHER, DEAD, &foreign);
    memory_release(&world->memory[OTHER], &foreign);
    /* Half of an extent is made, half of another one is freed, a slot is claimed. */
    atomic_store(&layout_slab(world->arena, part.slab)->kind, 0);
    (void)slab_hold(world->arena, OTHER, mine.slab, 0);
    memory_release(&world->memory[DEAD], &mine);
    slab_release(world->arena, OTHER, mine.slab, 0);
    struct layout_slot *slot = &layout_inbox(world->arena, OTHER)->slots[0];
    atomic_store(&slot->state, UINT64_C(1) << 16 | DEAD);
    atomic_store(&layout_endpoint(world->arena, DEAD)->posting_to, OTHER + 1);
}

static const struct scenario scenarios[] = {
    {"a small message", nothing, small_message, false},
    {"a boxed message", nothing, boxed_message, false},
    {"two boxed messages", nothing, two_boxed_messages, false},
    {"a large message", nothing, large_message, false},
    {"a message that is agreed on", nothing, agreed_message, false},
    {"the last holder of a large block lets go", lend_large, let_go, false},
    {"the last holder of a small block lets go", lend_small, let_go, false},
    {"the last holder of a dead one's block lets go", lend_of_the_dead, let_go, false},
    {"a large block is passed on", lend_large, pass_on, false},
    {"a dead one's block is passed on", lend_of_the_dead, pass_on, false},
    {"the receiver is dead", bury, send_to_the_dead, false},
    {"the inbox is full", fill_the_inbox, small_message, false},
    {"slabs are given back", nothing, give_back, false},
    {"a large message behind a gap", leave_a_gap, large_message, false},
    {"a message that does not fit", leave_a_gap, too_large_a_message, false},
    {"a good end", nothing, end_well, false},
    {"the pack that reaps", die_with_all, bury, true},
};

#define SCENARIOS (sizeof(scenarios) / sizeof(*scenarios))

/* ---- worlds ---- */

static void open_world(struct world *world)
{
    *world = (struct world){.arena = one_node(WORKERS, arena_least_bytes(WORKERS))};
    for (uint32_t i = 0; i < WORKERS; i++)
        TEST_REQUIRE(memory_open(world->arena, i, &world->memory[i]) == COVEY_OK);
    inbox_open(world->arena, ME, &world->inbox);
    TEST_REQUIRE(boxes_open(world->arena, ME, &world->boxes[ME]) == COVEY_OK);
    TEST_REQUIRE(boxes_open(world->arena, VICTIM, &world->boxes[VICTIM]) == COVEY_OK);
}

static void free_memory(struct memory *memory)
{
    free(memory->next);
    free(memory->known);
    free(memory->suspects);
}

static void close_world(struct world *world)
{
    for (uint32_t i = 0; i < WORKERS; i++)
        free_memory(&world->memory[i]);
    boxes_close(&world->boxes[ME]);
    boxes_close(&world->boxes[VICTIM]);
    arena_destroy(world->arena);
}

/* As it is now, but for the payload: what ME knows, too. */
static void copy_world(const struct world *from, const uint8_t *control, struct world *to)
{
    uint64_t bytes = from->arena->layout.slabs;
    struct covey_error error;
    int fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    TEST_REQUIRE(fd >= 0);
    TEST_REQUIRE(ftruncate(fd, (off_t)from->arena->shape.total_bytes) == 0);
    TEST_REQUIRE(pwrite(fd, control, bytes, 0) == (ssize_t)bytes);
    TEST_REQUIRE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    *to = *from;
    TEST_REQUIRE(arena_map(fd, &to->arena, &error) == COVEY_OK);
    close(fd);
    TEST_REQUIRE(memory_open(to->arena, ME, &to->memory[ME]) == COVEY_OK);
    memcpy(to->memory[ME].known, from->memory[ME].known,
           (size_t)to->arena->shape.slab_count * LAYOUT_SLAB_BLOCKS / 8);
    to->memory[ME].reaps_seen = from->memory[ME].reaps_seen;
    to->inbox.shared = layout_inbox(to->arena, ME);
    TEST_REQUIRE(boxes_open(to->arena, ME, &to->boxes[ME]) == COVEY_OK);
}

/* ---- after the death ---- */

static int wrong_slabs(const struct arena *arena, bool dead_too)
{
    int wrong = 0;
    for (uint32_t slab = 0; slab < arena->shape.slab_count; slab++) {
        uint32_t state = (uint32_t)atomic_load(&layout_slab(arena, slab)->owner);
        uint32_t kind = atomic_load(&layout_slab(arena, slab)->kind);
        uint32_t owner = state - LAYOUT_SLAB_OWNED;
        bool lives =
            owner == ME || owner == OTHER || owner == WORKERS || (owner == DEAD && !dead_too);
        if (state != LAYOUT_SLAB_FREE && (!lives || kind == 0 || kind > LAYOUT_CLASSES))
            wrong++;
        for (uint32_t block = 0; block < LAYOUT_SLAB_BLOCKS; block++)
            wrong += !slab_block_free(arena, slab, block);
    }
    return wrong;
}

static int claimed_slots(const struct arena *arena)
{
    int claimed = 0;
    for (uint32_t endpoint = 0; endpoint < WORKERS; endpoint++) {
        for (uint32_t i = 0; i < LAYOUT_WORKER_SLOTS; i++) {
            uint64_t word = atomic_load(&layout_inbox(arena, endpoint)->slots[i].state);
            claimed += (word >> 16 & 3) == 1;
        }
    }
    return claimed;
}

/* What peers do next, as engines do. Returns what is amiss. */
static int go_on(struct world *world, bool dead_too)
{
    static const uint32_t dead[] = {VICTIM, DEAD};
    struct memory *me = &world->memory[ME];
    struct descriptor descriptor;
    int wrong = 0;
    die(world->arena, dead, dead_too ? 2 : 1);
    memory_audit(me);
    while (boxes_take(world->arena, &world->boxes[ME], &descriptor) ||
           inbox_take(world->arena, &world->inbox, &descriptor)) {
        if (descriptor.header.payload != DESCRIPTOR_BLOCK)
            continue;
        if (memory_accept(me, &descriptor.block))
            memory_release(me, &descriptor.block);
        else
            wrong++;
    }
    memory_audit_end(me);
    for (uint32_t i = 0; i < world->held_count[OTHER]; i++)
        slab_release(world->arena, OTHER, world->held[OTHER][i].slab, world->held[OTHER][i].block);
    return wrong + wrong_slabs(world->arena, dead_too) + claimed_slots(world->arena);
}

/* ---- the victim, step by step ---- */

static void child(const struct scenario *scenario, struct world *world)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        test_child_exit(77);
    raise(SIGSTOP);
    scenario->victim(world);
    kill(getpid(), SIGKILL);
}

static void check_state(const struct scenario *scenario, const struct world *world,
                        const uint8_t *control, int number)
{
    struct world copy;
    copy_world(world, control, &copy);
    int wrong = go_on(&copy, scenario->dead_too);
    if (wrong)
        fprintf(stderr, "%s: %d amiss after a death in state %d\n", scenario->name, wrong, number);
    TEST_EQUAL(wrong, 0);
    free_memory(&copy.memory[ME]);
    boxes_close(&copy.boxes[ME]);
    arena_destroy(copy.arena);
}

/* Returns how many states there were. */
static int run(const struct scenario *scenario)
{
    struct world world;
    open_world(&world);
    scenario->set_up(&world);
    uint64_t bytes = world.arena->layout.slabs;
    uint8_t *seen = calloc(1, bytes);
    TEST_REQUIRE(seen != NULL);
    fflush(NULL);
    pid_t pid = fork();
    TEST_REQUIRE(pid >= 0);
    if (pid == 0)
        child(scenario, &world);
    int status;
    TEST_REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        test_skip("a child cannot be traced here");
    int states = 0;
    while (WIFSTOPPED(status)) {
        if (memcmp(seen, world.arena->base, bytes) != 0) {
            memcpy(seen, world.arena->base, bytes);
            check_state(scenario, &world, seen, states++);
        }
        TEST_REQUIRE(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
        TEST_REQUIRE(waitpid(pid, &status, 0) == pid);
    }
    TEST_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    free(seen);
    close_world(&world);
    return states;
}

static void reap__killed_at_any_step__nothing_is_lost_and_nothing_stays(void)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        int states = run(&scenarios[i]);
        if (states < 2)
            fprintf(stderr, "%s: %d states\n", scenarios[i].name, states);
        TEST_TRUE(states >= 2);
    }
}

/* ---- notes of the dead ---- */

/*
 * DEAD has died in the middle of a grant to ME; its block is somebody else's by the time that ME
 * looks. What ME finds out about the dead must not touch the grants of the living.
 */
static void audit__a_dead_ones_note_is_old__spares_what_the_living_grant(void)
{
    struct world world;
    open_world(&world);
    struct memory *me = &world.memory[ME];
    struct memory *other = &world.memory[OTHER];
    struct descriptor_block noted = allocate(&world, DEAD, 100);
    TEST_EQUAL(memory_grant(&world.memory[DEAD], ME, &noted), MEMORY_GRANTED);
    bury(&world);
    TEST_TRUE(memory_audit(me));
    memory_audit_end(me);
    /* The slab is free now, and the first to be taken after the one that DEAD had in reserve. */
    struct descriptor_block fence = allocate(&world, OTHER, 5000);
    struct descriptor_block block = allocate(&world, OTHER, 100);
    TEST_TRUE(block.slab == noted.slab && block.block == noted.block);
    send_block(&world, OTHER, ME, &block);
    memory_release(other, &block);
    const uint32_t victim = VICTIM;
    die(world.arena, &victim, 1);
    TEST_TRUE(!memory_audit(me));
    TEST_TRUE(memory_accept(me, &block) != NULL);
    memory_release(me, &block);
    /* The same block again, and the audit ends between the grant and the message. */
    TEST_REQUIRE(memory_allocate(other, 100, MEMORY_OWNED, &block));
    TEST_EQUAL(memory_grant(other, ME, &block), MEMORY_GRANTED);
    memory_audit_end(me);
    memory_granted(other);
    memory_release(other, &block);
    TEST_TRUE(memory_accept(me, &block) != NULL);
    memory_release(me, &block);
    memory_release(other, &fence);
    close_world(&world);
}

/* The same, but ME has not looked at the note before. */
static void audit__a_dead_ones_block_was_granted_again__spares_it(void)
{
    for (int posted = 0; posted <= 1; posted++) {
        struct world world;
        open_world(&world);
        struct memory *me = &world.memory[ME];
        struct memory *other = &world.memory[OTHER];
        struct descriptor_block noted = allocate(&world, DEAD, 100);
        /* It had noted the grant, and not made it. */
        struct layout_endpoint *dead = layout_endpoint(world.arena, DEAD);
        atomic_store(&dead->intent_block, (uint64_t)noted.slab << 32 | noted.block);
        atomic_store(&dead->intent_to, ME + 1);
        bury(&world);
        struct descriptor_block fence = allocate(&world, OTHER, 5000);
        struct descriptor_block block = allocate(&world, OTHER, 100);
        TEST_TRUE(block.slab == noted.slab && block.block == noted.block);
        TEST_EQUAL(memory_grant(other, ME, &block), MEMORY_GRANTED);
        if (posted)
            memory_granted(other);
        /* A message explains the hold; what comes after it is another one. */
        TEST_EQUAL(memory_audit(me), posted != 0);
        memory_granted(other);
        TEST_TRUE(memory_accept(me, &block) != NULL);
        memory_release(me, &block);
        TEST_EQUAL(memory_grant(other, ME, &block), MEMORY_GRANTED);
        memory_audit_end(me);
        memory_granted(other);
        TEST_TRUE(memory_accept(me, &block) != NULL);
        memory_release(me, &block);
        memory_release(other, &block);
        memory_release(other, &fence);
        close_world(&world);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(reap__killed_at_any_step__nothing_is_lost_and_nothing_stays),
    TEST_CASE(audit__a_dead_ones_note_is_old__spares_what_the_living_grant),
    TEST_CASE(audit__a_dead_ones_block_was_granted_again__spares_it),
    {0},
};

const struct test_suite test_suites[] = {{.name = "kill_points", .cases = cases}, {0}};
