#include "client/cli/ids.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"
#include "client/cli/paths.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ID_LENGTH  26
#define CANDIDATES 5

/* The file that holds it; false where there is no place for one. */
static bool last_path(char path[PATH_MAX])
{
    const char *folder = cli_path_state();
    int length = folder ? snprintf(path, PATH_MAX, "%s/last-flare", folder) : -1;
    return length > 0 && length < PATH_MAX;
}

void cli_id_remember(const char *id)
{
    char path[PATH_MAX];
    if (last_path(path) && covey_make_dirs(cli_path_state(), 0700, NULL) == COVEY_OK)
        (void)!covey_file_write(path, id, strlen(id), 0600, NULL);
}

static enum covey_status find_last(char id[CLI_ID_BYTES], struct covey_error *error)
{
    char path[PATH_MAX];
    struct covey_buffer text = {0};
    enum covey_status status =
        last_path(path) ? covey_file_read(path, CLI_ID_BYTES - 1, &text, NULL) : COVEY_ENOTFOUND;
    if (!status && text.length_bytes != ID_LENGTH)
        status = COVEY_ENOTFOUND;
    if (status)
        covey_error_set(error, COVEY_ENOTFOUND,
                        "no flare has been submitted from here: covey ps lists those there are");
    else
        snprintf(id, CLI_ID_BYTES, "%.*s", ID_LENGTH, (const char *)text.data);
    covey_buffer_free(&text);
    return status ? COVEY_ENOTFOUND : COVEY_OK;
}

/* The flares whose ids begin alike. */
struct alike {
    size_t count;
    char first[CLI_ID_BYTES];
    char names[CANDIDATES * 100];
    size_t used_bytes;
};

static void note(struct alike *alike, const struct covey_flare *flare)
{
    if (alike->count == 0)
        snprintf(alike->first, sizeof alike->first, "%s", flare->id);
    if (alike->count < CANDIDATES)
        alike->used_bytes += covey_text_print(
            alike->names + alike->used_bytes, sizeof alike->names - alike->used_bytes, "%s%s (%s)",
            alike->count ? ", " : "", flare->id, flare->definition);
    alike->count++;
}

/* Page by page, until there are more than can be named. */
static enum covey_status list_alike(struct covey_client *client, const char *prefix,
                                    struct alike *alike, struct covey_error *error)
{
    char token[CLI_ID_BYTES] = "";
    do {
        const struct covey_flare_filter filter = {
            .id_prefix = prefix, .page_size = CANDIDATES + 1, .page_token = token};
        struct covey_flare_list *list;
        enum covey_status status = covey_client_list_flares(client, &filter, 0, &list, error);
        if (status)
            return status;
        for (size_t i = 0; i < list->count; i++)
            note(alike, &list->flares[i]);
        snprintf(token, sizeof token, "%s", list->next_page_token);
        covey_flare_list_free(list);
    } while (*token && alike->count <= CANDIDATES);
    return COVEY_OK;
}

static enum covey_status find_prefix(struct covey_client *client, const char *text,
                                     char id[CLI_ID_BYTES], struct covey_error *error)
{
    char prefix[CLI_ID_BYTES];
    struct alike alike = {0};
    size_t length = strlen(text);
    for (size_t i = 0; i <= length; i++)
        prefix[i] = (char)toupper((unsigned char)text[i]);
    enum covey_status status = list_alike(client, prefix, &alike, error);
    if (status)
        return status;
    if (alike.count == 0)
        return covey_error_set(error, COVEY_ENOTFOUND, "no flare has an id that begins with %s",
                               text);
    if (alike.count > 1)
        return covey_error_set(error, COVEY_EINVAL,
                               "several flares have ids that begin with %s: %s%s", text,
                               alike.names, alike.count > CANDIDATES ? " and more" : "");
    memcpy(id, alike.first, CLI_ID_BYTES);
    return COVEY_OK;
}

enum covey_status cli_id_find(struct covey_client *client, const char *text, char id[CLI_ID_BYTES],
                              struct covey_error *error)
{
    if (strcmp(text, "@last") == 0)
        return find_last(id, error);
    size_t length = strlen(text);
    bool is_word = length > 0 && length < ID_LENGTH;
    for (size_t i = 0; i < length; i++)
        is_word = is_word && isalnum((unsigned char)text[i]);
    if (is_word)
        return find_prefix(client, text, id, error);
    if (length >= CLI_ID_BYTES)
        return covey_error_set(error, COVEY_ENOTFOUND,
                               "\"%.*s...\" is no flare's id: it is too long",
                               covey_text_fit(text, 32), text);
    snprintf(id, CLI_ID_BYTES, "%s", text); /* whole, or the controller says what is wrong */
    return COVEY_OK;
}

int cli_id_find_or_fail(struct covey_client *client, const char *text, char id[CLI_ID_BYTES])
{
    struct covey_error error = {0};
    return cli_id_find(client, text, id, &error) ? cli_fail(&error) : CLI_OK;
}
