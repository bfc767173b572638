#!/usr/bin/python3
"""An outside client, Debian's grpcio, against our server."""

import queue
import sys
import threading
import unittest

sys.dont_write_bytecode = True
import outside  # noqa: E402
import grpc  # noqa: E402

outside.make_stubs()
import echo_pb2  # noqa: E402  (made just now)
import health_pb2  # noqa: E402
import reflection_v1_pb2  # noqa: E402
import reflection_v1alpha_pb2  # noqa: E402
from google.protobuf import descriptor_pb2  # noqa: E402

Note = echo_pb2.Note


class Echo:
    def __init__(self, channel):
        def codecs():
            return {"request_serializer": Note.SerializeToString,
                    "response_deserializer": Note.FromString}
        self.unary = channel.unary_unary("/covey.test.Echo/Unary", **codecs())
        self.split = channel.unary_stream("/covey.test.Echo/Split", **codecs())
        self.join = channel.stream_unary("/covey.test.Echo/Join", **codecs())
        self.chat = channel.stream_stream("/covey.test.Echo/Chat", **codecs())
        self.missing = channel.unary_unary("/covey.test.Echo/Missing", **codecs())


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = outside.Server(f"unix:{outside.folder.name}/{cls.__name__}.sock")
        cls.channel = grpc.insecure_channel(cls.server.address)
        cls.echo = Echo(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        cls.server.stop()

    def fails(self, code, call, *arguments, **options):
        with self.assertRaises(grpc.RpcError) as raised:
            result = call(*arguments, **options)
            if hasattr(result, "__next__"):
                list(result)
        self.assertEqual(raised.exception.code(), code, raised.exception.details())
        return raised.exception


class Calls(Case):
    def test_unary(self):
        answer = self.echo.unary(Note(text="grüße", count=3, payload=b"x" * 1000))
        self.assertEqual((answer.text, answer.count, len(answer.payload)), ("grüße", 3, 1000))

    def test_server_stream(self):
        notes = list(self.echo.split(Note(count=500, payload=b"x" * 20000)))
        self.assertEqual(len(notes), 500)
        self.assertEqual(sum(len(note.payload) for note in notes), 500 * 20000)

    def test_client_stream(self):
        answer = self.echo.join(Note(payload=b"x" * 20000) for _ in range(500))
        self.assertEqual((answer.count, answer.text), (500, str(500 * 20000)))

    def test_client_stream_of_nothing(self):
        answer = self.echo.join(iter(()))
        self.assertEqual(answer.count, 0)

    def test_bidirectional(self):
        says = queue.Queue()
        answers = self.echo.chat(iter(says.get, None))
        for count in range(100):
            says.put(Note(count=count))
            self.assertEqual(next(answers).count, count)
        says.put(None)
        self.assertEqual(list(answers), [])

    def test_largest_message(self):
        payload = b"x" * (4 * 1024 * 1024 - 100)
        self.assertEqual(len(self.echo.unary(Note(payload=payload)).payload), len(payload))

    def test_many_at_once(self):
        futures = [self.echo.unary.future(Note(count=count)) for count in range(1000)]
        self.assertEqual([future.result(20).count for future in futures], list(range(1000)))

    def test_gzip(self):
        for algorithm in (grpc.Compression.Gzip, grpc.Compression.NoCompression):
            answer = self.echo.unary(Note(payload=b"x" * 100000), compression=algorithm)
            self.assertEqual(len(answer.payload), 100000)
        answer = self.echo.join((Note(payload=b"x" * 1000) for _ in range(10)),
                                compression=grpc.Compression.Gzip)
        self.assertEqual(answer.text, "10000")

    def test_other_compression(self):
        error = self.fails(grpc.StatusCode.UNIMPLEMENTED, self.echo.unary,
                           Note(payload=b"x" * 1000), compression=grpc.Compression.Deflate)
        accepted = dict(error.initial_metadata()) | dict(error.trailing_metadata())
        # grpcio keeps the header to itself where it understands it; the code is what counts.
        self.assertIn(accepted.get("grpc-accept-encoding"), (None, "identity,gzip"))


class Errors(Case):
    def test_code_and_message(self):
        error = self.fails(grpc.StatusCode.NOT_FOUND, self.echo.unary, Note(text="fail"))
        self.assertEqual(error.details(), " nicht da: 100 % ü\n ")

    def test_unknown_method(self):
        self.fails(grpc.StatusCode.UNIMPLEMENTED, self.echo.missing, Note())

    def test_unknown_method_of_a_long_name(self):
        """It is named as far as fits on a line; one that is no name at all is not."""
        for length, named in [(200, 200), (201, 200), (1024, 200), (1025, 0), (5000, 0)]:
            path = "/" + "x" * (length - 1)
            error = self.fails(grpc.StatusCode.UNIMPLEMENTED, self.channel.unary_unary(path), b"")
            self.assertEqual(error.details(), "no such method" + (f": '{path[:named]}'" if named else ""))

    def test_too_large(self):
        self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, self.echo.unary,
                   Note(payload=b"x" * (4 * 1024 * 1024 + 1)))

    def test_too_large_when_inflated(self):
        self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, self.echo.unary,
                   Note(payload=bytes(64 * 1024 * 1024)), compression=grpc.Compression.Gzip)

    def test_malformed(self):
        call = self.channel.unary_unary("/covey.test.Echo/Unary")
        for bad in (b"\x0a\x05ab", b"\x0a\x02\xc3\x28", b"\x0a\x03a\x00b", b"\xff" * 20):
            self.fails(grpc.StatusCode.INVALID_ARGUMENT, call, bad)

    def test_early_end_of_a_stream(self):
        def endless():
            yield Note(text="fail")
            while True:
                yield Note(payload=b"x" * 10000)
        error = self.fails(grpc.StatusCode.ABORTED, self.echo.join, endless())
        self.assertEqual(error.details(), "enough")

    def test_deadline(self):
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, self.echo.unary, Note(text="hold"),
                   timeout=0.1)

    def test_deadline_of_a_stream(self):
        answers = self.echo.chat(iter(queue.Queue().get, None), timeout=0.1)
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, list, answers)

    def test_cancel(self):
        ended = threading.Event()
        future = self.echo.unary.future(Note(text="hold"))
        future.add_done_callback(lambda _: ended.set())
        self.assertEqual(self.echo.unary(Note(text="after")).text, "after")
        future.cancel()
        self.assertTrue(ended.wait(60))
        self.assertEqual(future.code(), grpc.StatusCode.CANCELLED)

    def test_many_headers(self):
        self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, self.echo.unary, Note(),
                   metadata=[(f"x-{i}", "v" * 1000) for i in range(40)])


class Health(Case):
    def stub(self, kind, name):
        return getattr(self.channel, kind)(
            f"/grpc.health.v1.Health/{name}",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString)

    def test_check(self):
        check = self.stub("unary_unary", "Check")
        serving = health_pb2.HealthCheckResponse.SERVING
        self.assertEqual(check(health_pb2.HealthCheckRequest()).status, serving)
        self.assertEqual(
            check(health_pb2.HealthCheckRequest(service="covey.test.Echo")).status, serving)
        self.fails(grpc.StatusCode.NOT_FOUND, check, health_pb2.HealthCheckRequest(service="no"))

    def test_watch(self):
        watch = self.stub("unary_stream", "Watch")
        unknown = watch(health_pb2.HealthCheckRequest(service="no"))
        self.assertEqual(next(unknown).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        unknown.cancel()
        states = watch(health_pb2.HealthCheckRequest(service="covey.test.Echo"))
        self.assertEqual(next(states).status, health_pb2.HealthCheckResponse.SERVING)
        self.server.tell("unserve")
        self.assertEqual(next(states).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        self.server.tell("serve")
        self.assertEqual(next(states).status, health_pb2.HealthCheckResponse.SERVING)
        states.cancel()


class Reflection(Case):
    def ask(self, module, version, **request):
        call = self.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=module.ServerReflectionRequest.SerializeToString,
            response_deserializer=module.ServerReflectionResponse.FromString)
        answers = list(call(iter([module.ServerReflectionRequest(**request)])))
        self.assertEqual(len(answers), 1)
        return answers[0]

    def each(self, **request):
        for module, version in ((reflection_v1_pb2, "v1"), (reflection_v1alpha_pb2, "v1alpha")):
            yield self.ask(module, version, **request)

    def files(self, answer):
        return [descriptor_pb2.FileDescriptorProto.FromString(file)
                for file in answer.file_descriptor_response.file_descriptor_proto]

    def test_services(self):
        for answer in self.each(list_services=""):
            names = {service.name for service in answer.list_services_response.service}
            self.assertEqual(names, {"covey.test.Echo", "grpc.health.v1.Health",
                                     "grpc.reflection.v1.ServerReflection",
                                     "grpc.reflection.v1alpha.ServerReflection"})

    def test_symbols(self):
        for symbol in ("covey.test.Echo", "covey.test.Echo.Split", "covey.test.Note",
                       "covey.test.Note.text"):
            for answer in self.each(file_containing_symbol=symbol):
                self.assertEqual([file.name for file in self.files(answer)], ["echo.proto"])
        for answer in self.each(file_containing_symbol="grpc.health.v1.Health"):
            self.assertEqual(self.files(answer)[0].package, "grpc.health.v1")

    def test_file(self):
        for answer in self.each(file_by_filename="echo.proto"):
            file = self.files(answer)[0]
            self.assertTrue(file.service[0].method[1].server_streaming)

    def test_not_found(self):
        not_found = grpc.StatusCode.NOT_FOUND.value[0]
        for request in ({"file_by_filename": "no.proto"}, {"file_containing_symbol": "covey.No"},
                        {"all_extension_numbers_of_type": "covey.No"},
                        {"file_containing_extension":
                         {"containing_type": "covey.test.Note", "extension_number": 9}}):
            for answer in self.each(**request):
                self.assertEqual(answer.error_response.error_code, not_found)

    def test_nothing_asked(self):
        for answer in self.each():
            self.assertEqual(answer.error_response.error_code,
                             grpc.StatusCode.INVALID_ARGUMENT.value[0])

    def test_extensions(self):
        for answer in self.each(all_extension_numbers_of_type="covey.test.Note"):
            self.assertEqual(answer.all_extension_numbers_response.base_type_name,
                             "covey.test.Note")


class Tls(unittest.TestCase):
    def test_calls(self):
        certificate, key = outside.make_certificate()
        server = outside.Server("127.0.0.1:0", certificate, key)
        port = server.address.rpartition(":")[2]
        with open(certificate, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
            echo = Echo(channel)
            self.assertEqual(echo.unary(Note(count=9)).count, 9)
            notes = list(echo.split(Note(count=100, payload=b"x" * 100000)))
            self.assertEqual(sum(len(note.payload) for note in notes), 10000000)
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            with self.assertRaises(grpc.RpcError) as raised:
                Echo(channel).unary(Note())
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
        server.stop()


class Drain(unittest.TestCase):
    def test_open_calls_finish(self):
        server = outside.Server("127.0.0.1:0")
        with grpc.insecure_channel(server.address) as channel:
            says = queue.Queue()
            answers = Echo(channel).chat(iter(says.get, None))
            says.put(Note(count=1))
            self.assertEqual(next(answers).count, 1)
            server.begin_stop()
            says.put(Note(count=2))
            self.assertEqual(next(answers).count, 2)
            says.put(None)
            self.assertEqual(list(answers), [])
            server.stop()


    def test_watches_end(self):
        server = outside.Server("127.0.0.1:0")
        with grpc.insecure_channel(server.address) as channel:
            watch = channel.unary_stream(
                "/grpc.health.v1.Health/Watch",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString)
            states = watch(health_pb2.HealthCheckRequest())
            self.assertEqual(next(states).status, health_pb2.HealthCheckResponse.SERVING)
            server.begin_stop()
            with self.assertRaises(grpc.RpcError) as raised:
                next(states)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
            server.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
