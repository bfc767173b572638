/* Verbs that take one word, or a few, beside the common options. */
#ifndef CLI_SIMPLE_H
#define CLI_SIMPLE_H

#include "client/cli/cli.h"

#include <stddef.h>

#define CLI_MAX_WORDS 64

struct cli_words {
    struct cli_common common;
    char *words[CLI_MAX_WORDS];
    size_t count;
};

/* Parses words and common options; between least and most words, or the program ends with a
 * message. args_doc and doc are as argp has them. */
void cli_parse_words(int argc, char **argv, const char *args_doc, const char *doc, size_t least,
                     size_t most, struct cli_words *words);

#endif
