/*
 * Every worker sends numbered messages to every other one, and writes down in a file that all of
 * them map which sends returned OK, what came, and who was told that nothing more will: the ledger
 * says afterwards whether anything was lost, whoever was killed. Parameter: LEDGER MESSAGES.
 *
 * Workers have characters, by rank: some are slow to receive, some end as soon as they have sent.
 * All but those go on until they have heard everything, or the end, of everybody, also after the
 * word to stop.
 */
#include <covey/worker.h>

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { workers_most = 16, under_way = 6, length_most = 150000 };

/* As test_message_chaos.py reads it: 32-bit words. */
struct ledger {
    _Atomic uint32_t runs[workers_most];
    _Atomic uint32_t finished[workers_most]; /* went to the end, all heard */
    _Atomic uint32_t wrong[workers_most];    /* a message out of order, twice, or spoilt */
    _Atomic uint32_t sent[workers_most][workers_most];     /* from, to: returned OK */
    _Atomic uint32_t received[workers_most][workers_most]; /* from, by */
    _Atomic uint32_t told[workers_most][workers_most];     /* from, by */
};

struct words {
    uint32_t from, number, length;
};

struct conversation {
    struct covey_request *sends[under_way];
    char *bytes[under_way];
    uint32_t started;
    struct covey_request *receive;
    char *into;
    bool sends_over, hears_no_more;
};

struct chat {
    struct covey_ctx *ctx;
    struct ledger *ledger;
    uint32_t rank, size, messages;
    struct conversation with[workers_most];
};

static uint32_t length_of(uint32_t from, uint32_t number)
{
    static const uint32_t lengths[] = {12, 12, 40,    12, 3000, 12,
                                       64, 12, 20000, 12, 12,   length_most};
    return lengths[(from + number) % (sizeof lengths / sizeof *lengths)];
}

static void write_message(char *bytes, uint32_t from, uint32_t number)
{
    struct words words = {from, number, length_of(from, number)};
    memset(bytes, (int)(from + number), words.length);
    memcpy(bytes, &words, sizeof words);
}

static bool is_right(const char *bytes, size_t length, uint32_t from, uint32_t number)
{
    struct words words;
    memcpy(&words, bytes, sizeof words);
    if (words.from != from || words.number != number || words.length != length ||
        length != length_of(from, number))
        return false;
    for (size_t i = sizeof words; i < length; i++)
        if (bytes[i] != (char)(from + number))
            return false;
    return true;
}

static void hear(struct chat *chat, uint32_t from)
{
    struct conversation *with = &chat->with[from];
    struct covey_comm *world = covey_world(chat->ctx);
    _Atomic uint32_t *received = &chat->ledger->received[from][chat->rank];
    struct covey_message message;
    enum covey_status status = COVEY_OK;
    if (with->hears_no_more)
        return;
    if (!with->receive)
        status =
            covey_irecv(world, with->into, length_most, (int)from, COVEY_ANY_TAG, &with->receive);
    if (!status)
        status = covey_test(&with->receive, &message);
    if (status == COVEY_EAGAIN)
        return;
    if (status) {
        atomic_store(&chat->ledger->told[from][chat->rank], 1);
        covey_logf(chat->ctx, "rank %u hears no more of rank %u: %s", chat->rank, from,
                   covey_error_text(chat->ctx));
        with->hears_no_more = true;
        return;
    }
    if (!is_right(with->into, message.length_bytes, from, atomic_load(received)))
        atomic_fetch_add(&chat->ledger->wrong[chat->rank], 1);
    with->hears_no_more = atomic_fetch_add(received, 1) + 1 == chat->messages;
}

/* One send to each that has room for one more. They complete in the order they were started. */
static void say(struct chat *chat, uint32_t to)
{
    struct conversation *with = &chat->with[to];
    _Atomic uint32_t *sent = &chat->ledger->sent[chat->rank][to];
    uint32_t done = atomic_load(sent);
    while (!with->sends_over && done < with->started) {
        enum covey_status status = covey_test(&with->sends[done % under_way], NULL);
        if (status == COVEY_EAGAIN)
            break;
        with->sends_over = status != COVEY_OK;
        if (!status)
            atomic_store(sent, ++done);
    }
    while (!with->sends_over && with->started < chat->messages &&
           with->started - done < under_way) {
        uint32_t slot = with->started % under_way;
        write_message(with->bytes[slot], chat->rank, with->started);
        with->sends_over = covey_isend(covey_world(chat->ctx), with->bytes[slot],
                                       length_of(chat->rank, with->started), (int)to,
                                       (int)(with->started % 5), &with->sends[slot]) != COVEY_OK;
        with->started += !with->sends_over;
    }
    with->sends_over |= done == chat->messages;
}

static bool is_slow(const struct chat *chat)
{
    return chat->rank % 4 == 2;
}

static bool leaves_early(const struct chat *chat)
{
    return chat->rank % 4 == 1;
}

static bool is_over(const struct chat *chat)
{
    for (uint32_t i = 0; i < chat->size; i++)
        if (i != chat->rank &&
            (!chat->with[i].sends_over || (!leaves_early(chat) && !chat->with[i].hears_no_more)))
            return false;
    return true;
}

static bool open_ledger(struct chat *chat)
{
    size_t length;
    const char *parameter = covey_param(chat->ctx, &length);
    char path[256] = "";
    char text[300] = "";
    memcpy(text, parameter, length < sizeof text ? length : sizeof text - 1);
    const char *number = strchr(text, ' ');
    if (!number || number - text >= (ptrdiff_t)sizeof path)
        return false;
    memcpy(path, text, (size_t)(number - text));
    chat->messages = (uint32_t)strtoul(number, NULL, 10);
    int file = open(path, O_RDWR | O_CLOEXEC);
    void *map = file < 0
                    ? MAP_FAILED
                    : mmap(NULL, sizeof *chat->ledger, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    chat->ledger = map;
    return map != MAP_FAILED;
}

static bool open_conversations(struct chat *chat)
{
    for (uint32_t i = 0; i < chat->size; i++) {
        chat->with[i].into = malloc(length_most);
        if (!chat->with[i].into)
            return false;
        for (int slot = 0; slot < under_way; slot++)
            if (!(chat->with[i].bytes[slot] = malloc(length_most)))
                return false;
    }
    return true;
}

int covey_work(struct covey_ctx *ctx)
{
    static struct chat chat;
    chat.ctx = ctx;
    chat.rank = (uint32_t)covey_rank(ctx);
    chat.size = (uint32_t)covey_size(ctx);
    (void)signal(SIGTERM, SIG_IGN);
    if (chat.size > workers_most || !open_ledger(&chat) || !open_conversations(&chat))
        return 1;
    atomic_fetch_add(&chat.ledger->runs[chat.rank], 1);
    while (!is_over(&chat)) {
        for (uint32_t i = 0; i < chat.size; i++) {
            if (i == chat.rank)
                continue;
            say(&chat, i);
            hear(&chat, i);
        }
        if (is_slow(&chat))
            usleep(2000);
        else
            usleep(50);
    }
    atomic_store(&chat.ledger->finished[chat.rank], 1);
    return 0;
}
