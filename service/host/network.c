#include "base/error.h"
#include "service/host/host.h"

enum covey_status host_network_warm(struct host *host, struct covey_error *error)
{
    (void)host;
    (void)error;
    return COVEY_OK;
}

enum covey_status host_network_open(struct host *host, const Covey__V1__HostPrepare *prepare,
                                    struct covey_error *error)
{
    (void)host;
    (void)prepare;
    return covey_error_set(error, COVEY_EUNIMPLEMENTED, "no network yet");
}

enum covey_status host_network_start(struct host *host, const Covey__V1__HostStart *start,
                                     struct covey_error *error)
{
    (void)host;
    (void)start;
    return covey_error_set(error, COVEY_EUNIMPLEMENTED, "no network yet");
}
