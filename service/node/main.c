#include "base/fault.h"
#include "base/log.h"
#include "base/start.h"
#include "base/surroundings.h"
#include "service/node/node.h"

#include <signal.h>

int main(int argc, char **argv)
{
    struct node_options options;
    struct covey_error error = {0};
    covey_start();
    covey_log_init("covey-node");
    covey_log_keep_below(8 << 20);
    node_options_parse(&options, argc, argv);
    if (covey_fault_init(&error) != COVEY_OK || covey_surroundings_check(&error) != COVEY_OK) {
        log_error("%s", error.message);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    return node_run(&options);
}
