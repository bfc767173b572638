#include "rpc/account.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct rpc_account *rpc_account_create(const char *name, size_t most_bytes)
{
    size_t name_bytes = strlen(name) + 1;
    struct rpc_account *account = covey_calloc(1, sizeof *account + name_bytes);
    if (!account)
        return NULL;
    memcpy(account->name, name, name_bytes);
    account->purse.most_bytes = most_bytes;
    account->references = 1;
    covey_list_init(&account->busy_link);
    covey_list_init(&account->due);
    return account;
}

struct rpc_account *rpc_account_of(struct covey_map *names, const char *name, size_t most_bytes)
{
    struct rpc_account *account = covey_map_get(names, name);
    if (account)
        return rpc_account_ref(account);
    account = rpc_account_create(name, most_bytes);
    if (account && covey_map_set(names, name, account) != COVEY_OK) {
        rpc_account_unref(account);
        return NULL;
    }
    if (account)
        account->names = names;
    return account;
}

struct rpc_account *rpc_account_ref(struct rpc_account *account)
{
    account->references++;
    return account;
}

void rpc_account_unref(struct rpc_account *account)
{
    if (!account || --account->references > 0)
        return;
    if (account->names)
        (void)covey_map_remove(account->names, account->name);
    covey_list_remove(&account->busy_link);
    free(account);
}

bool rpc_purse_change(struct rpc_purse *purse, size_t *held_bytes, size_t now_bytes)
{
    purse->held_bytes += now_bytes - *held_bytes;
    *held_bytes = now_bytes;
    return purse->held_bytes <= purse->most_bytes;
}
