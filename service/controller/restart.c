/* Starting a whole gang again that lost a node, or has to leave one, as often as its user allows.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdlib.h>

/* A failure that came before its cause was known may still give way to it, while nobody was told to
 * stop. */
static bool may_restart(const struct flare *flare, const failure_message *failure)
{
    if (flare->view->restarts >= flare->view->options->max_restarts)
        return false;
    return flare->state == FLARE_RUNNING ||
           (flare->state == FLARE_ENDING && flare->stop_at_ns != COVEY_NEVER_NS &&
            ending_is_behind(flare, failure));
}

bool restart_begin(struct controller *controller, struct flare *flare,
                   const failure_message *failure)
{
    if (!may_restart(flare, failure))
        return false;
    char text[COVEY_ERROR_MESSAGE_BYTES];
    (void)covey_text_print(text, sizeof text, "%.*s: all of it is started again, restart %u of %u",
                           covey_text_fit(failure->message, 400), failure->message,
                           flare->view->restarts + 1, flare->view->options->max_restarts);
    if (!flare_must(controller, flare, FLARE_EVENT_RESTARTING, NULL, text))
        return false;
    message_free(flare->cause);
    flare->cause = NULL;
    flare->limit_at_ns = COVEY_NEVER_NS;
    free(flare->stop_reason);
    flare->stop_reason = covey_strdup(text);
    ending_stop(controller, flare,
                flare->notice_ns ? flare->notice_ns : controller->limits.stop_grace_ns);
    flare->notice_ns = 0;
    return true;
}

void restart_or_fail(struct controller *controller, struct flare *flare,
                     const failure_message *failure, const struct share *lost)
{
    if (flare->state == FLARE_PREPARING) {
        gang_roll_back(controller, flare, failure, false);
        return;
    }
    if (restart_begin(controller, flare, failure))
        return;
    uint32_t restarts = flare->view->restarts;
    if (restarts == 0 || flare->state != FLARE_RUNNING) {
        ending_begin(controller, flare, FLARE_EVENT_FAILING, failure, lost);
        return;
    }
    char text[COVEY_ERROR_MESSAGE_BYTES];
    (void)covey_text_print(text, sizeof text, "%.*s, and it was started again %u time%s already",
                           covey_text_fit(failure->message, 400), failure->message, restarts,
                           restarts == 1 ? "" : "s");
    failure_message last = *failure;
    last.message = text;
    ending_begin(controller, flare, FLARE_EVENT_FAILING, &last, lost);
}

void restart_or_cancel(struct controller *controller, struct flare *flare,
                       const failure_message *failure, int64_t notice_ns)
{
    if (flare->state == FLARE_PREPARING) {
        gang_roll_back(controller, flare, failure, false);
        return;
    }
    flare->notice_ns = notice_ns;
    if (restart_begin(controller, flare, failure))
        return;
    failure_message cancelled = *failure;
    cancelled.status = (char *)(uintptr_t) "ECANCELLED";
    ending_begin(controller, flare, FLARE_EVENT_CANCELLING, &cancelled, NULL);
}

/* Its peers' deaths end workers of user code, often before the grace of their node is over. */
bool restart_for_lost_node(struct controller *controller, struct flare *flare,
                           const failure_message *failure)
{
    for (uint32_t i = 0; i < flare->share_count; i++) {
        const struct share *share = &flare->shares[i];
        if (share->state == SHARE_GONE || share->node->link)
            continue;
        char text[COVEY_ERROR_MESSAGE_BYTES];
        (void)covey_text_print(text, sizeof text, "node %s was lost, and then %s",
                               share->node->name, failure->message);
        failure_message lost = *failure;
        lost.status = (char *)(uintptr_t) "ENODE";
        lost.message = text;
        lost.node = share->node->name;
        lost.rank = -1;
        return restart_begin(controller, flare, &lost);
    }
    return false;
}
