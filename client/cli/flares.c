#include "client/cli/flares.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "client/cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PAGE_FLARES 1000

enum column { ID, DEFINITION, WORKERS, NODES, STATE, AGE, DURATION, TENANT, WHY, COLUMNS };

static const char *const titles[COLUMNS] = {"FLARE", "DEFINITION", "WORKERS", "NODES", "STATE",
                                            "AGE",   "DURATION",   "TENANT",  "WHY"};

enum key { BY_AGE, BY_DURATION, BY_WORKERS, BY_NODES, BY_STATE, BY_DEFINITION, BY_TENANT };

const char *const cli_flares_keys[] = {"age",   "duration",   "workers", "nodes",
                                       "state", "definition", "tenant",  NULL};

unsigned cli_terminal_width(void)
{
    struct winsize size;
    bool known = isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    return known ? size.ws_col : 0;
}

/* ---- fetching ---- */

static enum covey_status add_page(struct cli_flares *flares, struct covey_flare_list *take_page,
                                  uint32_t limit)
{
    struct covey_flare_list **pages = covey_reallocarray(flares->pages, flares->page_count + 1,
                                                         sizeof(struct covey_flare_list *));
    if (pages)
        flares->pages = pages;
    const struct covey_flare **rows = covey_reallocarray(
        flares->rows, flares->count + take_page->count + 1, sizeof(struct covey_flare *));
    if (rows)
        flares->rows = rows;
    if (!pages || !rows) {
        covey_flare_list_free(take_page);
        return COVEY_ENOMEM;
    }
    pages[flares->page_count++] = take_page;
    for (size_t i = 0; i < take_page->count && flares->count < limit; i++)
        rows[flares->count++] = &take_page->flares[i];
    return COVEY_OK;
}

enum covey_status cli_flares_fetch(struct covey_client *client, struct covey_flare_filter *filter,
                                   uint32_t limit, struct cli_flares *flares,
                                   struct covey_error *error)
{
    do {
        struct covey_flare_list *page;
        uint32_t left = limit - (uint32_t)flares->count;
        filter->page_size = left < PAGE_FLARES ? left : PAGE_FLARES;
        enum covey_status status = covey_client_list_flares(client, filter, 0, &page, error);
        if (status)
            return status;
        filter->page_token = page->next_page_token; /* the page stays */
        if (add_page(flares, page, limit) != COVEY_OK)
            return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    } while (*filter->page_token && flares->count < limit);
    return COVEY_OK;
}

void cli_flares_free(struct cli_flares *flares)
{
    for (size_t i = 0; i < flares->page_count; i++)
        covey_flare_list_free(flares->pages[i]);
    free(flares->pages);
    free(flares->rows);
}

/* ---- what a flare is in each respect ---- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * COVEY_NS_PER_S + now.tv_nsec;
}

static int64_t age_of(const struct covey_flare *flare, int64_t now)
{
    int64_t age_ns = now - flare->timeline.accepted_at_ns;
    return age_ns > 0 ? age_ns : 0;
}

/* -1: it has not started. */
static int64_t duration_of(const struct covey_flare *flare, int64_t now)
{
    if (flare->timeline.started_at_ns == 0)
        return -1;
    int64_t until_ns = flare->timeline.ended_at_ns ? flare->timeline.ended_at_ns : now;
    int64_t duration_ns = until_ns - flare->timeline.started_at_ns;
    return duration_ns > 0 ? duration_ns : 0;
}

static uint32_t nodes_of(const struct covey_flare *flare)
{
    uint32_t nodes = 0;
    for (size_t i = 0; i < flare->pack_count; i++) /* packs of a node are neighbours */
        nodes += i == 0 || strcmp(flare->packs[i].node, flare->packs[i - 1].node) != 0;
    return nodes;
}

/* ---- order ---- */

static int64_t number_of(const struct covey_flare *flare, enum key key)
{
    switch (key) {
    case BY_AGE:
        return flare->timeline.accepted_at_ns; /* the youngest first */
    case BY_DURATION:
        return duration_of(flare, now_ns());
    case BY_WORKERS:
        return flare->workers_total;
    case BY_NODES:
        return nodes_of(flare);
    default:
        return -(int64_t)flare->state;
    }
}

static int compare(const void *left, const void *right, void *data)
{
    const struct covey_flare *a = *(const struct covey_flare *const *)left;
    const struct covey_flare *b = *(const struct covey_flare *const *)right;
    enum key key = *(const enum key *)data;
    int order = 0;
    if (key == BY_DEFINITION || key == BY_TENANT) {
        order =
            key == BY_TENANT ? strcmp(a->tenant, b->tenant) : strcmp(a->definition, b->definition);
    } else {
        int64_t x = number_of(a, key);
        int64_t y = number_of(b, key);
        order = x < y ? 1 : x > y ? -1 : 0;
    }
    return order ? order : strcmp(b->id, a->id); /* newest first */
}

void cli_flares_sort(struct cli_flares *flares, int key)
{
    enum key by = (enum key)key;
    if (flares->count)
        qsort_r(flares->rows, flares->count, sizeof(struct covey_flare *), compare, &by);
}

/* ---- the table ---- */

struct row {
    const char *cells[COLUMNS];
    char workers[12], nodes[12], state[32];
    char age[CLI_TEXT_BYTES], duration[CLI_TEXT_BYTES];
};

static void fill(struct row *row, const struct covey_flare *flare)
{
    int64_t now = now_ns();
    int64_t duration_ns = duration_of(flare, now);
    uint32_t nodes = nodes_of(flare);
    snprintf(row->workers, sizeof row->workers, "%" PRIu32, flare->workers_total);
    snprintf(row->nodes, sizeof row->nodes, "%" PRIu32, nodes);
    snprintf(row->state, sizeof row->state, "%s",
             cli_lowercase(covey_flare_state_name(flare->state)));
    cli_rough_text(row->age, age_of(flare, now));
    if (duration_ns >= 0)
        cli_duration_text(row->duration, duration_ns);
    row->cells[ID] = flare->id;
    row->cells[DEFINITION] = flare->definition;
    row->cells[WORKERS] = row->workers;
    row->cells[NODES] = nodes ? row->nodes : "-";
    row->cells[STATE] = row->state;
    row->cells[AGE] = row->age;
    row->cells[DURATION] = duration_ns >= 0 ? row->duration : "-";
    row->cells[TENANT] = flare->tenant;
    row->cells[WHY] = flare->error ? flare->error->message : flare->pending_reason;
}

/* Whether it is of interest whose flares these are: not where all are one's own. */
static bool has_others(const struct cli_flares *flares)
{
    char own[32];
    snprintf(own, sizeof own, "uid:%u", (unsigned)geteuid());
    for (size_t i = 0; i < flares->count; i++)
        if (strcmp(flares->rows[i]->tenant, own) != 0)
            return true;
    return false;
}

static void print_row(const char *const cells[COLUMNS], const int widths[COLUMNS], int left)
{
    for (int i = 0; i < WHY; i++) {
        bool is_number = i == WORKERS || i == NODES || i == AGE || i == DURATION;
        if (widths[i])
            printf("%*s  ", is_number ? widths[i] : -widths[i], cells[i]);
    }
    int length = (int)strlen(cells[WHY]);
    if (left < 0 || length <= left)
        printf("%s\n", cells[WHY]);
    else if (left > 3)
        printf("%.*s...\n", covey_text_fit(cells[WHY], (size_t)left - 3), cells[WHY]);
    else
        printf("\n");
}

void cli_flares_print(const struct cli_flares *flares)
{
    int widths[COLUMNS] = {0};
    bool others = has_others(flares);
    for (int i = 0; i < WHY; i++)
        widths[i] = (int)strlen(titles[i]);
    for (size_t k = 0; k < flares->count; k++) {
        struct row row;
        fill(&row, flares->rows[k]);
        for (int i = 0; i < WHY; i++)
            if ((int)strlen(row.cells[i]) > widths[i])
                widths[i] = (int)strlen(row.cells[i]);
    }
    if (!others)
        widths[TENANT] = 0;
    int left = (int)cli_terminal_width();
    for (int i = 0; i < WHY && left; i++)
        left -= widths[i] ? widths[i] + 2 : 0;
    if (cli_terminal_width() == 0)
        left = -1;
    else if (left < 0)
        left = 0;
    print_row(titles, widths, left);
    for (size_t k = 0; k < flares->count; k++) {
        struct row row;
        fill(&row, flares->rows[k]);
        print_row(row.cells, widths, left);
    }
}
