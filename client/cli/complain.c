/* What went wrong, said and told as an exit status. */
#include "client/cli/complain.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

const char *cli_name = "covey";

void cli_complain(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)covey_text_vprint(text, sizeof text, format, arguments);
    va_end(arguments);
    covey_text_tame(text); /* it may repeat what a peer has said */
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", cli_name, text);
}

int cli_exit_of(enum covey_status status)
{
    switch (status) {
    case COVEY_OK:
        return CLI_OK;
    case COVEY_EUNPLACEABLE:
        return CLI_UNPLACEABLE;
    case COVEY_EUNAVAILABLE:
        return CLI_UNREACHABLE;
    case COVEY_ETIMEOUT:
        return CLI_TIME_LIMIT;
    case COVEY_ECANCELLED:
        return CLI_CANCELLED;
    case COVEY_EINVAL:
    case COVEY_ENOTFOUND:
    case COVEY_EEXISTS:
    case COVEY_EACCES:
    case COVEY_EUNAUTHENTICATED:
    case COVEY_ELIMIT:
    case COVEY_EPRECONDITION:
    case COVEY_EVERSION:
    case COVEY_EUNIMPLEMENTED:
        return CLI_BAD_INPUT;
    default:
        return CLI_FAILED;
    }
}
