#!/usr/bin/python3
"""The JSON writer says what protobuf's own one says of the same bytes, but for the prefix of enums' values.

Messages are made at random (a fixed seed), and by hand where random does not go.
"""
import json
import math
import os
import random
import re
import struct
import subprocess
import unittest

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

BUILD = os.environ["COVEY_BUILD_DIR"]
DUMP = os.path.join(BUILD, "tests", "json_dump")
SETS = [os.path.join(BUILD, "proto", "covey.protoset"), os.path.join(BUILD, "tests", "client", "every.protoset")]


def load_pool():
    pool = descriptor_pool.DescriptorPool()
    seen = set()
    for path in SETS:
        descriptors = descriptor_pb2.FileDescriptorSet()
        with open(path, "rb") as file:
            descriptors.ParseFromString(file.read())
        for file in descriptors.file:
            if file.name not in seen:
                pool.Add(file)
                seen.add(file.name)
    return pool


POOL = load_pool()


def new(name):
    descriptor = POOL.FindMessageTypeByName(name)
    return message_factory.MessageFactory(POOL).GetPrototype(descriptor)()


def prefix_of(enum):
    # FlareState: FLARE_STATE_
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"


def strip(value, field):
    if field.enum_type and isinstance(value, str):
        prefix = prefix_of(field.enum_type)
        rest = value[len(prefix):]
        return rest if value.startswith(prefix) and rest and not rest[0].isdigit() else value
    if field.message_type and isinstance(value, dict):
        return strip_all(value, field.message_type)
    return value


def strip_all(value, descriptor):
    out = {}
    for name, inner in value.items():
        field = descriptor.fields_by_name[name]
        entry = field.message_type if field.message_type and field.message_type.GetOptions().map_entry else None
        if entry:
            out[name] = {key: strip(one, entry.fields_by_name["value"]) for key, one in inner.items()}
        elif isinstance(inner, list):
            out[name] = [strip(one, field) for one in inner]
        else:
            out[name] = strip(inner, field)
    return out


def expected(message):
    plain = json_format.MessageToDict(message, preserving_proto_field_name=True, including_default_value_fields=True)
    return strip_all(plain, message.DESCRIPTOR)


def written(name, messages):
    records = b"".join(struct.pack(">I", len(packed)) + packed for packed in (m.SerializeToString() for m in messages))
    done = subprocess.run([DUMP, name], input=records, capture_output=True, check=True)
    lines = done.stdout.decode("utf-8").split("\n")[:-1]
    assert len(lines) == len(messages), done
    return lines


class Maker:
    """Random messages: edge values as often as others."""

    NUMBERS = {
        "int32": [0, 1, -1, 2**31 - 1, -2**31], "uint32": [0, 1, 2**32 - 1],
        "int64": [0, 1, -1, 2**63 - 1, -2**63, 2**53 + 1], "uint64": [0, 1, 2**64 - 1, 2**53 + 1],
    }
    TEXTS = ["", "plain", "quote \" back \\ slash /", "new\nline\ttab\r\b\f", "\x01\x1f\x7f", "grüß dich ☃ 𝄞", "\u2028</script>", "\x9b31m\x80\x9f\xa0"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def value(self, field, depth):
        pick = self.random.choice
        kind = field.type
        if kind in (field.TYPE_INT32, field.TYPE_SINT32, field.TYPE_SFIXED32):
            return pick(self.NUMBERS["int32"])
        if kind in (field.TYPE_UINT32, field.TYPE_FIXED32):
            return pick(self.NUMBERS["uint32"])
        if kind in (field.TYPE_INT64, field.TYPE_SINT64, field.TYPE_SFIXED64):
            return pick(self.NUMBERS["int64"])
        if kind in (field.TYPE_UINT64, field.TYPE_FIXED64):
            return pick(self.NUMBERS["uint64"])
        if kind == field.TYPE_BOOL:
            return pick([True, False])
        if kind in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
            return pick([0.0, 1.5, -2.25, 1e10, math.inf, -math.inf, math.nan, 0.1])
        if kind == field.TYPE_STRING:
            return pick(self.TEXTS)
        if kind == field.TYPE_BYTES:
            return self.random.randbytes(self.random.randrange(8))
        if kind == field.TYPE_ENUM:
            return pick([value.number for value in field.enum_type.values] + [77])
        raise AssertionError(kind)

    def fill(self, message, depth=3):
        full_name = message.DESCRIPTOR.full_name
        if full_name == "google.protobuf.Timestamp":
            message.seconds = self.random.choice([0, 1, 1700000000, -62135596800, 253402300799])
            message.nanos = self.random.choice([0, 1, 1000, 500000000, 999999999])
            return message
        if full_name == "google.protobuf.Duration":
            sign = self.random.choice([1, -1])
            message.seconds = sign * self.random.choice([0, 3, 315575999999])
            message.nanos = sign * self.random.choice([0, 1, 1000, 500000000, 999999999])
            return message
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < 0.6:
                self.fill_field(message, field, depth)
        return message

    def fill_field(self, message, field, depth):
        count = self.random.randrange(3)
        if field.message_type and field.message_type.GetOptions().map_entry:
            key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
            for _ in range(count):
                at = self.value(key, depth)
                if value.message_type:
                    if depth > 0:
                        self.fill(getattr(message, field.name)[at], depth - 1)
                else:
                    getattr(message, field.name)[at] = self.value(value, depth)
        elif field.label == field.LABEL_REPEATED and field.message_type:
            for _ in range(count if depth > 0 else 0):
                self.fill(getattr(message, field.name).add(), depth - 1)
        elif field.label == field.LABEL_REPEATED:
            getattr(message, field.name).extend(self.value(field, depth) for _ in range(count))
        elif field.message_type:
            if depth > 0:
                getattr(message, field.name).SetInParent()
                self.fill(getattr(message, field.name), depth - 1)
        else:
            setattr(message, field.name, self.value(field, depth))


class Json(unittest.TestCase):
    maxDiff = 2000

    def compare(self, name, messages):
        for message, line in zip(messages, written(name, messages)):
            # NaN is a string in the mapping, so that two of them are equal.
            self.assertEqual(json.loads(line), expected(message))

    def test_random_messages_of_each_type(self):
        for name in ["covey.test.Every", "covey.v1.Flare", "covey.v1.Definition", "covey.v1.WatchFlareResponse",
                     "covey.v1.StreamResultsResponse", "covey.v1.AttachRequest"]:
            with self.subTest(type=name):
                maker = Maker(name)
                self.compare(name, [maker.fill(new(name)) for _ in range(100)])

    def test_nothing_that_controls_a_terminal_is_written(self):
        message = new("covey.v1.Flare")
        message.id = "a\x1b[31m\x7f\x9b31m\x85 \xa0\u20ac"
        (line,) = written("covey.v1.Flare", [message])
        self.assertEqual(json.loads(line)["id"], message.id)
        self.assertNotRegex(line.rstrip("\n"), "[\x00-\x1f\x7f-\x9f]")

    def test_empty_message_shows_its_defaults(self):
        self.compare("covey.test.Every", [new("covey.test.Every")])
        (line,) = written("covey.v1.Flare", [new("covey.v1.Flare")])
        self.assertEqual(json.loads(line)["state"], "UNSPECIFIED")
        self.assertNotIn("error", json.loads(line))

    def test_prefix_of_enum_values_is_stripped(self):
        message = new("covey.v1.Flare")
        message.state = 5
        message.options.placement = 4
        (line,) = written("covey.v1.Flare", [message])
        self.assertEqual(json.loads(line)["state"], "SUCCEEDED")
        self.assertEqual(json.loads(line)["options"]["placement"], "STRICT_SPREAD")

    def test_prefix_is_not_stripped_where_it_is_none_or_would_leave_no_name(self):
        message = new("covey.test.Every")
        message.many_colors.extend([0, 1, 2, 3, 4, 9])
        message.code = 200
        (line,) = written("covey.test.Every", [message])
        self.assertEqual(json.loads(line)["many_colors"], ["UNSPECIFIED", "RED", "DARK_BLUE", "GREEN", "COLOR_3D", 9])
        self.assertEqual(json.loads(line)["code"], "OK")

    def test_64_bit_integers_are_strings(self):
        message = new("covey.v1.WatchFlareResponse")
        message.event.sequence = 2**64 - 1
        (line,) = written("covey.v1.WatchFlareResponse", [message])
        self.assertEqual(json.loads(line)["event"]["sequence"], "18446744073709551615")

    def test_one_line_each(self):
        message = new("covey.test.Every")
        message.a_string = "two\nlines"
        self.assertEqual(len(written("covey.test.Every", [message, message])), 2)

    def test_times_out_of_range_are_refused(self):
        for seconds, nanos in [(253402300800, 0), (-62135596801, 0), (0, -1), (0, 10**9)]:
            message = new("covey.test.Every")
            message.at.seconds, message.at.nanos = seconds, nanos
            self.assertEqual(written("covey.test.Every", [message]), ["ERROR EINVAL"])
        for seconds, nanos in [(315576000001, 0), (1, -1), (-1, 1), (0, 10**9)]:
            message = new("covey.test.Every")
            message.took.seconds, message.took.nanos = seconds, nanos
            self.assertEqual(written("covey.test.Every", [message]), ["ERROR EINVAL"])


if __name__ == "__main__":
    unittest.main()
