#include "bench/messages/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { deepest = 32 };

static const char *skip_space(const char *text)
{
    return text + strspn(text, " \t\r\n");
}

/* Each of these returns what comes behind it, or NULL where it is not there. */

static const char *skip_string(const char *text)
{
    if (*text++ != '"')
        return NULL;
    for (; *text != '"'; text++) {
        if (*text == '\\')
            text++;
        if ((unsigned char)*text < ' ')
            return NULL;
    }
    return text + 1;
}

static const char *skip_number(const char *text)
{
    char *end;
    if (*text != '-' && (*text < '0' || *text > '9'))
        return NULL;
    return isfinite(strtod(text, &end)) && end > text ? end : NULL;
}

static const char *skip_word(const char *text)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return text + strlen(words[i]);
    }
    return NULL;
}

static const char *skip_value(const char *text, int depth);

/* "name": and the space behind it. */
static const char *skip_name(const char *text)
{
    text = skip_string(text);
    if (!text || *(text = skip_space(text)) != ':')
        return NULL;
    return skip_space(text + 1);
}

static const char *skip_members(const char *text, char close, int depth)
{
    text = skip_space(text + 1);
    if (*text == close)
        return text + 1;
    for (;;) {
        if (close == '}')
            text = skip_name(text);
        text = text ? skip_value(text, depth + 1) : NULL;
        if (!text)
            return NULL;
        text = skip_space(text);
        if (*text == close)
            return text + 1;
        if (*text != ',')
            return NULL;
        text = skip_space(text + 1);
    }
}

static const char *skip_value(const char *text, int depth)
{
    if (depth > deepest)
        return NULL;
    switch (*text) {
    case '{':
        return skip_members(text, '}', depth);
    case '[':
        return skip_members(text, ']', depth);
    case '"':
        return skip_string(text);
    case 't':
    case 'f':
    case 'n':
        return skip_word(text);
    default:
        return skip_number(text);
    }
}

bool json_is_object(const char *text)
{
    text = skip_space(text);
    const char *end = *text == '{' ? skip_value(text, 0) : NULL;
    return end && *skip_space(end) == 0;
}

/* The value of a member of an object that is one. */
static const char *member(const char *object, const char *name, size_t length)
{
    const char *next = skip_space(object);
    if (*next != '{')
        return NULL;
    next = skip_space(next + 1);
    while (next && *next == '"') {
        const char *value = skip_name(next);
        if (strncmp(next + 1, name, length) == 0 && next[1 + length] == '"')
            return value;
        next = value ? skip_value(value, 0) : NULL;
        next = next ? skip_space(next) : NULL;
        if (next && *next == ',')
            next = skip_space(next + 1);
    }
    return NULL;
}

static const char *find(const char *object, const char *path)
{
    const char *value = json_is_object(object) ? object : NULL;
    while (value && *path) {
        size_t length = strcspn(path, ".");
        value = member(value, path, length);
        path += length + (path[length] == '.');
    }
    return value;
}

bool json_number(const char *object, const char *path, double *value)
{
    const char *text = find(object, path);
    if (!text || !skip_number(text))
        return false;
    *value = strtod(text, NULL);
    return true;
}

bool json_true(const char *object, const char *path)
{
    const char *text = find(object, path);
    return text && *text == 't';
}

bool json_string(const char *object, const char *path, char *text, size_t size)
{
    const char *value = find(object, path);
    const char *end = value ? skip_string(value) : NULL;
    if (!end)
        return false;
    size_t length = (size_t)(end - value) - 2;
    if (length >= size || memchr(value + 1, '\\', length))
        return false;
    memcpy(text, value + 1, length);
    text[length] = 0;
    return true;
}
