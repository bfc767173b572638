#include "bench/messages/compare.h"

#include "bench/messages/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { name_bytes = 256 };

const char *const verdict_names[] = {"same", "better", "worse"};

enum verdict compare_spans(const struct span *before, const struct span *now, bool more)
{
    if (now->p10 <= before->p90 && before->p10 <= now->p90)
        return VERDICT_SAME;
    return (now->median > before->median) == more ? VERDICT_BETTER : VERDICT_WORSE;
}

static bool is_row(const char *line, const char *name, const char *peer)
{
    char text[name_bytes];
    if (!json_string(line, "name", text, sizeof(text)) || strcmp(text, name) != 0)
        return false;
    if (!json_string(line, "peer", text, sizeof(text)))
        text[0] = 0;
    return strcmp(text, peer) == 0;
}

static int read_past(const char *line, struct past *past)
{
    struct past read = {.valid = json_true(line, "valid")};
    if (!json_number(line, "value", &read.value.median) ||
        !json_number(line, "spread.p10", &read.value.p10) ||
        !json_number(line, "spread.p90", &read.value.p90))
        return -1;
    if (!json_number(line, "ratio.median", &read.ratio.median) ||
        !json_number(line, "ratio.p10", &read.ratio.p10) ||
        !json_number(line, "ratio.p90", &read.ratio.p90))
        read.ratio = (struct span){0};
    *past = read;
    return 0;
}

int compare_find(const char *path, const char *name, const char *peer, struct past *past)
{
    char *line = NULL;
    size_t size = 0;
    int found = 0;
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "covey-bench: cannot read %s: %s\n", path, strerror(errno));
        return -1;
    }
    for (int number = 1; found >= 0 && getline(&line, &size, file) >= 0; number++) {
        bool wanted = is_row(line, name, peer);
        if (!json_is_object(line) || (wanted && read_past(line, past))) {
            fprintf(stderr, "covey-bench: line %d of %s is no row of covey-bench --json\n", number,
                    path);
            found = -1;
        } else if (wanted) {
            found = 1;
        }
    }
    free(line);
    fclose(file);
    return found;
}
