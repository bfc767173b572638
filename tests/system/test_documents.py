#!/usr/bin/python3
"""What the pages tell people to type is typed, with Covey as it is installed: each block is a file, commands, or what they print.

```c hello.c      a file of that name
```sh             commands, run by bash in one folder, one block after the other
```text           what the commands before it print, in any order of lines
"""
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from covey_system import BUILD, SANITIZED, SOURCE, SystemTest

PAGES = ["docs/workers.md"]
LANGUAGES = {"c", "cmake", "python"}


def blocks_of(page):
    """(words after the fence, text) of each block."""
    with open(os.path.join(SOURCE, page), encoding="utf-8") as file:
        return [(words.split(), text) for words, text in re.findall(r"^```([^\n]*)\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)]


@unittest.skipIf(SANITIZED, "what is built here brings sanitizers of its own")
class Documents(SystemTest):
    NODES = 0

    def test_every_block(self):
        sandbox = self.sandbox()
        prefix = os.path.join(sandbox.folder, "installed")
        subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], stdout=subprocess.DEVNULL, check=True)
        lib = next(folder for folder, _, names in os.walk(prefix) if "libcovey-worker.so" in names)
        environment = {"PATH": f"{prefix}/bin:{os.environ['PATH']}", "PKG_CONFIG_PATH": f"{lib}/pkgconfig",
                       "CMAKE_PREFIX_PATH": prefix, "LD_LIBRARY_PATH": lib}
        for page in PAGES:
            blocks = blocks_of(page)
            self.assertGreater(len(blocks), 1)
            printed = None
            for words, text in blocks:
                try:
                    printed = self.try_block(sandbox, environment, words, text, printed)
                except AssertionError as failed:
                    raise AssertionError(f"{page}: {failed}\n--- of this block\n{text}") from None
            self.assertIsNone(printed, "what the last commands print is not said")

    def try_block(self, sandbox, environment, words, text, printed):
        """Gives what the commands have printed, where the next block has to say it."""
        if words == ["text"]:
            self.assertIsNotNone(printed, "there are no commands before it")
            self.assertEqual(sorted(printed.splitlines()), sorted(text.splitlines()))
            return None
        self.assertIsNone(printed, "what the commands before it print is not said")
        if words == ["sh"]:
            script = f"set -euo pipefail; exec 2>&1\n{text}"
            done = sandbox.finish(sandbox.start("/bin/bash", "-c", script, environment=environment), 120)
            self.assertEqual(done.code, 0, str(done))
            return done.out or None
        self.assertEqual(len(words), 2, f"neither commands, nor output, nor a file: {words}")
        self.assertIn(words[0], LANGUAGES)
        with open(os.path.join(sandbox.folder, words[1]), "w", encoding="utf-8") as file:
            file.write(text)
        return None


if __name__ == "__main__":
    unittest.main()
