/* The user's configuration: $XDG_CONFIG_HOME/covey/config.yaml, else ~/.config/covey/config.yaml.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "covey/status.h"

#include <stdbool.h>

struct cli_config {
    char *server;
    char *token;
    char *ca_file;
    char *certificate_file;
    char *key_file;
    bool tls;
};

/* Reads it once; without a file all is empty. *config is static. EINVAL, with the line, where it is
 * malformed or has a key that there is not; EACCES. */
enum covey_status cli_config_read(const struct cli_config **config,
                                  struct covey_error *error) COVEY_MUST_USE;

#endif
