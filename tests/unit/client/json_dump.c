/* Prints messages as JSON: json_dump TYPE < records, each a length of 4 bytes (big-endian) and a
 * packed message. One line each; "ERROR name" where one cannot be written. */
#include "base/io.h"
#include "client/json.h"
#include "covey/v1/covey.pb-c.h"
#include "covey/v1/node.pb-c.h"
#include "every.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ProtobufCMessageDescriptor *const types[] = {
    &covey__test__every__descriptor,
    &covey__v1__flare__descriptor,
    &covey__v1__definition__descriptor,
    &covey__v1__watch_flare_response__descriptor,
    &covey__v1__stream_results_response__descriptor,
    &covey__v1__attach_request__descriptor,
};

static int dump(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t length)
{
    struct covey_buffer text = {0};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, length, bytes);
    if (!message)
        return 1;
    enum covey_status status = client_json_message(&text, message);
    if (status)
        printf("ERROR %s\n", covey_status_name(status));
    else
        printf("%.*s\n", (int)text.length_bytes, (const char *)text.data);
    covey_buffer_free(&text);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    const ProtobufCMessageDescriptor *type = NULL;
    uint8_t head[4];
    for (size_t i = 0; argc == 2 && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i]->name, argv[1]) == 0)
            type = types[i];
    if (!type)
        return 2;
    while (covey_read_full(0, head, sizeof head) == COVEY_OK) {
        size_t length =
            (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        uint8_t *bytes = malloc(length + 1);
        if (!bytes || (length && covey_read_full(0, bytes, length)))
            return 1;
        int failed = dump(type, bytes, length);
        free(bytes);
        if (failed)
            return 1;
    }
    return 0;
}
