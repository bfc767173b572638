/* covey-host RUNTIME_FOLDER SOCKET_NAME: started by covey-node only, with its listening socket on
 * descriptor 3. */
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "base/start.h"
#include "service/host/host.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* UCX ends the process where it finds a state that it does not know, as after the death of a peer
 * in the middle of a wire-up. It says which on standard error, and nothing to us. */
static void on_abort(int signal_number)
{
    static const char words[] = "it gave up by abort(), for a reason of the network library or its "
                                "own that is in the node's log";
    if (lseek(LOCAL_WORDS_FD, 0, SEEK_SET) == 0)
        (void)!write(LOCAL_WORDS_FD, words, sizeof(words));
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

int main(int argc, char **argv)
{
    struct covey_error error = {0};
    struct rlimit core = {0, 0};
    covey_start();
    covey_log_init("covey-host");
    covey_log_keep_error(LOCAL_WORDS_FD);
    if (argc != 3) {
        (void)fprintf(stderr, "covey-host is started by covey-node, not by hand\n");
        return 2;
    }
    if (covey_fault_init(&error) != COVEY_OK) {
        log_error("%s", error.message);
        return 2;
    }
    (void)setrlimit(RLIMIT_CORE, &core);
    covey_raise_fd_limit(); /* two connections for each node of its flare */
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    /* A Ctrl-C at the terminal is the agent's to answer. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGABRT, on_abort);
    return host_run(argv[1], argv[2]);
}
