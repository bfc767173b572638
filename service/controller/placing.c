/* A flare's options as the scheduler takes them, and a placement as the API shows it. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- words of selectors and tolerations ---- */

static bool is_word(const char *text, size_t length, size_t least)
{
    static const char allowed[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._/-";
    return length >= least && length <= PLACING_WORD_BYTES && strspn(text, allowed) >= length;
}

/* Cuts a term within text, which is changed. */
static bool parse_term(char *text, struct sched_term *term)
{
    char *equals = strchr(text, '=');
    *term = (struct sched_term){.key = text, .operator= SCHED_EXISTS };
    if (!equals && *text == '!') {
        term->key = text + 1;
        term->operator= SCHED_ABSENT;
    } else if (equals) {
        bool differs = equals > text && equals[-1] == '!';
        term->operator= differs ? SCHED_NOT_EQUAL : SCHED_EQUAL;
        term->value = equals + 1;
        *equals = '\0';
        if (differs)
            equals[-1] = '\0';
    }
    return is_word(term->key, strlen(term->key), 1) &&
           (!term->value || is_word(term->value, strlen(term->value), 0));
}

static bool parse_toleration(char *text, struct sched_label *label)
{
    char *equals = strchr(text, '=');
    *label = (struct sched_label){.key = text, .value = equals ? equals + 1 : NULL};
    if (equals)
        *equals = '\0';
    return is_word(text, strlen(text), 1) &&
           (!equals || is_word(equals + 1, strlen(equals + 1), 0));
}

/* One term or toleration, in a copy of its own. */
static enum covey_status add_text(struct placing *placing, const char *text, char **copy,
                                  struct covey_error *error)
{
    *copy = covey_strdup(text);
    if (!*copy)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a selector");
    placing->texts[placing->text_count++] = *copy;
    return COVEY_OK;
}

static enum covey_status take_terms(struct placing *placing, const options_message *options,
                                    struct covey_error *error)
{
    if (options->n_selector > PLACING_TERMS_MAX || options->n_tolerations > PLACING_TERMS_MAX)
        return covey_error_set(error, COVEY_EINVAL,
                               "a flare has at most %d selectors and %d tolerations",
                               PLACING_TERMS_MAX, PLACING_TERMS_MAX);
    for (size_t i = 0; i < options->n_selector; i++) {
        char *copy;
        enum covey_status status = add_text(placing, options->selector[i], &copy, error);
        if (status)
            return status;
        if (!parse_term(copy, &placing->selector[i]))
            return covey_error_set(error, COVEY_EINVAL,
                                   "'%.*s' is no selector: write key=value, key!=value, key or "
                                   "!key, of letters, digits, '.', '_', '/' and '-'",
                                   covey_text_fit(options->selector[i], 128), options->selector[i]);
    }
    for (size_t i = 0; i < options->n_tolerations; i++) {
        char *copy;
        enum covey_status status = add_text(placing, options->tolerations[i], &copy, error);
        if (status)
            return status;
        if (!parse_toleration(copy, &placing->tolerations[i]))
            return covey_error_set(error, COVEY_EINVAL,
                                   "'%.*s' is no toleration: write key=value, or key for any "
                                   "value, of letters, digits, '.', '_', '/' and '-'",
                                   covey_text_fit(options->tolerations[i], 128),
                                   options->tolerations[i]);
    }
    return COVEY_OK;
}

/* ---- resources ---- */

bool placing_dimension(const struct sched *sched, const char *name, enum sched_dimension *dimension)
{
    for (int d = SCHED_NAMED; d < SCHED_DIMENSIONS; d++)
        if (*name && strcmp(sched_dimension_name(sched, (enum sched_dimension)d), name) == 0) {
            *dimension = (enum sched_dimension)d;
            return true;
        }
    return false;
}

/* Users name what nodes have declared: their names would use up the few that can be counted. */
static enum covey_status take_named(const struct controller *controller, const struct placed *of,
                                    struct placing *placing, struct covey_error *error)
{
    const Covey__V1__Resources *resources = of->options->worker_resources;
    for (size_t i = 0; i < resources->n_named; i++) {
        const char *name = resources->named[i]->key;
        enum sched_dimension dimension;
        bool known = placing_dimension(controller->sched, name, &dimension);
        /* A node that was there when it was accepted may be forgotten by now. */
        if (!known && of->accepted)
            known = sched_resource(controller->sched, name, &dimension) == COVEY_OK;
        if (!known)
            return covey_error_set(error, COVEY_EUNPLACEABLE,
                                   "no node has the resource '%.*s': covey nodes --json lists "
                                   "those there are",
                                   covey_text_fit(name, 63), name);
        placing->request.worker.amount[dimension] = resources->named[i]->value;
    }
    return COVEY_OK;
}

enum covey_status placing_make(const struct controller *controller, const struct placed *of,
                               struct placing *placing, struct covey_error *error)
{
    static const enum sched_packing packings[] = {SCHED_PACKING_MIXED, SCHED_PACKING_HETEROGENEOUS,
                                                  SCHED_PACKING_HOMOGENEOUS, SCHED_PACKING_MIXED};
    static const enum sched_placing placings[] = {SCHED_PLACING_PACK, SCHED_PLACING_PACK,
                                                  SCHED_PLACING_STRICT_PACK, SCHED_PLACING_SPREAD,
                                                  SCHED_PLACING_STRICT_SPREAD};
    const options_message *options = of->options;
    const Covey__V1__Resources *resources = options->worker_resources;
    *placing = (struct placing){.request = {
                                    .flare = of->id,
                                    .workers = of->workers,
                                    .packing = packings[options->packing],
                                    .granularity = options->granularity,
                                    .placing = placings[options->placement],
                                    .selector_count = (uint32_t)options->n_selector,
                                    .toleration_count = (uint32_t)options->n_tolerations,
                                    .max_packs = options->max_packs,
                                    .max_nodes = options->max_nodes,
                                    .priority = options->priority,
                                    .tenant = of->tenant,
                                    .preemptible = options->preemptible,
                                    .waits = options->wait_for_nodes,
                                    .expected_ns = of->expected_ns,
                                    .submit_ns = of->submit_ns,
                                }};
    struct sched_request *request = &placing->request;
    request->worker.amount[SCHED_SLOTS] = resources->slots;
    request->worker.amount[SCHED_MEMORY_BYTES] = resources->memory_bytes;
    request->worker.amount[SCHED_MILLI_CPUS] = resources->milli_cpus;
    request->worker.amount[SCHED_GPUS] = resources->gpus;
    (void)message_duration_ns(options->time_limit, controller->limits.max_time_limit_ns,
                              &request->limit_ns);
    enum covey_status status = take_terms(placing, options, error);
    if (!status)
        status = take_named(controller, of, placing, error);
    request->selector = placing->selector;
    request->tolerations = placing->tolerations;
    if (status)
        placing_free(placing);
    return status;
}

struct placed placing_of(struct controller *controller, const struct flare *flare)
{
    return (struct placed){.accepted = true,
                           .id = flare->id,
                           .tenant = flare->tenant,
                           .options = flare->view->options,
                           .workers = flare->view->workers_total,
                           .submit_ns = message_time_ns(flare->view->timeline->accepted_at),
                           .expected_ns = estimate_expected_ns(controller, flare->tenant,
                                                               flare->request, flare->definition)};
}

void placing_free(struct placing *placing)
{
    for (size_t i = 0; i < placing->text_count; i++)
        free(placing->texts[i]);
    placing->text_count = 0;
}

enum covey_status placing_check_terms(const options_message *options, struct covey_error *error)
{
    struct placing placing = {0};
    enum covey_status status = take_terms(&placing, options, error);
    placing_free(&placing);
    return status;
}

/* ---- a placement ---- */

static bool show_pack(const struct controller *controller, const struct sched_placement *placement,
                      const struct sched_pack *from, pack_message *pack)
{
    struct sched_node_info info = {.name = ""};
    if (sched_node_get(controller->sched, from->node, &info) != COVEY_OK)
        info.name = "";
    pack->id = from->id;
    pack->first_rank = from->first_rank;
    pack->workers = from->workers;
    if (!message_set_string(&pack->node, info.name))
        return false;
    size_t count = (size_t)from->workers * placement->cpus_each;
    const uint16_t *cpus = placement->cpus;
    if (!cpus || count == 0 ||
        cpus[(size_t)from->first_rank * placement->cpus_each] == SCHED_CPU_NONE)
        return true;
    pack->cpus = covey_calloc(count, sizeof *pack->cpus);
    if (!pack->cpus)
        return false;
    for (size_t i = 0; i < count; i++)
        pack->cpus[i] = cpus[(size_t)from->first_rank * placement->cpus_each + i];
    pack->n_cpus = count;
    return true;
}

enum covey_status placing_show_packs(const struct controller *controller,
                                     const struct sched_placement *placement, pack_message ***packs,
                                     size_t *count)
{
    *count = 0;
    *packs = covey_calloc(placement->pack_count, sizeof(pack_message *));
    if (!*packs)
        return COVEY_ENOMEM;
    for (uint32_t i = 0; i < placement->pack_count; i++) {
        pack_message *pack = message_new(&covey__v1__pack__descriptor);
        if (pack)
            (*packs)[(*count)++] = pack;
        if (!pack || !show_pack(controller, placement, &placement->packs[i], pack)) {
            placing_free_packs(*packs, *count);
            *packs = NULL;
            *count = 0;
            return COVEY_ENOMEM;
        }
    }
    return COVEY_OK;
}

void placing_free_packs(pack_message **packs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        message_free(packs[i]);
    free(packs);
}

/* The levels' names: the keys of the topology's labels, then the node and what is inside it. */
static const char *level_name(const struct controller *controller, uint32_t level, uint32_t levels)
{
    if (level + 1 == levels)
        return "numa";
    if (level + 2 == levels)
        return "node";
    return controller->topology[level];
}

Covey__V1__PlacementCost *placing_show_cost(const struct controller *controller,
                                            const struct sched_cost *cost)
{
    Covey__V1__PlacementCost *shown = message_new(&covey__v1__placement_cost__descriptor);
    if (!shown)
        return NULL;
    shown->nodes = cost->nodes;
    shown->levels = covey_calloc(cost->levels + 1, sizeof(Covey__V1__LevelCost *));
    for (uint32_t i = 0; shown->levels && i < cost->levels; i++) {
        Covey__V1__LevelCost *level = message_new(&covey__v1__level_cost__descriptor);
        if (level)
            shown->levels[shown->n_levels++] = level;
        if (!level || !message_set_string(&level->level, level_name(controller, i, cost->levels))) {
            message_free(shown);
            return NULL;
        }
        level->crossing_pairs = cost->crossing[i];
    }
    if (!shown->levels) {
        message_free(shown);
        return NULL;
    }
    return shown;
}
