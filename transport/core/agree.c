#include "transport/core/agree.h"

#include "base/memory.h"
#include "transport/core/transfer.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_PART = 1, TAG_JOIN, TAG_PROPOSE, TAG_ACK, TAG_DECIDE, TAG_GAVE_UP };

#define PART_WORDS ((uint32_t)(DESCRIPTOR_INLINE_BYTES / sizeof(uint64_t)))

/* Sets have a bit for each member. Ballots start at 1; all is of the present attempt. */
struct agreement {
    struct channel channel;
    uint32_t words; /* of a set */
    uint32_t attempt;
    uint32_t calls;    /* of this member */
    uint32_t accepted; /* the ballot that was ACKed last */
    uint64_t *accepted_set;
    bool own;          /* this member made that set, and took it from nobody */
    uint32_t proposed; /* the highest ballot that was proposed, by proposer */
    uint32_t proposer;
    uint64_t *proposed_set;
    uint32_t joined_ballot; /* the highest that others said they had ACKed */
    uint64_t *joined_set;
    bool decided;
    uint64_t *decided_set; /* while nothing is decided: of the attempt before */
    uint32_t gave_up;      /* the member that the speaker did not hear from, or UINT32_MAX */
    uint32_t *joined;      /* by member: the attempt that it joined, plus 1 */
    uint32_t *calls_of;    /* by member: as it said when it joined */
    uint32_t *acked;       /* by member: the ballot */
    uint64_t **parts;      /* by member: a set that is on its way */
};

/* What a message says beside its tag. */
struct word {
    uint32_t attempt;
    uint32_t ballot;
    uint32_t number; /* JOIN: of the call; GAVE_UP: the member << 8 | 8 bits of that */
};

static uint64_t put_word(struct word word)
{
    return (uint64_t)(word.attempt & 0xffff) << 48 | (uint64_t)(word.ballot & 0xffff) << 32 |
           word.number;
}

static struct word get_word(uint64_t argument)
{
    return (struct word){.attempt = (uint32_t)(argument >> 48),
                         .ballot = (uint32_t)(argument >> 32 & 0xffff),
                         .number = (uint32_t)argument};
}

static bool has(const uint64_t *set, uint32_t member)
{
    return set[member / 64] >> member % 64 & 1;
}

/* ---- opening and closing ---- */

static void free_agreement(struct agreement *agreement, uint32_t size)
{
    for (uint32_t i = 0; agreement->parts && i < size; i++)
        free(agreement->parts[i]);
    free(agreement->parts);
    free(agreement->accepted_set);
    free(agreement->proposed_set);
    free(agreement->joined_set);
    free(agreement->decided_set);
    free(agreement->joined);
    free(agreement->calls_of);
    free(agreement->acked);
    free(agreement);
}

/* Opens the channel, and takes what has come for it. */
static enum covey_status open_agreement(struct comm *comm)
{
    if (comm->agreement)
        return COVEY_OK;
    struct agreement *agreement = covey_calloc(1, sizeof(*agreement));
    if (!agreement)
        return COVEY_ENOMEM;
    agreement->words = (comm->size + 63) / 64;
    agreement->gave_up = UINT32_MAX;
    agreement->accepted_set = covey_calloc(agreement->words, sizeof(uint64_t));
    agreement->proposed_set = covey_calloc(agreement->words, sizeof(uint64_t));
    agreement->joined_set = covey_calloc(agreement->words, sizeof(uint64_t));
    agreement->decided_set = covey_calloc(agreement->words, sizeof(uint64_t));
    agreement->joined = covey_calloc(comm->size, sizeof(uint32_t));
    agreement->calls_of = covey_calloc(comm->size, sizeof(uint32_t));
    agreement->acked = covey_calloc(comm->size, sizeof(uint32_t));
    agreement->parts = covey_calloc(comm->size, sizeof(*agreement->parts));
    enum covey_status status = COVEY_ENOMEM;
    if (!agreement->accepted_set || !agreement->proposed_set || !agreement->joined_set ||
        !agreement->decided_set || !agreement->joined || !agreement->calls_of ||
        !agreement->acked || !agreement->parts)
        goto failed;
    comm->agreement = agreement;
    status = engine_channel_open(comm->engine, &agreement->channel, comm, comm->id | 3);
    if (status)
        goto failed;
    return COVEY_OK;
failed:
    comm->agreement = NULL;
    free_agreement(agreement, comm->size);
    return status;
}

void agree_close(struct comm *comm)
{
    if (!comm->agreement)
        return;
    engine_channel_close(comm->engine, &comm->agreement->channel);
    free_agreement(comm->agreement, comm->size);
    comm->agreement = NULL;
}

/* ---- saying ---- */

static void say(struct comm *comm, uint32_t member, int tag, uint64_t argument, const void *bytes,
                uint64_t length)
{
    struct request request;
    request_begin(&request);
    enum covey_status status = engine_send_start(&comm->agreement->channel, &request, member, tag,
                                                 argument, bytes, NULL, length);
    if (!status)
        engine_forget(&request);
    /* Else it has ended, or memory is out: then time will tell. */
}

static void say_word(struct comm *comm, uint32_t member, int tag, struct word word)
{
    say(comm, member, tag, put_word(word), NULL, 0);
}

/* The set first, then what it is. */
static void say_set(struct comm *comm, uint32_t member, int tag, struct word word,
                    const uint64_t *set)
{
    for (uint32_t at = 0; at < comm->agreement->words; at += PART_WORDS) {
        uint32_t left = comm->agreement->words - at;
        uint32_t now = left < PART_WORDS ? left : PART_WORDS;
        say(comm, member, TAG_PART, at, set + at, now * sizeof(uint64_t));
    }
    say_word(comm, member, tag, word);
}

/* ---- hearing ---- */

static void hear_part(struct agreement *agreement, const struct message *message)
{
    const struct descriptor *descriptor = &message->descriptor;
    uint64_t at = descriptor->header.argument;
    uint64_t length = descriptor->header.length;
    uint64_t **part = &agreement->parts[message->member];
    if (at > agreement->words || length > (agreement->words - at) * sizeof(uint64_t) ||
        descriptor->header.payload != DESCRIPTOR_INLINE)
        return;
    if (!*part)
        *part = covey_calloc(agreement->words, sizeof(uint64_t));
    if (*part)
        memcpy(*part + at, descriptor->inline_bytes, length);
}

static void hear_join(struct comm *comm, uint32_t member, struct word word, const uint64_t *set)
{
    struct agreement *agreement = comm->agreement;
    /* It missed what was decided: the speaker died before it could say so to all. */
    if (word.attempt + 1 == agreement->attempt) {
        say_set(comm, member, TAG_DECIDE, (struct word){.attempt = word.attempt},
                agreement->decided_set);
        return;
    }
    agreement->joined[member] = word.attempt + 1;
    agreement->calls_of[member] = word.number;
    if (word.attempt != agreement->attempt || word.ballot <= agreement->joined_ballot || !set)
        return;
    agreement->joined_ballot = word.ballot;
    memcpy(agreement->joined_set, set, agreement->words * sizeof(uint64_t));
}

static void hear(struct comm *comm, const struct message *message)
{
    struct agreement *agreement = comm->agreement;
    uint32_t member = message->member;
    const uint64_t *set = agreement->parts[member];
    struct word word = get_word(message->descriptor.header.argument);
    bool present = word.attempt == agreement->attempt && !agreement->decided;
    switch (message->descriptor.header.tag) {
    case TAG_PART:
        hear_part(agreement, message);
        break;
    case TAG_JOIN:
        hear_join(comm, member, word, set);
        break;
    case TAG_PROPOSE:
        if (!present || word.ballot <= agreement->proposed || !set)
            break;
        agreement->proposed = word.ballot;
        agreement->proposer = member;
        memcpy(agreement->proposed_set, set, agreement->words * sizeof(uint64_t));
        break;
    case TAG_ACK:
        if (present)
            agreement->acked[member] = word.ballot;
        break;
    case TAG_DECIDE:
        if (!present || !set)
            break;
        agreement->decided = true;
        memcpy(agreement->decided_set, set, agreement->words * sizeof(uint64_t));
        break;
    case TAG_GAVE_UP:
        if (present && (word.number & 0xff) == (agreement->calls & 0xff) &&
            word.number >> 8 < comm->size)
            agreement->gave_up = word.number >> 8;
        break;
    default:
        break;
    }
}

bool agree_takes(struct channel *channel, struct message *message)
{
    struct comm *comm = channel->comm;
    if (!comm->agreement || channel != &comm->agreement->channel)
        return false;
    if (!transfer_is_void(&message->descriptor.header))
        hear(comm, message);
    engine_message_free(comm->engine, message);
    return true;
}

/* ---- agreeing ---- */

static bool lives(const struct comm *comm, uint32_t member)
{
    return comm->engine->ended[comm->ranks[member]] < ARENA_DONE;
}

static uint32_t find_speaker(const struct comm *comm)
{
    uint32_t member = 0;
    while (member != comm->rank && !lives(comm, member))
        member++;
    return member;
}

/* Takes a proposal for what is ACKed. */
static void accept(struct agreement *agreement, uint32_t ballot, const uint64_t *set)
{
    agreement->accepted = ballot;
    memmove(agreement->accepted_set, set, agreement->words * sizeof(uint64_t));
}

static void join(struct comm *comm, uint32_t speaker)
{
    struct agreement *agreement = comm->agreement;
    struct word word = {
        .attempt = agreement->attempt, .ballot = agreement->accepted, .number = agreement->calls};
    if (agreement->accepted > 0)
        say_set(comm, speaker, TAG_JOIN, word, agreement->accepted_set);
    else
        say_word(comm, speaker, TAG_JOIN, word);
}

/* The first member that lives and of which the condition does not hold; UINT32_MAX: none. */
static uint32_t first_without(const struct comm *comm, const uint32_t *of, uint32_t value,
                              const uint64_t *set)
{
    for (uint32_t member = 0; member < comm->size; member++) {
        if (member != comm->rank && lives(comm, member) && (!set || has(set, member)) &&
            of[member] != value)
            return member;
    }
    return UINT32_MAX;
}

/* How far the speaker has got. */
struct speech {
    uint32_t ballot; /* 0: not all have joined */
    uint32_t missing;
};

static void propose(struct comm *comm, struct speech *speech)
{
    struct agreement *agreement = comm->agreement;
    struct word word = {.attempt = agreement->attempt, .ballot = ++speech->ballot};
    if (agreement->own) {
        memset(agreement->accepted_set, 0, agreement->words * sizeof(uint64_t));
        for (uint32_t member = 0; member < comm->size; member++) {
            if (member == comm->rank || lives(comm, member))
                agreement->accepted_set[member / 64] |= UINT64_C(1) << member % 64;
        }
    }
    accept(agreement, word.ballot, agreement->accepted_set);
    for (uint32_t member = 0; member < comm->size; member++) {
        if (member != comm->rank && lives(comm, member))
            say_set(comm, member, TAG_PROPOSE, word, agreement->accepted_set);
    }
}

/* All have joined: takes up what the highest ballot among them was for. */
static void begin_proposing(struct comm *comm, struct speech *speech)
{
    struct agreement *agreement = comm->agreement;
    if (agreement->joined_ballot > agreement->accepted) {
        accept(agreement, agreement->joined_ballot, agreement->joined_set);
        agreement->own = false;
    }
    agreement->own |= agreement->accepted == 0;
    speech->ballot =
        agreement->accepted > agreement->proposed ? agreement->accepted : agreement->proposed;
    propose(comm, speech);
}

static bool someone_died(const struct comm *comm)
{
    for (uint32_t member = 0; member < comm->size; member++) {
        if (member != comm->rank && has(comm->agreement->accepted_set, member) &&
            !lives(comm, member))
            return true;
    }
    return false;
}

/* All have joined, and so hear of it when the attempt ends. */
static void decide(struct agreement *agreement)
{
    agreement->decided = true;
    memcpy(agreement->decided_set, agreement->accepted_set, agreement->words * sizeof(uint64_t));
}

/* One step of the speaker, after news. */
static void speak(struct comm *comm, struct speech *speech)
{
    struct agreement *agreement = comm->agreement;
    if (speech->ballot == 0) {
        speech->missing = first_without(comm, agreement->joined, agreement->attempt + 1, NULL);
        if (speech->missing == UINT32_MAX)
            begin_proposing(comm, speech);
    } else if (agreement->own && someone_died(comm)) {
        propose(comm, speech);
    }
    if (speech->ballot == 0)
        return;
    speech->missing =
        first_without(comm, agreement->acked, speech->ballot, agreement->accepted_set);
    if (speech->missing == UINT32_MAX)
        decide(agreement);
}

/* One step of anybody else. */
static void listen(struct comm *comm)
{
    struct agreement *agreement = comm->agreement;
    if (agreement->proposed <= agreement->accepted)
        return;
    accept(agreement, agreement->proposed, agreement->proposed_set);
    agreement->own = false;
    say_word(comm, agreement->proposer, TAG_ACK,
             (struct word){.attempt = agreement->attempt, .ballot = agreement->accepted});
}

/* The speaker gives up: those that have joined need not find out by themselves. */
static void give_up(struct comm *comm, uint32_t missing)
{
    struct agreement *agreement = comm->agreement;
    for (uint32_t member = 0; member < comm->size; member++) {
        if (member != comm->rank && lives(comm, member) &&
            agreement->joined[member] == agreement->attempt + 1)
            say_word(comm, member, TAG_GAVE_UP,
                     (struct word){.attempt = agreement->attempt,
                                   .number = missing << 8 | (agreement->calls_of[member] & 0xff)});
    }
}

static enum covey_status run(struct comm *comm, struct engine_wait *wait)
{
    struct agreement *agreement = comm->agreement;
    struct speech speech = {.missing = UINT32_MAX};
    uint32_t speaker = UINT32_MAX;
    enum covey_status status = COVEY_OK;
    while (!agreement->decided && agreement->gave_up == UINT32_MAX && !status) {
        status = engine_wait_more(wait);
        if (find_speaker(comm) != speaker) {
            speaker = find_speaker(comm);
            if (speaker != comm->rank)
                join(comm, speaker);
        }
        if (agreement->decided)
            break;
        if (speaker == comm->rank)
            speak(comm, &speech);
        else
            listen(comm);
    }
    if (agreement->decided)
        return COVEY_OK;
    if (status && status != COVEY_ETIMEOUT)
        return status;
    struct engine_wait word;
    engine_wait_word(&word, comm->engine, comm->timeout_ns);
    while (speaker != comm->rank && !agreement->decided && agreement->gave_up == UINT32_MAX &&
           engine_wait_more(&word) == COVEY_OK) {
    }
    if (agreement->decided)
        return COVEY_OK;
    uint32_t missing = agreement->gave_up;
    if (speaker == comm->rank)
        give_up(comm, missing = speech.missing);
    return engine_fail(comm->engine, COVEY_ETIMEOUT, "shrink: waited in vain for rank %u",
                       comm->ranks[missing < comm->size ? missing : speaker]);
}

/* The present attempt is over. Who joined this member did so because the speaker had died, and may
 * have heard no decision; later ones are answered when they come. */
static void next_attempt(struct comm *comm)
{
    struct agreement *agreement = comm->agreement;
    for (uint32_t member = 0; member < comm->size; member++) {
        if (member != comm->rank && lives(comm, member) &&
            agreement->joined[member] == agreement->attempt + 1)
            say_set(comm, member, TAG_DECIDE, (struct word){.attempt = agreement->attempt},
                    agreement->decided_set);
    }
    agreement->attempt++;
    agreement->decided = agreement->own = false;
    agreement->accepted = agreement->proposed = agreement->joined_ballot = 0;
    memset(agreement->acked, 0, comm->size * sizeof(*agreement->acked));
}

enum covey_status agree_on_members(struct comm *comm, uint32_t **ranks, uint32_t *count,
                                   uint32_t *number)
{
    struct engine_wait wait;
    engine_wait_start(&wait, comm->engine, comm->timeout_ns);
    uint32_t *members = covey_calloc(comm->size, sizeof(*members));
    enum covey_status status = members ? open_agreement(comm) : COVEY_ENOMEM;
    if (status) {
        free(members);
        return engine_fail(comm->engine, status, "shrink: out of memory");
    }
    struct agreement *agreement = comm->agreement;
    agreement->calls++;
    agreement->gave_up = UINT32_MAX;
    status = run(comm, &wait);
    if (status) {
        free(members);
        return status;
    }
    *number = agreement->attempt;
    *count = 0;
    for (uint32_t member = 0; member < comm->size; member++) {
        if (has(agreement->decided_set, member))
            members[(*count)++] = comm->ranks[member];
    }
    bool left_out = !has(agreement->decided_set, comm->rank);
    next_attempt(comm);
    if (left_out) {
        free(members);
        return engine_fail(comm->engine, COVEY_EPEER,
                           "shrink: the others hold this rank for dead and went on without it");
    }
    *ranks = members;
    return COVEY_OK;
}
