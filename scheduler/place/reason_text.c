/* A reason, told in one sentence. */
#include "base/text.h"
#include "scheduler/scheduler.h"

#include <inttypes.h>
#include <stdarg.h>

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
