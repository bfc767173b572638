/* Why a gang has no place: found by relaxing what it asks for, told in one sentence. */
#include "base/text.h"
#include "scheduler/internal.h"
#include "scheduler/machine.h"

#include <inttypes.h>
#include <stdarg.h>

static uint64_t room_of(struct sched *sched, const struct sched_shape *shape,
                        const struct sched_view *view)
{
    uint32_t count = sched_survey(sched, shape, view);
    return sched_room(shape, sched->candidates, count);
}

static void add_saturating(uint64_t *sum, uint64_t more)
{
    if (__builtin_add_overflow(*sum, more, sum))
        *sum = UINT64_MAX;
}

static uint64_t times_saturating(uint64_t amount, uint32_t count)
{
    uint64_t product;
    return __builtin_mul_overflow(amount, count, &product) ? UINT64_MAX : product;
}

/* What one pass over the nodes adds up. */
struct census {
    uint64_t available[SCHED_DIMENSIONS];
    uint64_t workers[SCHED_DIMENSIONS]; /* that fit if this dimension were the only one */
};

static void add_amount(const struct sched_shape *shape, enum sched_dimension d, uint64_t amount,
                       struct census *census)
{
    add_saturating(&census->available[d], amount);
    if (shape->worker.amount[d])
        add_saturating(&census->workers[d], amount / shape->worker.amount[d]);
}

static void add_node(const struct sched_shape *shape, const struct sched_node *node,
                     const struct sched_view *view, struct census *census)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t has = sched_node_has(node, view, d);
        if (sched_is_shared(node) && sched_is_pooled(d))
            add_saturating(&node->machine->tally.amount[d], has);
        else
            add_amount(shape, d, has, census);
    }
}

/* What nodes share is there once. */
static void add_machines(const struct sched *sched, const struct sched_shape *shape,
                         const struct sched_view *view, struct census *census)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&sched->machines, &cursor, NULL, &value)) {
        struct sched_machine *machine = value;
        struct sched_vector room;
        sched_machine_room(machine, view, &room);
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
            uint64_t amount = machine->tally.amount[d];
            if (sched_is_pooled(d))
                add_amount(shape, d, amount < room.amount[d] ? amount : room.amount[d], census);
        }
        machine->tally = (struct sched_vector){0};
    }
}

static void take_census(const struct sched *sched, const struct sched_shape *shape,
                        const struct sched_view *view, struct census *census,
                        struct sched_reason *reason)
{
    *census = (struct census){0};
    for (uint32_t i = 0; i < sched->node_limit; i++) {
        const struct sched_node *node = sched->nodes[i];
        if (!node)
            continue;
        reason->nodes_draining += node->state == SCHED_NODE_DRAINING;
        reason->nodes_down += node->state == SCHED_NODE_DOWN;
        reason->nodes_up += node->state == SCHED_NODE_UP;
        if (!sched_node_counts(node, view))
            continue;
        reason->nodes_counted++;
        if (!sched_filter_admits(shape->filter, node)) {
            reason->nodes_unmatched++;
            continue;
        }
        uint32_t fit = sched_node_fit(node, view, &shape->worker);
        reason->nodes_too_small += fit < shape->unit;
        if (fit > reason->largest)
            reason->largest = fit < shape->workers ? fit : shape->workers;
        add_node(shape, node, view, census);
    }
    add_machines(sched, shape, view, census);
}

/* The dimension that lets the fewest workers in. */
static enum sched_dimension scarcest(const struct sched_shape *shape, const struct census *census)
{
    enum sched_dimension scarce = SCHED_SLOTS; /* every worker needs some */
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if (shape->worker.amount[d] && census->workers[d] < census->workers[scarce])
            scarce = d;
    }
    return scarce;
}

static enum sched_reason_kind kind_of(struct sched *sched, const struct sched_shape *shape,
                                      const struct sched_view *view,
                                      const struct sched_reason *reason)
{
    if (reason->nodes_counted == 0)
        return SCHED_REASON_NO_NODES;
    if (reason->nodes_unmatched == reason->nodes_counted)
        return SCHED_REASON_NO_MATCH;
    if (reason->available < reason->asked)
        return SCHED_REASON_CAPACITY;
    struct sched_shape relaxed = *shape;
    relaxed.node_limit = UINT32_MAX;
    if (room_of(sched, &relaxed, view) >= shape->workers)
        return SCHED_REASON_NODE_LIMIT;
    relaxed.unit_is_alone = false;
    if (room_of(sched, &relaxed, view) >= shape->workers)
        return SCHED_REASON_FEW_NODES;
    return SCHED_REASON_FRAGMENTED;
}

void sched_diagnose(struct sched *sched, const struct sched_shape *shape,
                    struct sched_reason *reason)
{
    *reason = (struct sched_reason){
        .workers = shape->workers,
        .unit = shape->unit,
        .node_limit = shape->node_limit == UINT32_MAX ? 0 : shape->node_limit,
    };
    const struct sched_view *view = &sched_view_now;
    uint64_t room = room_of(sched, shape, view);
    bool fits = room >= shape->workers;
    reason->absent = !fits && !sched_possible(sched, shape);
    reason->never = reason->absent && !sched_possible_known(sched, shape);
    if (reason->absent) {
        view = reason->never ? &sched_view_known : &sched_view_empty;
        room = room_of(sched, shape, view);
    }
    struct census census;
    take_census(sched, shape, view, &census, reason);
    reason->dimension = scarcest(shape, &census);
    reason->dimension_name = sched_dimension_name(sched, reason->dimension);
    reason->asked = times_saturating(shape->worker.amount[reason->dimension], shape->workers);
    reason->available = census.available[reason->dimension];
    reason->fitting = (uint32_t)(fits ? shape->workers : room);
    if (!fits)
        reason->kind = kind_of(sched, shape, view, reason);
}

/* ---- the sentence ---- */

struct sentence {
    char *text;
    size_t length;
};

static void say(struct sentence *sentence, const char *format, ...) COVEY_PRINTF(2, 3);

static void say(struct sentence *sentence, const char *format, ...)
{
    size_t left = SCHED_TEXT_BYTES - sentence->length;
    va_list arguments;
    va_start(arguments, format);
    sentence->length +=
        covey_text_vprint(sentence->text + sentence->length, left, format, arguments);
    va_end(arguments);
}

static void say_count(struct sentence *sentence, uint32_t count, const char *noun)
{
    say(sentence, "%" PRIu32 " %s%s", count, noun, count == 1 ? "" : "s");
}

/* Rounded to a tenth, up where it is asked for and down where it is there, so that too little never
 * reads as enough. */
static void say_bytes(struct sentence *sentence, uint64_t bytes, bool asked)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned power = 0;
    while (power < 6 && bytes >> (10 * (power + 1)))
        power++;
    unsigned shift = 10 * power;
    uint64_t below = (UINT64_C(1) << shift) - 1;
    /* in 1/1024 of the unit, then in tenths, each step rounded the same way */
    uint64_t fine = power == 0 ? 0 : (bytes & below) >> (shift - 10);
    if (asked && power && (bytes & (below >> 10)))
        fine++;
    uint64_t tenths = (bytes >> shift) * 10 + (fine * 10 + (asked ? 1023 : 0)) / 1024;
    say(sentence, "%" PRIu64, tenths / 10);
    if (tenths % 10)
        say(sentence, ".%" PRIu64, tenths % 10);
    say(sentence, " %s", units[power]);
}

/* Thousandths of a cpu. */
static void say_cpus(struct sentence *sentence, uint64_t milli)
{
    say(sentence, "%" PRIu64, milli / 1000);
    if (milli % 1000)
        say(sentence, ".%03" PRIu64, milli % 1000);
}

/* An amount of the reason's dimension, without its name. */
static void say_amount(struct sentence *sentence, const struct sched_reason *reason,
                       uint64_t amount, bool asked)
{
    if (reason->dimension == SCHED_MEMORY_BYTES)
        say_bytes(sentence, amount, asked);
    else if (reason->dimension == SCHED_MILLI_CPUS)
        say_cpus(sentence, amount);
    else
        say(sentence, "%" PRIu64, amount);
}

/* "slot", "slots", "of memory", "fpga" */
static const char *noun_of(const struct sched_reason *reason, uint64_t amount)
{
    switch (reason->dimension) {
    case SCHED_SLOTS:
        return amount == 1 ? "slot" : "slots";
    case SCHED_MEMORY_BYTES:
        return "of memory";
    case SCHED_MILLI_CPUS:
        return amount == 1000 ? "cpu" : "cpus";
    case SCHED_GPUS:
        return amount == 1 ? "gpu" : "gpus";
    default:
        return reason->dimension_name;
    }
}

/* "20 workers need 20 slots" */
static void say_need(struct sentence *sentence, const struct sched_reason *reason)
{
    say_count(sentence, reason->workers, "worker");
    say(sentence, reason->workers == 1 ? " needs " : " need ");
    say_amount(sentence, reason, reason->asked, true);
    say(sentence, " %s", noun_of(reason, reason->asked));
}

/* The supply is told in the words of the need: "the cluster has 16", "6 are free now"; with its own
 * unit where that differs. */
static void say_supply(struct sentence *sentence, const struct sched_reason *reason)
{
    if (reason->never)
        say(sentence,
            reason->nodes_counted == 1 ? ", the only known node has " : ", all known nodes have ");
    else if (reason->absent)
        say(sentence, reason->nodes_counted == 1 ? ", the only node that is up has "
                                                 : ", the nodes that are up have ");
    else
        say(sentence, ", ");
    say_amount(sentence, reason, reason->available, false);
    if (reason->absent && reason->nodes_counted != 1)
        say(sentence, " together");
    else if (!reason->absent)
        say(sentence, reason->available == 1 ? " is free now" : " are free now");
}

static void say_fitting(struct sentence *sentence, const struct sched_reason *reason)
{
    if (reason->fitting == 0)
        say(sentence, ": not one worker fits");
    else if (reason->fitting == 1)
        say(sentence, ": at most 1 worker fits");
    else
        say(sentence, ": at most %" PRIu32 " workers fit", reason->fitting);
}

static void say_capacity(struct sentence *sentence, const struct sched_reason *reason)
{
    say_need(sentence, reason);
    say_supply(sentence, reason);
    say_fitting(sentence, reason);
}

static void say_fragmented(struct sentence *sentence, const struct sched_reason *reason)
{
    say_need(sentence, reason);
    say_supply(sentence, reason);
    if (reason->unit == 1) {
        say(sentence, ", but in pieces smaller than a worker");
        say_fitting(sentence, reason);
    } else if (reason->largest < reason->unit) {
        say(sentence,
            ", but no node has room for %" PRIu32 " workers, as many as stay together: the roomiest"
            " has room for %" PRIu32,
            reason->unit, reason->largest);
    } else {
        say(sentence, ", but in pieces smaller than %" PRIu32 " workers, as many as stay together",
            reason->unit);
        say_fitting(sentence, reason);
    }
}

static void say_few_nodes(struct sentence *sentence, const struct sched_reason *reason)
{
    uint32_t roomy = reason->nodes_counted - reason->nodes_unmatched - reason->nodes_too_small;
    say(sentence, "strict spread needs ");
    say_count(sentence, (reason->workers + reason->unit - 1) / reason->unit, "node");
    say(sentence, " for ");
    say_count(sentence, reason->workers, "worker");
    if (reason->unit > 1)
        say(sentence, " in units of %" PRIu32, reason->unit);
    say(sentence, ", %" PRIu32 " %s room%s", roomy, roomy == 1 ? "has" : "have",
        reason->absent ? "" : " now");
    say_fitting(sentence, reason);
}

static void say_node_limit(struct sentence *sentence, const struct sched_reason *reason)
{
    say_count(sentence, reason->workers, "worker");
    say(sentence, " may use only ");
    say_count(sentence, reason->node_limit, "node");
    if (!reason->absent && reason->node_limit == 1)
        say(sentence, ", and none has the room now");
    else if (!reason->absent)
        say(sentence, ", and no %" PRIu32 " have the room now", reason->node_limit);
    say_fitting(sentence, reason);
}

static void say_no_match(struct sentence *sentence, const struct sched_reason *reason)
{
    say(sentence, "none of ");
    say_count(sentence, reason->nodes_counted, "node");
    say(sentence, " that %s %s matches the selector, with taints that are tolerated",
        reason->nodes_counted == 1 ? "is" : "are", reason->never ? "known" : "up");
}

static void say_promised(struct sentence *sentence, const struct sched_reason *reason)
{
    say_count(sentence, reason->workers, "worker");
    say(sentence, " would fit now, but the room is promised to another flare");
}

static void say_quota(struct sentence *sentence, const struct sched_reason *reason)
{
    if (reason->dimension == SCHED_DIMENSIONS) {
        say(sentence, "the tenant runs as many flares as its quota allows");
        return;
    }
    say_need(sentence, reason);
    say(sentence, ", the quota of the tenant leaves ");
    say_amount(sentence, reason, reason->available, false);
}

/* Why it does not fit; nothing where it does. */
static void say_kind(struct sentence *sentence, const struct sched_reason *reason)
{
    switch (reason->kind) {
    case SCHED_REASON_NONE:
    case SCHED_REASON_BEHIND:
        return;
    case SCHED_REASON_PROMISED:
        say_promised(sentence, reason);
        return;
    case SCHED_REASON_QUOTA:
        say_quota(sentence, reason);
        return;
    case SCHED_REASON_NO_NODES:
        say(sentence, reason->never ? "no node is known" : "no node is up");
        break;
    case SCHED_REASON_NO_MATCH:
        say_no_match(sentence, reason);
        break;
    case SCHED_REASON_CAPACITY:
        say_capacity(sentence, reason);
        break;
    case SCHED_REASON_FRAGMENTED:
        say_fragmented(sentence, reason);
        break;
    case SCHED_REASON_FEW_NODES:
        say_few_nodes(sentence, reason);
        break;
    case SCHED_REASON_NODE_LIMIT:
        say_node_limit(sentence, reason);
        break;
    }
    if (reason->never || reason->nodes_draining + reason->nodes_down == 0)
        return;
    say(sentence, " (left out: ");
    if (reason->nodes_draining)
        say_count(sentence, reason->nodes_draining, "draining node");
    if (reason->nodes_draining && reason->nodes_down)
        say(sentence, ", ");
    if (reason->nodes_down) {
        say_count(sentence, reason->nodes_down, "node");
        say(sentence, " down");
    }
    say(sentence, ")");
}

const char *sched_reason_text(const struct sched_reason *reason, char text[SCHED_TEXT_BYTES])
{
    struct sentence sentence = {text, 0};
    *text = 0;
    say_kind(&sentence, reason);
    if (reason->absent && reason->waits)
        say(&sentence, "; waits for nodes");
    if (reason->ahead) {
        say(&sentence, "%s", sentence.length ? "; " : "");
        if (reason->ahead_at_least)
            say(&sentence, "at least ");
        say_count(&sentence, reason->ahead, "flare");
        say(&sentence, reason->ahead == 1 ? " is ahead in the queue" : " are ahead in the queue");
    }
    return text;
}
