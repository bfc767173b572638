#include "tests/component/node/behave.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct covey_ctx *ctx;
    if (covey_attach(&ctx) != COVEY_OK)
        return 99;
    printf("program with %d arguments, last %s\n", argc - 1, argv[argc - 1]);
    int status = behave(ctx);
    covey_detach(ctx);
    return status;
}
