/*
 * On whose account a call is. What the calls of an identity hold is counted in one purse, whatever
 * connections they came by, and the loop's time goes round the accounts one call at a time: so
 * nobody's calls, however many, take what another's need. A channel has one account.
 */
#ifndef RPC_ACCOUNT_H
#define RPC_ACCOUNT_H

#include "base/list.h"
#include "base/map.h"
#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>

struct rpc_purse {
    size_t held_bytes;
    size_t most_bytes;
};

struct rpc_account {
    struct covey_list busy_link; /* in the turn's round while calls are due */
    struct covey_list due;       /* struct rpc_call, by due_link */
    struct rpc_purse purse;
    size_t calls;       /* open ones */
    size_t connections; /* that are known to be its identity's */
    size_t references;
    struct covey_map *names; /* where it is found by its name; NULL: nowhere */
    bool is_urgent;
    char name[];
};

/* With one reference. NULL: no memory. */
struct rpc_account *rpc_account_create(const char *name, size_t most_bytes);

/* The account of a name, made where there is none, with a reference more. NULL: no memory. */
struct rpc_account *rpc_account_of(struct covey_map *names, const char *name, size_t most_bytes);

struct rpc_account *rpc_account_ref(struct rpc_account *account);
/* NULL is accepted. */
void rpc_account_unref(struct rpc_account *account);

/* Changes what one holder has in a purse, and says whether the purse is not over its most. */
bool rpc_purse_change(struct rpc_purse *purse, size_t *held_bytes, size_t now_bytes);

#endif
