/*
 * Sharing out a gang among the nodes that have room, as close together as can be.
 *
 * At each level of the topology, from the top: the roomiest child takes all the units it can, again
 * and again, until some child can take the rest. For every j, no other way puts more workers into j
 * children, so the rank pairs that cross between children (workers squared less the sum of the
 * squares) are fewest. What is left open, which child takes the rest, and which of equally roomy
 * ones are filled, is decided by how good it gets below, by the same step there. Each domain is
 * asked about once for each level above it at most, so it all is O(candidates).
 *
 * The last unit, when smaller, goes to the first child with a leftover for it: children come in the
 * order of room, so none that holds as many whole units has a larger leftover.
 */
#include "scheduler/place/pack.h"

#include "scheduler/place/heap.h"

#include <assert.h>
#include <stdlib.h>

static uint32_t size_of(const struct sched_shape *shape, const struct sched_rest *rest)
{
    return rest->units * shape->unit + rest->odd;
}

/* ---- scores ---- */

bool sched_better(const struct sched_score *a, const struct sched_score *b)
{
    for (uint32_t i = 0; i <= SCHED_LEVELS_MAX; i++) {
        if (a->together[i] != b->together[i])
            return a->together[i] > b->together[i];
    }
    return a->nodes != b->nodes ? a->nodes < b->nodes : a->leftover < b->leftover;
}

static void add(struct sched_score *sum, const struct sched_score *part)
{
    for (uint32_t i = 0; i <= SCHED_LEVELS_MAX; i++)
        sum->together[i] += part->together[i];
    sum->nodes += part->nodes;
    sum->leftover += part->leftover;
}

static void subtract(struct sched_score *sum, const struct sched_score *part)
{
    for (uint32_t i = 0; i <= SCHED_LEVELS_MAX; i++)
        sum->together[i] -= part->together[i];
    sum->nodes -= part->nodes;
    sum->leftover -= part->leftover;
}

/* ---- what domains have room for ---- */

static void roll_up_nodes(const struct sched_placer *placer, struct sched_domain *domain)
{
    uint32_t unit = placer->shape->unit;
    uint64_t *together = &domain->full.together[placer->topology->levels];
    for (uint32_t i = domain->candidates; i < domain->candidates_end; i++) {
        uint32_t fit = placer->candidates[i].fit;
        uint32_t units = unit == 1 ? fit : fit / unit;
        uint32_t odd = fit - units * unit;
        domain->units += units;
        domain->odd = odd > domain->odd ? odd : domain->odd;
        domain->roomiest = fit > domain->roomiest ? fit : domain->roomiest;
        *together += (uint64_t)(fit - odd) * (fit - odd);
        domain->full.nodes += units > 0;
        domain->full.leftover += units ? odd : 0;
    }
}

void sched_roll_up(const struct sched_placer *placer, uint32_t level, struct sched_domain *domain)
{
    domain->units = 0;
    domain->odd = 0;
    domain->roomiest = 0;
    domain->full = (struct sched_score){0};
    if (level == placer->topology->levels) {
        roll_up_nodes(placer, domain);
        return;
    }
    for (uint32_t i = domain->first; i < domain->end; i++) {
        struct sched_domain *child = &placer->topology->domains[i];
        sched_roll_up(placer, level + 1, child);
        uint64_t workers = child->units * placer->shape->unit;
        domain->units += child->units;
        domain->odd = child->odd > domain->odd ? child->odd : domain->odd;
        domain->roomiest = child->roomiest > domain->roomiest ? child->roomiest : domain->roomiest;
        add(&domain->full, &child->full);
        domain->full.together[level] += workers * workers;
    }
    domain->candidates = placer->topology->domains[domain->first].candidates;
    domain->candidates_end = placer->topology->domains[domain->end - 1].candidates_end;
}

/* True where a domain has room for all of the rest. */
static bool holds(const struct sched_domain *domain, const struct sched_rest *rest)
{
    return domain->units > rest->units ||
           (domain->units == rest->units && domain->odd >= rest->odd);
}

/* What a domain that does not hold the rest takes of it. */
static struct sched_rest all_of(const struct sched_domain *domain, const struct sched_rest *rest)
{
    return (struct sched_rest){(uint32_t)domain->units, domain->odd >= rest->odd ? rest->odd : 0};
}

/* ---- on nodes ---- */

static void give(const struct sched_placer *placer, struct sched_candidate *candidate,
                 uint32_t workers, bool commit, struct sched_score *score)
{
    if (commit)
        candidate->taken = workers;
    score->together[placer->topology->levels] += (uint64_t)workers * workers;
    score->nodes += workers > 0;
    score->leftover += workers ? candidate->fit - workers : 0;
}

/* The least roomy of those that hold so many workers; one does. */
static struct sched_candidate *tightest(struct sched_candidate *candidates, uint32_t count,
                                        uint32_t workers)
{
    struct sched_candidate *best = NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct sched_candidate *other = &candidates[i];
        if (other->fit < workers || (best && other->fit > best->fit))
            continue;
        if (!best || other->fit < best->fit || other->node < best->node)
            best = other;
    }
    return best;
}

static void pack_on_nodes(const struct sched_placer *placer, const struct sched_domain *domain,
                          struct sched_rest rest, bool commit, struct sched_score *score)
{
    const struct sched_shape *shape = placer->shape;
    struct sched_candidate *heap = &placer->candidates[domain->candidates];
    uint32_t count = domain->candidates_end - domain->candidates;
    if (domain->roomiest < size_of(shape, &rest)) {
        sched_heap_make(heap, count);
        do {
            uint32_t units = heap[0].fit / shape->unit;
            uint32_t workers = units * shape->unit;
            if (heap[0].fit - workers >= rest.odd) {
                workers += rest.odd;
                rest.odd = 0;
            }
            rest.units -= units;
            give(placer, &heap[0], workers, commit, score);
            sched_heap_pop(heap, &count);
        } while (heap[0].fit < size_of(shape, &rest));
    }
    uint32_t left = size_of(shape, &rest);
    give(placer, tightest(heap, count, left), left, commit, score);
}

/* ---- in domains ---- */

/* The children of a domain, from one level down, and what goes into which. */
struct split {
    struct sched_domain **children;
    uint32_t count;
    uint32_t filled;        /* the first of them take all they can */
    uint32_t with_odd;      /* the one of them that takes the smaller unit too; or no index */
    uint32_t chosen;        /* this one takes what is left */
    struct sched_rest left; /* after those that were filled */
};

static int by_falling_room(const void *left, const void *right)
{
    const struct sched_domain *a = *(const struct sched_domain *const *)left;
    const struct sched_domain *b = *(const struct sched_domain *const *)right;
    if (a->workers != b->workers)
        return a->workers > b->workers ? -1 : 1;
    if (sched_better(&a->full, &b->full))
        return -1;
    if (sched_better(&b->full, &a->full))
        return 1;
    return a < b ? -1 : a > b;
}

static void take_all(struct sched_rest *left, const struct sched_rest *taken)
{
    left->units -= taken->units;
    left->odd -= taken->odd;
}

/* Adds what a child that holds so much is worth, to the level above it and below. */
static void add_child(const struct sched_placer *placer, uint32_t level, struct sched_domain *child,
                      struct sched_rest held, bool commit, struct sched_score *score)
{
    struct sched_score below;
    sched_pack(placer, level + 1, child, held, commit, &below);
    uint64_t workers = size_of(placer->shape, &held);
    below.together[level] += workers * workers;
    add(score, &below);
}

/* Fills the roomiest children until one can take the rest; what is left is in split->left. */
static void fill_children(const struct sched_placer *placer, uint32_t level, struct split *split,
                          struct sched_score *score)
{
    bool enough = false;
    for (uint32_t i = 0; i < split->count; i++) {
        struct sched_domain *child = split->children[i];
        enough |= holds(child, &split->left);
        child->workers = child->units * placer->shape->unit +
                         (child->odd >= split->left.odd ? split->left.odd : 0);
    }
    if (enough)
        return;
    qsort(split->children, split->count, sizeof(struct sched_domain *), by_falling_room);
    while (!holds(split->children[split->filled], &split->left)) {
        struct sched_domain *child = split->children[split->filled];
        struct sched_rest taken = all_of(child, &split->left);
        if (taken.odd)
            split->with_odd = split->filled;
        split->filled++;
        add_child(placer, level, child, taken, false, score);
        take_all(&split->left, &taken);
    }
}

/* What filling another child in the place of one as roomy changes below them. */
static void exchange(const struct sched_placer *placer, uint32_t level, struct split *split,
                     uint32_t index, struct sched_score *score)
{
    struct sched_domain *child = split->children[index];
    struct sched_domain *other = split->children[split->filled];
    struct sched_score before = child->full;
    struct sched_score after = other->full;
    if (index == split->with_odd) {
        struct sched_rest held = {(uint32_t)child->units,
                                  placer->shape->workers % placer->shape->unit};
        sched_pack(placer, level + 1, child, held, false, &before);
        sched_pack(placer, level + 1, other, held, false, &after);
    }
    add(score, &after);
    subtract(score, &before);
}

/* The worth of letting a child take the rest, also one that was filled when another as roomy can
 * be filled in its place. */
static bool try_child(const struct sched_placer *placer, uint32_t level, struct split *split,
                      uint32_t index, struct sched_score *score)
{
    struct sched_domain *child = split->children[index];
    if (!holds(child, &split->left))
        return false;
    if (index < split->filled) {
        const struct sched_domain *other = split->children[split->filled];
        if (other->workers != child->workers || other->units != child->units)
            return false;
        exchange(placer, level, split, index, score);
    }
    add_child(placer, level, child, split->left, false, score);
    return true;
}

/* Chooses the child that takes the rest. */
static void choose_child(const struct sched_placer *placer, uint32_t level, struct split *split,
                         struct sched_score *score)
{
    uint32_t workers = size_of(placer->shape, &split->left);
    bool one_node = false; /* can take it all, in some child: then no other child is better */
    for (uint32_t i = split->filled; i < split->count; i++)
        one_node |= split->children[i]->roomiest >= workers;
    struct sched_score filled = *score;
    bool found = false;
    for (uint32_t k = 0; k < split->count; k++) {
        uint32_t i = (split->filled + k) % split->count; /* those that were not filled first */
        if (i >= split->filled && one_node && split->children[i]->roomiest < workers)
            continue;
        struct sched_score tried = filled;
        if (!try_child(placer, level, split, i, &tried))
            continue;
        if (found && !sched_better(&tried, score))
            continue;
        found = true;
        *score = tried;
        split->chosen = i;
    }
    assert(found);
}

static void commit_split(const struct sched_placer *placer, uint32_t level, struct split *split,
                         struct sched_rest rest)
{
    struct sched_score unused = {0};
    struct sched_domain *chosen = split->children[split->chosen];
    if (split->chosen < split->filled)
        split->children[split->chosen] = split->children[split->filled];
    for (uint32_t i = 0; i < split->filled; i++) {
        struct sched_rest taken = all_of(split->children[i], &rest);
        add_child(placer, level, split->children[i], taken, true, &unused);
        take_all(&rest, &taken);
    }
    add_child(placer, level, chosen, rest, true, &unused);
}

static void pack_in_children(const struct sched_placer *placer, uint32_t level,
                             const struct sched_domain *domain, struct sched_rest rest, bool commit,
                             struct sched_score *score)
{
    struct sched_topology *topology = placer->topology;
    struct split split = {
        .children = &topology->sorted[domain->first],
        .count = domain->end - domain->first,
        .with_odd = UINT32_MAX,
        .left = rest,
    };
    for (uint32_t i = 0; i < split.count; i++)
        split.children[i] = &topology->domains[domain->first + i];
    fill_children(placer, level, &split, score);
    choose_child(placer, level, &split, score);
    if (commit)
        commit_split(placer, level, &split, rest);
}

void sched_pack(const struct sched_placer *placer, uint32_t level, struct sched_domain *domain,
                struct sched_rest rest, bool commit, struct sched_score *score)
{
    *score = (struct sched_score){0};
    if (rest.units == domain->units && rest.odd == 0) {
        *score = domain->full;
        for (uint32_t i = domain->candidates; commit && i < domain->candidates_end; i++)
            placer->candidates[i].taken =
                placer->candidates[i].fit - placer->candidates[i].fit % placer->shape->unit;
    } else if (level == placer->topology->levels) {
        pack_on_nodes(placer, domain, rest, commit, score);
    } else {
        pack_in_children(placer, level, domain, rest, commit, score);
    }
}
