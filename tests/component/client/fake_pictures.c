#include "tests/component/client/fake_pictures.h"

#include <string.h>

#define EPOCH_S 1700000000

bool called(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

struct picture {
    Covey__V1__Flare flare;
    Covey__V1__Timeline timeline;
    Google__Protobuf__Timestamp times[8];
    Covey__V1__Failure failure;
    Covey__V1__Pack packs[2];
    Covey__V1__Pack *pack_list[2];
    Covey__V1__Worker workers[MAX_WORKERS];
    Covey__V1__Worker *worker_list[MAX_WORKERS];
};

Covey__V1__FlareState end_of(const struct flare *flare)
{
    if (flare->cancelled)
        return COVEY__V1__FLARE_STATE__FLARE_STATE_CANCELLED;
    if (called(flare->name, "fail"))
        return COVEY__V1__FLARE_STATE__FLARE_STATE_FAILED;
    if (called(flare->name, "limit"))
        return COVEY__V1__FLARE_STATE__FLARE_STATE_TIMED_OUT;
    return called(flare->name, "hang") ? COVEY__V1__FLARE_STATE__FLARE_STATE_RUNNING
                                       : COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED;
}

bool has_ended(const struct flare *flare)
{
    return end_of(flare) >= COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED;
}

static void fill_timeline(struct picture *picture, bool ended)
{
    Covey__V1__Timeline *timeline = &picture->timeline;
    Google__Protobuf__Timestamp **fields[] = {&timeline->accepted_at,     &timeline->placed_at,
                                              &timeline->ready_at,        &timeline->started_at,
                                              &timeline->first_worker_at, &timeline->last_worker_at,
                                              &timeline->outcome_at,      &timeline->ended_at};
    covey__v1__timeline__init(timeline);
    for (int i = 0; i < (ended ? 8 : 6); i++) {
        google__protobuf__timestamp__init(&picture->times[i]);
        picture->times[i].seconds = EPOCH_S;
        picture->times[i].nanos = (i + 1) * 1500000;
        *fields[i] = &picture->times[i];
    }
    timeline->transport = (char *)"ucx:tcp";
    picture->flare.timeline = timeline;
}

static void fill_packs(struct picture *picture, uint32_t workers)
{
    uint32_t half = (workers + 1) / 2;
    size_t packs = workers > 1 ? 2 : 1;
    for (size_t i = 0; i < packs; i++) {
        covey__v1__pack__init(&picture->packs[i]);
        picture->packs[i].id = (uint32_t)i;
        picture->packs[i].node = (char *)(i ? "node-2" : "node-1");
        picture->packs[i].first_rank = i ? half : 0;
        picture->packs[i].workers = i ? workers - half : half;
        picture->pack_list[i] = &picture->packs[i];
    }
    picture->flare.packs = picture->pack_list;
    picture->flare.n_packs = packs;
}

static void fill_workers(struct picture *picture, const struct flare *flare)
{
    for (uint32_t rank = 0; rank < flare->workers; rank++) {
        Covey__V1__Worker *worker = &picture->workers[rank];
        bool killed = called(flare->name, "fail") && rank == 1;
        covey__v1__worker__init(worker);
        worker->rank = rank;
        worker->node = picture->packs[rank >= (flare->workers + 1) / 2].node;
        worker->pid = 1000 + rank;
        worker->state = killed ? COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED
                               : COVEY__V1__WORKER_STATE__WORKER_STATE_DONE;
        worker->signal = killed ? 9 : 0;
        worker->result_bytes = called(flare->name, "big") ? BIG_BYTES : flare->lengths[rank];
        picture->worker_list[rank] = worker;
    }
    picture->flare.workers = picture->worker_list;
    picture->flare.n_workers = flare->workers;
}

Covey__V1__Flare *draw(const struct flare *flare, Covey__V1__FlareState state)
{
    static struct picture picture;
    memset(&picture, 0, sizeof picture);
    covey__v1__flare__init(&picture.flare);
    picture.flare.id = (char *)flare->id;
    picture.flare.definition = (char *)flare->name;
    picture.flare.definition_version = flare->version;
    picture.flare.workers_total = flare->workers;
    picture.flare.state = state;
    picture.flare.tenant = (char *)"tester";
    fill_timeline(&picture, state >= COVEY__V1__FLARE_STATE__FLARE_STATE_SUCCEEDED);
    fill_packs(&picture, flare->workers);
    fill_workers(&picture, flare);
    if (state == COVEY__V1__FLARE_STATE__FLARE_STATE_FAILED) {
        covey__v1__failure__init(&picture.failure);
        picture.failure.status = (char *)"EPEER";
        picture.failure.message = (char *)"rank 1 was killed by signal 9 on node-1";
        picture.failure.rank = 1;
        picture.failure.node = (char *)"node-1";
        picture.failure.signal = 9;
        picture.flare.error = &picture.failure;
    }
    return &picture.flare;
}
