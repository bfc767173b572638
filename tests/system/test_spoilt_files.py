#!/usr/bin/python3
"""Files that covey and covey-node read, as a full disk, a loss of power or an editor leave them: no crash, no hang, one sentence."""
import json
import os
import random
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import OK, SANITIZED, Sandbox, SystemTest, wait_for

# Each file costs a process or two: all cuts of a short file, some of a long one.
STRIDE = 7 if SANITIZED else 1


def spoilt(sound, changes):
    """What becomes of a text, the same in each run: (what, bytes)."""
    dice = random.Random(20261127)
    for text in (b"", b"\n", b"# only a comment\n", b"\0" * 4096, b"\xff\xfe", b"\xef\xbb\xbf", b"{}", b"[]", b"null", b"x" * 100000,
                 b"[" * 4096, b"a: &a [*a, *a]\n", b"\x1b[31m\x07", b"---\n...\n", sound * 2, sound.rstrip(b"\n")):
        yield f"text {text[:20]!r}", text
    for length in range(1, len(sound), STRIDE * max(1, len(sound) // 150)):
        yield f"cut after {length}", sound[:length]
    for _ in range(changes // STRIDE):
        at = dice.randrange(len(sound))
        yield f"changed at {at}", sound[:at] + bytes([dice.randrange(256)]) + sound[at + 1:]
    for number in (b"-1", b"99999999999999999999999", b"1e999", b"0x7fffffff"):
        for at in [at for at in range(1, len(sound)) if sound[at:at + 1].isdigit() and not sound[at - 1:at].isdigit()][:20]:
            end = at
            while sound[end:end + 1].isdigit():
                end += 1
            yield f"{number!r} at {at}", sound[:at] + number + sound[end:]


def clear(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


# Not files at all.
ODD = {"a folder": os.mkdir, "a pipe": os.mkfifo, "a link to itself": lambda path: os.symlink(os.path.basename(path), path)}


class SpoiltFiles(SystemTest):
    NODES = 0

    def setUp(self):
        self.place = Sandbox()
        self.addCleanup(self.place.close)

    def try_each(self, path, sound, changes, *command, absent="\0"):
        """Runs the command beside each spoilt form of the file. What it says is one sentence that names the file, or that it is absent."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        forms = [(what, lambda data=data: self.write(path, data)) for what, data in spoilt(sound, changes)]
        forms += [(what, lambda make=make: make(path)) for what, make in ODD.items()]
        for what, make in forms:
            with self.subTest(form=what):
                clear(path)
                make()
                done = self.place.covey(*command, seconds=20)
                self.assertIn(done.code, range(0, 6), str(done))
                lines = done.err.splitlines()
                self.assertLessEqual(len(lines), 1, str(done))
                self.assertNotRegex(done.err.rstrip("\n"), "[\x00-\x1f\x7f]")
                if lines and done.code == 2 and absent not in lines[0]:
                    self.assertIn(path, lines[0])

    def write(self, path, data):
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o600)

    def test_settings_of_the_client(self):
        sound = b"# mine\nserver: unix:/nowhere/covey.sock\ntoken: abc\ntls: no\n"
        self.try_each(os.path.join(self.place.home, ".config", "covey", "config.yaml"), sound, 150, "ps")

    def test_record_of_up(self):
        where = os.path.join(self.place.runtime, "covey")
        sound = json.dumps({"endpoint": f"unix:{where}/covey.sock", "listen": "", "state_dir": self.place.state, "runtime_dir": where,
                            "nodes": 1, "slots": 0, "processes": [{"name": "coveyd", "pid": 4194304, "start_time": 12, "log": ""}]})
        self.try_each(os.path.join(where, "run.json"), sound.encode(), 100, "down",
                      absent="nothing was started here")

    def test_id_of_the_last_flare(self):
        self.write(os.path.join(self.place.home, "config.yaml"), b"")
        self.try_each(os.path.join(self.place.state, "last-flare"), b"01M8EMEYWP56J509B3MXHSXZHT", 30, "wait", "@last",
                      absent="no flare has been submitted from here")

    def test_what_a_node_keeps(self):
        """Of the identity and the note of its cgroups a node makes new ones where they are damaged."""
        place = self.place
        for name, data in (("identity", b""), ("identity", b"\0" * 32), ("identity", b"g" * 32), ("identity", b"a" * 4096),
                           ("cgroups", b"\0" * 100), ("cgroups", b"/" * 5000), ("cgroups", b"/tmp"), ("cgroups", b"relative")):
            with self.subTest(file=name, data=data[:8]):
                path = os.path.join(place.state, "node-1", name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self.write(path, data)
                done = place.covey("up", "--nodes", "1", "--slots", "1", seconds=60)
                self.assertEqual(done.code, OK, f"{done}\n{place.describe()}")
                self.assertEqual(place.covey("run", "-q", "-n", "1", "/bin/true").code, OK)
                self.assertEqual(place.covey("down").code, OK)
                wait_for(lambda: not place.processes(), "the end of all processes", 10)


if __name__ == "__main__":
    unittest.main()
