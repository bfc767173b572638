#include "tests/unit/files/readers.h"

#include "base/buffer.h"
#include "base/error.h"
#include "bench/sim/text.h"
#include "bench/sim/trace.h"
#include "examples/pagerank/graph.h"
#include "service/common/config.h"
#include "service/controller/identity.h"

#include <stdlib.h>

const char reader_settings_sound[] = "# of a cluster\n"
                                     "name: \"a\\tb\"\n"
                                     "rows: [one, 'two']\n"
                                     "number: 17\n"
                                     "bytes: 2GiB\n"
                                     "time: 250ms\n";

struct settings {
    char *name;
    struct config_strings rows;
    uint64_t number;
    uint64_t bytes;
    int64_t time_ns;
};

#define AT(field) offsetof(struct settings, field)

static const struct config_option options[] = {
    {"config", CONFIG_STRING, AT(name), 0, 0, "FILE", "the file"},
    {"name", CONFIG_STRING, AT(name), 0, 0, "TEXT", "a text"},
    {"rows", CONFIG_STRINGS, AT(rows), 0, 0, "TEXT", "texts"},
    {"number", CONFIG_NUMBER, AT(number), 1, 100, "N", "a number"},
    {"bytes", CONFIG_BYTES, AT(bytes), 1, UINT64_MAX, "SIZE", "a size"},
    {"time", CONFIG_DURATION, AT(time_ns), 1, INT64_MAX, "TIME", "a time"},
};

enum covey_status reader_settings(const char *path, struct covey_error *error)
{
    static const struct config_program program = {"test", "Tests.", NULL, options,
                                                  sizeof options / sizeof *options};
    struct settings settings = {0};
    char name[] = "test";
    char flag[] = "--config";
    char *arguments[] = {name, flag, (char *)(uintptr_t)path, NULL};
    enum covey_status status = config_load(&program, 3, arguments, &settings, error);
    config_free(&program, &settings);
    return status;
}

const char reader_tokens_sound[] = "# who may do what\n"
                                   "b2f0cd12 physics user\n"
                                   "cert:alice chemistry operator # by certificate\n";

enum covey_status reader_tokens(const char *path, struct covey_error *error)
{
    struct tokens *tokens = NULL;
    enum covey_status status = tokens_load(path, NULL, &tokens, error);
    tokens_free(tokens);
    return status;
}

const char reader_token_sound[] = "b2f0cd12\n";

enum covey_status reader_token(const char *path, struct covey_error *error)
{
    char *token = NULL;
    enum covey_status status = token_file_read(path, &token, error);
    free(token);
    return status;
}

const char reader_trace_sound[] = "; UnixStartTime: 800000000\n"
                                  "; MaxNodes: 1,024\n"
                                  "; MaxProcs: UNKNOWN\n"
                                  "1 0 5 100 4 -1 -1 4 120 -1 1 3 1 -1 1 -1 -1 -1\n"
                                  "2 800000100 1 50.5 2 -1 -1 2 -1 -1 1 4 1 -1 1 -1 -1 -1 7 8\n";

enum covey_status reader_trace(const char *path, struct covey_error *error)
{
    struct covey_buffer text = {0};
    struct sim_trace trace = {0};
    enum covey_status status = sim_text_read(path, 1 << 20, &text, error);
    if (!status)
        status = sim_swf_read(path, (const char *)text.data, text.length_bytes, &trace, error);
    sim_trace_free(&trace);
    covey_buffer_free(&text);
    return status;
}

const char reader_graph_sound[] = "nodes 3 edges 4\n"
                                  "one\n"
                                  "two\n"
                                  "three\n"
                                  "0 1\n"
                                  "1 2\n"
                                  "2 0\n"
                                  "2 1\n";

enum covey_status reader_graph(const char *path, struct covey_error *error)
{
    struct graph graph;
    const char *why = graph_read(path, 0, 2, &graph);
    graph_free(&graph);
    return why ? covey_error_set(error, COVEY_EINVAL, "%s", why) : COVEY_OK;
}
