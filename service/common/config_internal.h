/* What the files of the configuration share. */
#ifndef SERVICE_COMMON_CONFIG_INTERNAL_H
#define SERVICE_COMMON_CONFIG_INTERNAL_H

#include "service/common/config.h"

/* Sets an option from one text, or a list from several. where is put before the message. */
enum covey_status config_set(const struct config_option *option, void *settings, char *const *texts,
                             size_t count, const char *where, struct covey_error *error);

/* Reads a YAML file into the settings. */
enum covey_status config_read_file(const struct config_program *program, const char *path,
                                   void *settings, struct covey_error *error);

/* "state-dir" as "state_dir" or, upper and with the prefix, as "COVEY_STATE_DIR". */
void config_key(const struct config_option *option, char *key, size_t size_bytes);
void config_variable(const struct config_option *option, char *variable, size_t size_bytes);

#endif
