"""The two lives of a lab: one command on every guest, or a session that stays up. Whatever ends them, nothing is left."""
import os
import shutil
import signal
import sys

from . import client, control, frames, guest as guests, machine, places, processes
from .errors import LabError, STATUS_INTERRUPTED, STATUS_TIME_LIMIT
from .session import Session
from .terminal import Lines, Speaker


class TimeLimit(Exception):
    """The hard limit has come, wherever the lab is."""


class Stopped(Exception):
    """A signal asks the lab to end."""

    def __init__(self, number):
        super().__init__()
        self.number = number


def _on_alarm(_number, _frame):
    raise TimeLimit


def _on_stop(number, _frame):
    raise Stopped(number)


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def arm(limit_seconds):
    signal.signal(signal.SIGALRM, _on_alarm)
    for number in STOPPING:
        signal.signal(number, _on_stop)
    signal.setitimer(signal.ITIMER_REAL, limit_seconds)


def disarm():
    """From here on nothing interrupts the clean-up."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (*STOPPING, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


class Commands:
    """The same command on every guest of a session."""

    def __init__(self, session, command, folder, variables):
        self.session = session
        self.statuses = {}
        width = max(len(guest.name) for guest in session.guests)
        for guest in session.guests:
            lines = {kind: Lines(guest.name, descriptor, width) for kind, descriptor in [(frames.STDOUT, 1), (frames.STDERR, 2)]}
            job = session.start_job(guest, lambda channel: guests.start_payload(channel, command, folder, variables, False),
                                    None, None)
            job.on_output = lambda kind, data, job=job, lines=lines: self._on_output(job, lines[kind], data)
            job.on_exit = lambda status, lost, guest=guest, lines=lines: self._on_exit(guest, lines, status)
            session.forward(guest, frames.pack(frames.STDIN, job.channel))

    @staticmethod
    def _on_output(job, lines, data):
        lines.feed(data)
        job.taken(len(data))

    def _on_exit(self, guest, lines, status):
        for stream in lines.values():
            stream.finish()
        self.statuses[guest.node] = status
        self.session.barriers.leave(guest.node, f"{guest.name} has ended its command (status {status})")

    def worst(self):
        self.session.run_until(lambda: len(self.statuses) == len(self.session.guests))
        return max(self.statuses.values())


def guarded(session, limit_seconds, body):
    """The body's status, or what ended it; the guests are gone afterwards. What was set up but not run raises LabError."""
    flush = False
    try:
        status = body()
        flush = True
    except TimeLimit:
        session.speaker.warn(f"time limit of {limit_seconds} s reached; the guests are ended")
        status = STATUS_TIME_LIMIT
    except Stopped as stopped:
        session.speaker.warn(f"ended by {signal.Signals(stopped.number).name}; the guests are ended")
        status = 128 + stopped.number if stopped.number != signal.SIGINT else STATUS_INTERRUPTED
    finally:
        disarm()
        if flush:
            session.close()
        else:
            session.kill()
    return status


def run(options, limit_seconds, speaker, command, variables):
    """lab run: the worst exit status."""
    prepared = machine.prepare(speaker.say)
    folder = places.new_run()
    janitor = processes.Janitor(folder)
    session = Session(options, prepared, folder, speaker)

    def body():
        session.boot()
        return Commands(session, command, os.getcwd(), variables).worst()

    try:
        arm(limit_seconds)
        return guarded(session, limit_seconds, body)
    finally:
        janitor.finish()


def up(name, options, limit_seconds, speaker):
    """lab up: returns once the guests are ready; they live on under a process of their own."""
    prepared = machine.prepare(speaker.say)
    folder = places.session(name)
    make_session_folder(name, folder)
    ready, told = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        status = 1
        try:
            status = live(Session(options, prepared, folder, speaker), limit_seconds, told, parent)
        except LabError as error:
            speaker.warn(str(error))
            status = error.status
        finally:
            os._exit(status)
    os.close(told)
    try:
        is_ready = os.read(ready, 1)
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGINT)
        is_ready = b""
    if is_ready:
        return 0
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def make_session_folder(name, folder):
    try:
        os.mkdir(folder, 0o700)
        return
    except FileExistsError:
        pass
    try:
        client.connect(name).close()
    except LabError:
        # Its janitor was killed with it.
        shutil.rmtree(folder)
        os.mkdir(folder, 0o700)
        return
    raise LabError(f"session \"{name}\" is up already; end it with: lab down, or choose another with --session")


def live(session, limit_seconds, told, parent):
    """The process of a session that stays up."""
    os.setsid()
    processes.die_with(parent)
    janitor = processes.Janitor(session.folder)
    servers = []

    def body():
        session.boot()
        servers.append(control.Server(session, os.path.join(session.folder, places.CONTROL)))
        processes.outlive_parent()
        os.write(told, b"r")
        os.close(told)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        session.speaker = Speaker(quiet=True)
        servers[0].serve()
        return 0

    try:
        arm(limit_seconds)
        return guarded(session, limit_seconds, body)
    finally:
        janitor.finish()
        for server in servers:
            server.finish(0)
        sys.stderr.flush()


def node_count(session_name):
    """How many nodes a session that is up has."""
    lines = []
    exchange = client.Exchange(session_name, ["status"], lambda kind, data: lines.append(data))
    while exchange.status is None:
        exchange.receive()
    return b"".join(lines).count(b"\n")

