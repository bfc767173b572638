#include "service/controller/ulid.h"

#include "base/clock.h"

#include <string.h>
#include <sys/random.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* Adds one to the random part; false where it was all ones. */
static bool increment(uint8_t random[10])
{
    for (int i = 9; i >= 0; i--)
        if (++random[i] != 0)
            return true;
    return false;
}

bool ulid_make(struct ulid_source *source, int64_t wall_ns, char id[ULID_BYTES])
{
    uint64_t now = (uint64_t)(wall_ns / COVEY_NS_PER_MS);
    /* A clock that was set back goes on from the last id. */
    if (now <= source->millisecond && increment(source->random)) {
        now = source->millisecond;
    } else {
        if (getrandom(source->random, sizeof source->random, 0) != sizeof source->random)
            return false;
        now = now > source->millisecond ? now : source->millisecond + 1;
        source->random[0] &= 0x7f; /* room to count up in */
    }
    source->millisecond = now;
    for (int i = 9; i >= 0; i--, now >>= 5)
        id[i] = alphabet[now & 31];
    for (int half = 0; half < 2; half++) {
        uint64_t bits = 0;
        for (int i = 0; i < 5; i++)
            bits = bits << 8 | source->random[half * 5 + i];
        for (int i = 7; i >= 0; i--, bits >>= 5)
            id[10 + half * 8 + i] = alphabet[bits & 31];
    }
    id[ULID_BYTES - 1] = '\0';
    return true;
}

bool ulid_is_valid(const char *id)
{
    return strspn(id, alphabet) == ULID_BYTES - 1 && id[ULID_BYTES - 1] == '\0';
}
