"""Guests that run together: started, watched, given commands, and gone at the end."""
import os
import selectors
import shutil
import time

from . import frames, guest as guests, links, machine
from .barriers import Barriers
from .errors import LabError, STATUS_GUEST_LOST

BOOT_SECONDS = 120
HUNG_SECONDS = 30
PING_SECONDS = 1
FLUSH_SECONDS = 5


class Options:
    """How a session is set up."""

    def __init__(self, nodes, memory_mib, cpus, netem, out):
        self.nodes = nodes
        self.memory_mib = memory_mib
        self.cpus = cpus
        self.netem = netem
        self.out = out


class Session:
    """One thread; every event goes through run_until."""

    def __init__(self, options, prepared, folder, speaker):
        self.prepared = prepared  # of machine.prepare
        self.options = options
        self.folder = folder
        self.speaker = speaker
        self.selector = selectors.DefaultSelector()
        self.guests = []
        self.link = None
        self.barriers = Barriers(options.nodes, self._answer_sync)
        self.next_channel = 1
        self.next_ping = 0.0
        self.flushed = set()

    # Life

    def boot(self):
        """Returns once every guest is ready for commands."""
        started = time.monotonic()
        used, archive, acceleration = self.prepared
        base = machine.base_command(acceleration, used, archive, self.options.memory_mib, self.options.cpus)
        self.link = links.connect(self.options.nodes, self.folder)
        if self.link.pidfd is not None:
            self.selector.register(self.link.pidfd, selectors.EVENT_READ, lambda events: self._on_switch_death())
        for node in range(self.options.nodes):
            guest = guests.Guest(node, self.folder)
            self.guests.append(guest)
            guest.start(base, self.link)
            self.selector.register(guest.channel, selectors.EVENT_READ, lambda events, guest=guest: self._on_channel(guest, events))
            self.selector.register(guest.pidfd, selectors.EVENT_READ, lambda events, guest=guest: self._on_death(guest))
            variables = guests.environment(node, self.options.nodes, self.options.netem)
            guest.send(frames.pack_strings(frames.CONFIGURE, 0, [f"{name}={value}" for name, value in variables.items()]))
        if not self.run_until(lambda: all(guest.state != guests.BOOTING for guest in self.guests), BOOT_SECONDS):
            late = next(guest for guest in self.guests if guest.state == guests.BOOTING)
            self._lose(late, f"did not come up within {BOOT_SECONDS} s")
        for guest in self.guests:
            if guest.state == guests.LOST:
                raise LabError(f"{guest.name} {guest.lost_reason}{guest.console_tail()}")
        self.speaker.say(f"{self.options.nodes} guests ready after {time.monotonic() - started:.1f} s "
                         f"(Linux {used.release}, {acceleration.upper()})")

    def close(self):
        """Ends the guests once what they wrote is on its way, and brings it home."""
        waited_for = [guest for guest in self.guests if guest.state == guests.READY]
        for guest in waited_for:
            guest.send(frames.pack(frames.FLUSH))
        self.run_until(lambda: all(guest in self.flushed or guest.state == guests.LOST for guest in waited_for), FLUSH_SECONDS)
        self.kill()

    def kill(self):
        """Ends the guests at once, and brings home what they wrote."""
        for guest in self.guests:
            guest.close()
        if self.link:
            self.link.close()
            self.link = None
        for guest in self.guests:
            if os.listdir(guest.out):
                shutil.copytree(guest.out, os.path.join(self.options.out, guest.name), symlinks=True, dirs_exist_ok=True)
            if guest.lost_reason and not guest.cut_off:
                self._keep_console(guest)

    def _keep_console(self, guest):
        os.makedirs(self.options.out, exist_ok=True)
        path = os.path.join(self.options.out, f"{guest.name}.console")
        with open(path, "w", encoding="utf-8") as file:
            file.write(guest.console())
        self.speaker.warn(f"the console of {guest.name} is in {path}")

    # The loop

    def run_until(self, done, limit_seconds=None):
        """True once done() is; False after the limit."""
        deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
        while not done():
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return False
            self._ping(now)
            wait = self.next_ping - now
            for key, events in self.selector.select(wait if deadline is None else min(wait, deadline - now)):
                if key.fileobj in self.selector.get_map():
                    key.data(events)
            self._check_alive(time.monotonic())
        return True

    def _ping(self, now):
        if now < self.next_ping:
            return
        self.next_ping = now + PING_SECONDS
        for guest in self.guests:
            if guest.state == guests.READY:
                guest.send(frames.pack(frames.PING))
                self._watch(guest)

    def _check_alive(self, now):
        for guest in self.guests:
            if guest.state == guests.READY and now - guest.last_heard > HUNG_SECONDS:
                self._lose(guest, f"hangs: nothing heard of it for {HUNG_SECONDS} s")

    def _watch(self, guest):
        if guest.channel in self.selector.get_map():
            self.selector.modify(guest.channel, guest.wanted_events(), self.selector.get_key(guest.channel).data)

    # Events

    def _on_channel(self, guest, events):
        if events & selectors.EVENT_WRITE:
            guest.send_unsent()
        if events & selectors.EVENT_READ:
            try:
                received = guest.receive()
                for frame in received or []:
                    self._on_frame(guest, *frame)
            except frames.ProtocolError as error:
                self._lose(guest, f"sent what is no frame: {error}")
                return
            if received is None and guest.state != guests.LOST:
                # The pidfd says why; until then there is nothing to read.
                self.selector.unregister(guest.channel)
                return
        self._watch(guest)

    def _on_frame(self, guest, kind, channel, payload):
        if kind == frames.READY:
            guest.state = guests.READY
        elif kind == frames.FAILED:
            self._lose(guest, "could not be set up: " + payload.decode(errors="replace").strip())
        elif kind == frames.FLUSHED:
            self.flushed.add(guest)
        elif kind == frames.SYNC:
            self.barriers.arrive(guest.node, payload.decode(errors="replace"), channel)
        elif channel in guest.jobs:
            job = guest.jobs[channel]
            if kind in (frames.STDOUT, frames.STDERR):
                job.on_output(kind, payload)
            elif kind == frames.FED and job.on_fed:
                job.on_fed(payload)
            elif kind == frames.EXIT and payload:
                del guest.jobs[channel]
                job.on_exit(payload[0], None)

    def _on_switch_death(self):
        raise LabError(f"the switch between the guests has ended: {self.link.failure()}")

    def _on_death(self, guest):
        self._lose(guest, guest.cause_of_death())

    def _lose(self, guest, reason):
        if guest.state == guests.LOST:
            return
        was_ready = guest.state == guests.READY
        guest.state = guests.LOST
        guest.lost_reason = reason
        for watched in (guest.channel, guest.pidfd):
            if watched in self.selector.get_map():
                self.selector.unregister(watched)
        guest.power_off()
        self.link.remove(guest.node)
        self.barriers.leave(guest.node, f"{guest.name} {reason}")
        if was_ready:
            self.speaker.warn(f"{guest.name} {reason}")
        jobs, guest.jobs = guest.jobs, {}
        for job in jobs.values():
            job.on_exit(STATUS_GUEST_LOST, f"{guest.name} {reason}")

    def _answer_sync(self, node, ticket, reason):
        guest = self.guests[node]
        if guest.state == guests.READY:
            guest.send(frames.pack_strings(frames.SYNCED, ticket, [reason]))
            self._watch(guest)

    # What can be asked for

    def start_job(self, guest, payload_of, on_output, on_exit):
        """payload_of(channel): the frame that starts it."""
        if guest.state != guests.READY:
            raise LabError(f"{guest.name} {guest.lost_reason}", STATUS_GUEST_LOST)
        channel = self.next_channel
        self.next_channel += 1
        job = guests.Job(channel, guest, on_output, on_exit)
        guest.send(payload_of(channel))
        guest.jobs[channel] = job
        self._watch(guest)
        return job

    def forward(self, guest, data):
        guest.send(data)
        self._watch(guest)

    def power_cut(self, guest):
        if guest.state == guests.LOST:
            raise LabError(f"{guest.name} {guest.lost_reason}")
        guest.cut_off = True
        self._lose(guest, "was powered off")

    def set_cut(self, first, second, is_cut):
        self.link.set_cut(first.node, second.node, is_cut)
