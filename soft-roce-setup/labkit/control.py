"""A session that stays up: a process that owns the guests and obeys clients at a socket."""
import selectors
import socket

from . import frames, guest as guests
from .errors import LabError, STATUS_USAGE

UNSENT_LIMIT = 4 << 20


class Client:
    """One connection: a request, and for a command what flows until it ends."""

    def __init__(self, server, connection):
        self.server = server
        self.connection = connection
        self.connection.setblocking(False)
        self.decoder = frames.Decoder()
        self.unsent = bytearray()
        self.job = None
        self.ending = False
        self.register = server.session.selector.register
        self.register(connection, selectors.EVENT_READ, self.on_event)

    def send(self, data):
        self.unsent += data
        self.send_unsent()

    def send_unsent(self):
        try:
            while self.unsent:
                del self.unsent[:self.connection.send(self.unsent)]
        except BlockingIOError:
            pass
        except ConnectionError:
            self.unsent.clear()
            self.ending = True
        if len(self.unsent) > UNSENT_LIMIT or (self.ending and not self.unsent):
            self.close()
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.unsent else 0)
        self.server.session.selector.modify(self.connection, events, self.on_event)

    def end(self, status, text=""):
        self.ending = True
        payload = frames.pack(frames.FAILED, 0, text.encode()) if text else b""
        self.send(payload + frames.pack(frames.EXIT, 0, bytes([status])))

    def close(self):
        if self.connection.fileno() < 0:
            return
        self.server.session.selector.unregister(self.connection)
        self.connection.close()
        if self.job:
            # Who asked for the command is gone, and so is the command.
            self.server.session.forward(self.job.guest, frames.pack(frames.SIGNAL, self.job.channel, bytes([9])))

    def on_event(self, events):
        if events & selectors.EVENT_WRITE:
            self.send_unsent()
        if events & selectors.EVENT_READ and self.connection.fileno() >= 0:
            try:
                data = self.connection.recv(guests.READ_BYTES)
                received = self.decoder.feed(data) if data else None
            except BlockingIOError:
                return
            except (ConnectionError, frames.ProtocolError):
                received = None
            if received is None:
                self.close()
                return
            for kind, _, payload in received:
                self.on_frame(kind, payload)

    def on_frame(self, kind, payload):
        if kind == frames.REQUEST and not self.job and not self.ending:
            try:
                self.server.obey(self, frames.strings(payload))
            except LabError as error:
                self.end(error.status, str(error))
        elif self.job and kind in (frames.STDIN, frames.SIGNAL, frames.WINDOW, frames.TAKEN):
            self.server.session.forward(self.job.guest, frames.pack(kind, self.job.channel, payload))

    # Of its command

    def on_output(self, kind, data):
        if self.connection.fileno() >= 0:
            self.send(frames.pack(kind, 0, data))

    def on_fed(self, payload):
        if self.connection.fileno() >= 0:
            self.send(frames.pack(frames.FED, 0, payload))

    def on_exit(self, status, lost):
        self.job = None
        if self.connection.fileno() >= 0:
            self.end(status, lost or "")


class Server:
    """Runs until it is asked to end."""

    def __init__(self, session, path):
        self.session = session
        self.ended_by = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(64)
        self.listener.setblocking(False)
        session.selector.register(self.listener, selectors.EVENT_READ, lambda events: self.on_connection())

    def on_connection(self):
        try:
            connection, _ = self.listener.accept()
        except BlockingIOError:
            return
        Client(self, connection)

    def serve(self):
        self.session.run_until(lambda: self.ended_by is not None)

    def finish(self, status, text=""):
        """The guests are gone: whoever asked for that may know."""
        if self.ended_by:
            self.ended_by.end(status, text)
        self.listener.close()

    def guest(self, text):
        number = text.removeprefix("node")
        if not number.isdecimal() or int(number) >= len(self.session.guests):
            raise LabError(f"no node is called \"{text}\"; there are node0 to node{len(self.session.guests) - 1}", STATUS_USAGE)
        return self.session.guests[int(number)]

    def obey(self, client, request):
        verb, *arguments = request
        if verb == "exec":
            self.run(client, arguments)
        elif verb == "kill":
            self.session.power_cut(self.guest(arguments[0]))
            client.end(0)
        elif verb in ("cut", "mend"):
            first, second = (self.guest(argument) for argument in arguments)
            if first is second:
                raise LabError("a node cannot be cut from itself", STATUS_USAGE)
            self.session.set_cut(first, second, verb == "cut")
            client.end(0)
        elif verb == "status":
            client.send(frames.pack(frames.STDOUT, 0, self.status().encode()))
            client.end(0)
        elif verb == "down":
            self.ended_by = client
        else:
            raise LabError(f"this session knows no request \"{verb}\"", STATUS_USAGE)

    def status(self):
        return "".join(f"{guest.name} {guest.lost_reason or guest.state}\n" for guest in self.session.guests)

    def run(self, client, arguments):
        """node, tty, folder, number of arguments, arguments, environment ..."""
        node, tty, folder, count, *rest = arguments
        command = rest[:int(count)]
        variables = dict(variable.split("=", 1) for variable in rest[int(count):])
        guest = self.guest(node)
        client.job = self.session.start_job(
            guest, lambda channel: guests.start_payload(channel, command, folder, variables, bool(tty)),
            client.on_output, client.on_exit)
        client.job.on_fed = client.on_fed

