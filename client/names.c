#include "client/json.h"
#include "covey/client.h"
#include "covey/v1/covey.pb-c.h"
#include "covey/v1/types.pb-c.h"

static const char *name_of(const ProtobufCEnumDescriptor *descriptor, int value)
{
    const char *name = client_json_enum_name(descriptor, value);
    return name ? name : "UNKNOWN";
}

const char *covey_flare_state_name(enum covey_flare_state state)
{
    return name_of(&covey__v1__flare_state__descriptor, (int)state);
}

const char *covey_worker_state_name(enum covey_worker_state state)
{
    return name_of(&covey__v1__worker_state__descriptor, (int)state);
}

const char *covey_node_state_name(enum covey_node_state state)
{
    return name_of(&covey__v1__node_state__descriptor, (int)state);
}

const char *covey_reason_kind_name(enum covey_reason_kind kind)
{
    return name_of(&covey__v1__reason_kind__descriptor, (int)kind);
}

const char *covey_code_kind_name(enum covey_code_kind kind)
{
    return name_of(&covey__v1__code_kind__descriptor, (int)kind);
}

bool covey_flare_state_ended(enum covey_flare_state state)
{
    return state == COVEY_FLARE_SUCCEEDED || state == COVEY_FLARE_FAILED ||
           state == COVEY_FLARE_CANCELLED || state == COVEY_FLARE_TIMED_OUT;
}

const char *covey_client_version(void)
{
    return COVEY_VERSION;
}
