#include "client/cli/quote.h"

enum covey_status cli_quote(struct covey_buffer *out, const char *text)
{
    enum covey_status status = covey_buffer_append(out, "\"", 1);
    for (; !status && *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f)
            status = covey_buffer_printf(out, "\\u%04x", byte);
        else
            status = covey_buffer_append(out, text, 1);
    }
    return status ? status : covey_buffer_append(out, "\"", 1);
}
