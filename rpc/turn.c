#include "rpc/turn.h"

#include "base/clock.h"
#include "rpc/call.h"
#include "rpc/connection.h"

/* Longer than nearly every callback, and short beside what anybody waits for an answer. */
#define SLICE_NS (2 * COVEY_NS_PER_MS)

static void take(struct covey_list *from, struct covey_list *to)
{
    covey_list_init(to);
    if (covey_list_empty(from))
        return;
    to->next = from->next;
    to->previous = from->previous;
    to->next->previous = to;
    to->previous->next = to;
    covey_list_init(from);
}

bool rpc_turn_is_over(const struct rpc_turn *turn)
{
    return covey_now_ns() >= turn->slice_ends_ns;
}

/* One call of each account in turn; an account that has more goes to the end of the round. */
static void run_calls(struct rpc_turn *turn)
{
    struct covey_list *next;
    while (!rpc_turn_is_over(turn) && (next = covey_list_pop_front(&turn->busy))) {
        struct rpc_account *account = covey_container_of(next, struct rpc_account, busy_link);
        struct covey_list *link = covey_list_pop_front(&account->due);
        if (!covey_list_empty(&account->due))
            covey_list_push_back(&turn->busy, &account->busy_link);
        if (link)
            rpc_call_run(covey_container_of(link, struct rpc_call, due_link));
    }
}

/* Only what was due at the start: a callback that makes more work must not starve the loop. */
static void run_connections(struct rpc_turn *turn)
{
    struct covey_list due;
    take(&turn->connections, &due);
    struct covey_list *link;
    while ((link = covey_list_pop_front(&due)))
        rpc_connection_flush(covey_container_of(link, struct rpc_connection, due_link));
}

static void on_idle(uv_idle_t *idle)
{
    struct rpc_turn *turn = covey_container_of(idle, struct rpc_turn, idle);
    rpc_turn_ref(turn);
    turn->slice_ends_ns = covey_now_ns() + SLICE_NS;
    run_calls(turn);
    run_connections(turn);
    /* Calls that ended by what was just written: no need for another pass through the poll. */
    run_calls(turn);
    if (covey_list_empty(&turn->busy) && covey_list_empty(&turn->connections))
        uv_idle_stop(&turn->idle);
    rpc_turn_unref(turn);
}

void rpc_turn_init(struct rpc_turn *turn, uv_loop_t *loop, void (*on_closed)(struct rpc_turn *turn))
{
    turn->loop = loop;
    turn->references = 1;
    turn->on_closed = on_closed;
    turn->timer_ns = COVEY_NEVER_NS;
    covey_list_init(&turn->busy);
    covey_list_init(&turn->connections);
    uv_idle_init(loop, &turn->idle);
    uv_timer_init(loop, &turn->timer);
}

void rpc_turn_ref(struct rpc_turn *turn)
{
    turn->references++;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct rpc_turn *turn = covey_container_of((uv_timer_t *)handle, struct rpc_turn, timer);
    rpc_deadlines_free(&turn->deadlines);
    turn->on_closed(turn);
}

static void on_idle_closed(uv_handle_t *handle)
{
    struct rpc_turn *turn = covey_container_of((uv_idle_t *)handle, struct rpc_turn, idle);
    uv_close((uv_handle_t *)&turn->timer, on_timer_closed);
}

void rpc_turn_unref(struct rpc_turn *turn)
{
    if (--turn->references == 0)
        uv_close((uv_handle_t *)&turn->idle, on_idle_closed);
}

void rpc_turn_due_connection(struct rpc_turn *turn, struct covey_list *link)
{
    if (!covey_list_empty(link))
        return;
    covey_list_push_back(&turn->connections, link);
    uv_idle_start(&turn->idle, on_idle);
}

void rpc_turn_due_call(struct rpc_turn *turn, struct rpc_account *account, struct covey_list *link)
{
    if (!covey_list_empty(link))
        return;
    covey_list_push_back(&account->due, link);
    if (!covey_list_empty(&account->busy_link))
        return;
    if (account->is_urgent)
        covey_list_push_front(&turn->busy, &account->busy_link);
    else
        covey_list_push_back(&turn->busy, &account->busy_link);
    uv_idle_start(&turn->idle, on_idle);
}

static void set_timer(struct rpc_turn *turn, int64_t now_ns);

static void on_timer(uv_timer_t *timer)
{
    struct rpc_turn *turn = covey_container_of(timer, struct rpc_turn, timer);
    int64_t now_ns = covey_now_ns();
    struct rpc_deadline *first;
    while ((first = rpc_deadlines_first(&turn->deadlines)) && first->at_ns <= now_ns) {
        rpc_deadlines_remove(&turn->deadlines, first);
        rpc_call_on_deadline(covey_container_of(first, struct rpc_call, watch));
    }
    turn->timer_ns = COVEY_NEVER_NS;
    set_timer(turn, now_ns);
}

/* Only ever moved forward: when the deadline it was for is gone, it fires once for nothing. */
static void set_timer(struct rpc_turn *turn, int64_t now_ns)
{
    const struct rpc_deadline *first = rpc_deadlines_first(&turn->deadlines);
    if (!first || first->at_ns >= turn->timer_ns)
        return;
    turn->timer_ns = first->at_ns;
    int64_t left_ns = first->at_ns > now_ns ? first->at_ns - now_ns : 0;
    uint64_t left_ms = (uint64_t)left_ns / COVEY_NS_PER_MS + (left_ns % COVEY_NS_PER_MS != 0);
    uv_timer_start(&turn->timer, on_timer, left_ms, 0);
}

enum covey_status rpc_turn_add_deadline(struct rpc_turn *turn, struct rpc_deadline *deadline,
                                        int64_t now_ns)
{
    enum covey_status status = rpc_deadlines_add(&turn->deadlines, deadline);
    if (!status)
        set_timer(turn, now_ns);
    return status;
}
