/* What reads files, each behind one form. Shared by the test that spoils files and the fuzzers. */
#ifndef TESTS_UNIT_FILES_READERS_H
#define TESTS_UNIT_FILES_READERS_H

#include "covey/status.h"

enum covey_status reader_settings(const char *path, struct covey_error *error);
enum covey_status reader_tokens(const char *path, struct covey_error *error);
enum covey_status reader_token(const char *path, struct covey_error *error);
enum covey_status reader_trace(const char *path, struct covey_error *error);
enum covey_status reader_graph(const char *path, struct covey_error *error);

extern const char reader_settings_sound[];
extern const char reader_tokens_sound[];
extern const char reader_token_sound[];
extern const char reader_trace_sound[];
extern const char reader_graph_sound[];

#endif
