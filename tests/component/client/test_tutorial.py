#!/usr/bin/python3
"""The tutorial's code is the example's, and the example runs."""
import os
import re
import subprocess
import textwrap
import unittest

from cluster import BUILD, SOURCE, Place, controller

PROGRAM = os.path.join(BUILD, "examples", "client-c-flare")


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


class Tutorial(unittest.TestCase):
    def test_code_is_that_of_the_example(self):
        example = read("examples/client-c/flare.c")
        regions = {name: textwrap.dedent(text.strip("\n")).strip()
                   for name, text in re.findall(r"/\* \[(\w+)\] \*/\n(.*?)/\* \[\1\] \*/", example, re.DOTALL)}
        blocks = [block.strip() for block in re.findall(r"```c\n(.*?)```", read("docs/client-library.md"), re.DOTALL)]
        self.assertEqual(len(regions), 5)
        self.assertEqual(sorted(blocks), sorted(regions.values()))

    def test_example_runs(self):
        place = Place()
        self.addCleanup(place.remove)
        with controller(place) as server:
            done = subprocess.run([PROGRAM, server, place.path("hello.so")], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            for line in ["deployed example version 1", "placed: PREPARING", "ended: SUCCEEDED", "3: from a worker", "result 3: 5 bytes"]:
                self.assertIn(line, done.stdout.splitlines())
            done = subprocess.run([PROGRAM, server, "/nowhere"], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (1, "flare: cannot read /nowhere: No such file or directory\n"))


if __name__ == "__main__":
    unittest.main()
