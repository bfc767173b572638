#include "transport/core/credit.h"

/* What may pile up for one worker at its host, with equal parts for all that send to it. */
#define MESSAGES_FOR_ONE 8192u
#define MESSAGES_LEAST   8u
#define MESSAGES_MOST    1024u
#define BYTES_FOR_ONE    (8u << 20)
#define BYTES_LEAST      (128u << 10)
#define BYTES_MOST       (1u << 20)

static uint32_t part_of(uint32_t whole, uint32_t worker_count, uint32_t least, uint32_t most)
{
    uint32_t part = worker_count ? whole / worker_count : most;
    return part < least ? least : part > most ? most : part;
}

struct credit_window credit_window_of(uint32_t worker_count)
{
    uint32_t messages = part_of(MESSAGES_FOR_ONE, worker_count, MESSAGES_LEAST, MESSAGES_MOST);
    return (struct credit_window){
        .messages = messages & ~1u,
        .bytes = part_of(BYTES_FOR_ONE, worker_count, BYTES_LEAST, BYTES_MOST)};
}

/* What both sides begin with. */
static struct credit_grant first_grant(const struct credit_window *window)
{
    return (struct credit_grant){.messages = window->messages, .bytes = window->bytes};
}

void credit_out_init(struct credit_out *out, const struct credit_window *window)
{
    *out = (struct credit_out){.limit = first_grant(window)};
}

bool credit_send(struct credit_out *out)
{
    if (out->sent >= out->limit.messages)
        return false;
    out->sent++;
    return true;
}

void credit_unsend(struct credit_out *out)
{
    out->sent--;
}

bool credit_send_bytes(struct credit_out *out, uint32_t length_bytes)
{
    if (length_bytes > out->limit.bytes - out->sent_bytes)
        return false;
    out->sent_bytes += length_bytes;
    return true;
}

void credit_unsend_bytes(struct credit_out *out, uint32_t length_bytes)
{
    out->sent_bytes -= length_bytes;
}

bool credit_allow(struct credit_out *out, const struct credit_window *window,
                  const struct credit_grant *grant)
{
    if (grant->messages > out->sent + window->messages ||
        grant->bytes > out->sent_bytes + window->bytes)
        return false;
    if (grant->messages > out->limit.messages)
        out->limit.messages = grant->messages;
    if (grant->bytes > out->limit.bytes)
        out->limit.bytes = grant->bytes;
    return true;
}

void credit_in_init(struct credit_in *in, const struct credit_window *window)
{
    *in = (struct credit_in){.granted = first_grant(window)};
}

bool credit_arrive(struct credit_in *in)
{
    if (in->arrived >= in->granted.messages)
        return false;
    in->arrived++;
    return true;
}

void credit_settle(struct credit_in *in)
{
    in->settled++;
}

void credit_settle_bytes(struct credit_in *in, uint64_t length_bytes)
{
    in->settled_bytes += length_bytes;
}

bool credit_is_dry(const struct credit_in *in)
{
    return in->arrived == in->granted.messages;
}

bool credit_due(const struct credit_in *in, const struct credit_window *window, bool wanted,
                struct credit_grant *grant)
{
    uint32_t half = window->messages / 2;
    *grant = in->granted;
    if (in->settled + window->messages > grant->messages)
        grant->messages = in->settled + window->messages;
    if (in->settled_bytes + window->bytes > grant->bytes)
        grant->bytes = in->settled_bytes + window->bytes;
    bool pulls = wanted && credit_is_dry(in);
    if (pulls && grant->messages < in->arrived + half)
        grant->messages = in->arrived + half;
    return pulls || grant->messages >= in->granted.messages + half ||
           grant->bytes >= in->granted.bytes + window->bytes / 4;
}

void credit_granted(struct credit_in *in, const struct credit_grant *grant)
{
    in->granted = *grant;
}
