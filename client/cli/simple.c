#include "client/cli/simple.h"

#include <string.h>

struct parse {
    struct cli_words *words;
    size_t least;
    size_t most;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct parse *parse = state->input;
    struct cli_words *words = parse->words;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &words->common;
        return 0;
    case ARGP_KEY_ARG:
        if (words->count == parse->most)
            argp_error(state, "\"%s\" is one argument too many", argument);
        words->words[words->count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (words->count < parse->least)
            argp_error(state, "an argument is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void cli_parse_words(int argc, char **argv, const char *args_doc, const char *doc, size_t least,
                     size_t most, struct cli_words *words)
{
    const struct argp_child children[] = {{&cli_common_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {.parser = parse_option,
                              .args_doc = *args_doc ? args_doc : NULL,
                              .doc = doc,
                              .children = children};
    struct parse parse = {words, least, most};
    memset(words, 0, sizeof *words);
    argp_parse(&argp, argc, argv, 0, NULL, &parse);
}
