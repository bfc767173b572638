/* What coveyd can be told; docs/configuration.md describes each. */
#ifndef SERVICE_CONTROLLER_SETTINGS_H
#define SERVICE_CONTROLLER_SETTINGS_H

#include "service/common/config.h"
#include "service/controller/controller.h"
#include "service/controller/socket.h"

struct settings {
    struct config_strings listen;
    struct config_strings topology;
    char *state_dir;
    char *socket_mode;
    char *socket_group;
    struct socket_access socket_access; /* what these two say */
    char *tls_cert;
    char *tls_key;
    char *tls_ca;
    char *join_token_file;
    char *tokens_file;
    char *tenants_file;
    char *log_level;
    uint64_t insecure; /* plaintext beyond this machine */
    uint64_t ready_fd; /* 0: none */
    uint64_t lifeline_fd;
    struct controller_limits limits;
};

extern const struct config_program settings_program;

/* Defaults, then file, environment and flags. */
enum covey_status settings_load(int argc, char **argv, struct settings *settings,
                                struct covey_error *error) COVEY_MUST_USE;
void settings_free(struct settings *settings);

#endif
