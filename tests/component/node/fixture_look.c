/* What a test asks of what its nodes have said, and of what is left of a flare. */
#include "service/common/local.h"
#include "tests/component/node/fixture.h"
#include "tests/component/node/processes.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

struct finding {
    Covey__V1__AttachRequest__BodyCase kind;
    const char *flare_id;
    size_t n;
};

static const char *flare_of(const Covey__V1__AttachRequest *message)
{
    switch (message->body_case) {
    case COVEY__V1__ATTACH_REQUEST__BODY_PREPARED:
        return message->prepared->flare_id;
    case COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED:
        return message->prepare_failed->flare_id;
    case COVEY__V1__ATTACH_REQUEST__BODY_WORKERS_STARTED:
        return message->workers_started->flare_id;
    case COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED:
        return message->worker_ended->flare_id;
    case COVEY__V1__ATTACH_REQUEST__BODY_RESULT_CHUNK:
        return message->result_chunk->flare_id;
    case COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK:
        return message->log_chunk->flare_id;
    case COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED:
        return message->host_ended->flare_id;
    case COVEY__V1__ATTACH_REQUEST__BODY_FLARE_GONE:
        return message->flare_gone->flare_id;
    default:
        return "";
    }
}

const struct said *fixture_find(struct fixture *fixture, Covey__V1__AttachRequest__BodyCase kind,
                                const char *flare_id, size_t n)
{
    for (size_t i = fixture->looked_from; i < fixture->said_count; i++) {
        const struct said *said = &fixture->said[i];
        if (said->message->body_case == kind && strcmp(flare_of(said->message), flare_id) == 0 &&
            n-- == 0)
            return said;
    }
    return NULL;
}

static bool is_found(struct fixture *fixture, void *data)
{
    struct finding *finding = data;
    return fixture_find(fixture, finding->kind, finding->flare_id, finding->n) != NULL;
}

const struct said *fixture_wait(struct fixture *fixture, Covey__V1__AttachRequest__BodyCase kind,
                                const char *flare_id, size_t n, int64_t timeout_ns)
{
    struct finding finding = {kind, flare_id, n};
    (void)fixture_until(fixture, is_found, &finding, timeout_ns);
    return fixture_find(fixture, kind, flare_id, n);
}

struct counting {
    const char *flare_id;
    uint32_t rank;
    uint32_t want;
};

static uint32_t count_started(struct fixture *fixture, const char *flare_id)
{
    uint32_t count = 0;
    const struct said *said;
    for (size_t n = 0; (said = fixture_find(
                            fixture, COVEY__V1__ATTACH_REQUEST__BODY_WORKERS_STARTED, flare_id, n));
         n++)
        count += (uint32_t)said->message->workers_started->n_workers;
    return count;
}

static bool enough_started(struct fixture *fixture, void *data)
{
    struct counting *counting = data;
    return count_started(fixture, counting->flare_id) >= counting->want;
}

bool fixture_wait_started(struct fixture *fixture, const char *flare_id, uint32_t count,
                          int64_t timeout_ns)
{
    struct counting counting = {flare_id, 0, count};
    return fixture_until(fixture, enough_started, &counting, timeout_ns);
}

static const Covey__V1__WorkerEnded *find_ended(struct fixture *fixture, const char *flare_id,
                                                uint32_t rank)
{
    const struct said *said;
    const Covey__V1__WorkerEnded *found = NULL;
    for (size_t n = 0;
         (said = fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED, flare_id, n));
         n++) {
        if (said->message->worker_ended->worker->rank == rank)
            found = said->message->worker_ended;
    }
    return found;
}

static bool rank_ended(struct fixture *fixture, void *data)
{
    struct counting *counting = data;
    return find_ended(fixture, counting->flare_id, counting->rank) != NULL;
}

const Covey__V1__WorkerEnded *fixture_wait_ended(struct fixture *fixture, const char *flare_id,
                                                 uint32_t rank, int64_t timeout_ns)
{
    struct counting counting = {flare_id, rank, 0};
    (void)fixture_until(fixture, rank_ended, &counting, timeout_ns);
    return find_ended(fixture, flare_id, rank);
}

static bool all_ended(struct fixture *fixture, void *data)
{
    struct counting *counting = data;
    for (uint32_t rank = 0; rank < counting->want; rank++) {
        if (!find_ended(fixture, counting->flare_id, rank))
            return false;
    }
    return true;
}

bool fixture_wait_all_ended(struct fixture *fixture, const char *flare_id, uint32_t count,
                            int64_t timeout_ns)
{
    struct counting counting = {flare_id, 0, count};
    return fixture_until(fixture, all_ended, &counting, timeout_ns);
}

pid_t fixture_pid(struct fixture *fixture, const char *flare_id, uint32_t rank)
{
    const struct said *said;
    for (size_t n = 0;
         (said = fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_PREPARED, flare_id, n));
         n++) {
        for (size_t i = 0; i < said->message->prepared->n_workers; i++) {
            if (said->message->prepared->workers[i]->rank == rank)
                return (pid_t)said->message->prepared->workers[i]->pid;
        }
    }
    return 0;
}

struct covey_buffer fixture_result(struct fixture *fixture, const char *flare_id, uint32_t rank)
{
    struct covey_buffer result = {0};
    const struct said *said;
    for (size_t n = 0;
         (said = fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_RESULT_CHUNK, flare_id, n));
         n++) {
        const Covey__V1__ResultChunk *chunk = said->message->result_chunk;
        if (chunk->rank != rank)
            continue;
        if (chunk->offset == 0)
            result.length_bytes = 0;
        TEST_EQUAL(chunk->offset, result.length_bytes);
        TEST_EQUAL(covey_buffer_append(&result, chunk->data.data, chunk->data.len), COVEY_OK);
    }
    TEST_EQUAL(covey_buffer_append(&result, "", 1), COVEY_OK);
    result.length_bytes--;
    return result;
}

bool fixture_logged(struct fixture *fixture, const char *flare_id, uint32_t rank, const char *text)
{
    const struct said *said;
    for (size_t n = 0;
         (said = fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK, flare_id, n));
         n++) {
        const Covey__V1__LogChunk *chunk = said->message->log_chunk;
        for (size_t i = 0; i < chunk->n_lines; i++) {
            const Covey__V1__LogLines *line = chunk->lines[i];
            if (line->rank == rank &&
                memmem(line->text.data, line->text.len, text, strlen(text)) != NULL)
                return true;
        }
    }
    return false;
}

static size_t count_newlines(const Covey__V1__LogChunk *chunk)
{
    size_t count = 0;
    for (size_t i = 0; i < chunk->n_lines; i++) {
        const uint8_t *next = chunk->lines[i]->text.data;
        const uint8_t *end = next + chunk->lines[i]->text.len;
        while ((next = memchr(next, '\n', (size_t)(end - next)))) {
            next++;
            count++;
        }
    }
    return count;
}

size_t fixture_log_lines(struct fixture *fixture, const char *flare_id)
{
    uint64_t ends[8] = {0};
    size_t lines = 0;
    const struct said *said;
    for (size_t n = 0;
         (said = fixture_find(fixture, COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK, flare_id, n));
         n++) {
        const Covey__V1__LogChunk *chunk = said->message->log_chunk;
        TEST_REQUIRE(chunk->pack < 8 && chunk->offset <= ends[chunk->pack]);
        if (chunk->offset < ends[chunk->pack])
            continue;
        lines += count_newlines(chunk);
        ends[chunk->pack] += local_log_cost(chunk->lines, chunk->n_lines);
    }
    return lines;
}

static bool nothing_left(struct fixture *fixture, void *data)
{
    const char *flare_id = data;
    pid_t pids[8];
    if (processes_marked(flare_id, pids, 8) > 0)
        return false;
    for (int i = 0; i < FIXTURE_NODES; i++) {
        DIR *names = opendir(fixture->nodes[i].runtime_dir);
        bool found = false;
        for (struct dirent *entry = names ? readdir(names) : NULL; entry; entry = readdir(names))
            found = found || strncmp(entry->d_name, flare_id, strlen(flare_id)) == 0;
        if (names)
            closedir(names);
        if (found)
            return false;
    }
    return true;
}

struct leaving {
    const char *flare_id;
    int64_t until_ns; /* of test_rested_ns */
};

static bool nothing_left_or_late(struct fixture *fixture, void *data)
{
    const struct leaving *leaving = data;
    return nothing_left(fixture, (void *)(uintptr_t)leaving->flare_id) ||
           test_rested_ns() > leaving->until_ns;
}

bool fixture_nothing_left(struct fixture *fixture, const char *flare_id)
{
    struct leaving leaving = {flare_id, test_rested_ns() + COVEY_NS_PER_S};
    (void)fixture_until(fixture, nothing_left_or_late, &leaving, FIXTURE_LONG_NS);
    return nothing_left(fixture, (void *)(uintptr_t)flare_id);
}

bool fixture_nothing_left_at_last(struct fixture *fixture, const char *flare_id)
{
    return fixture_until(fixture, nothing_left, (void *)(uintptr_t)flare_id, FIXTURE_LONG_NS);
}
