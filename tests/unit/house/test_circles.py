#!/usr/bin/python3
"""How many files one must read together: circles of calls between the files of a folder.

An object file names what it defines and what it takes from elsewhere. Files that reach each other that way, all
together, are a circle: none of them can be understood, tested or moved alone. All sub-folders of a layer are counted
together, static libraries and programs alike, so that moving files about hides nothing.

The goal is GOAL. What is not in order yet stands in ALLOWED, with the sizes of its circles, largest first. That table
may only shrink: it fails, too, where it says more than there is.
"""
import json
import os
import subprocess
import tempfile
import unittest

TOP = os.environ.get("COVEY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.environ.get("COVEY_BUILD_DIR") or os.path.join(TOP, "build", "dev")

GOAL = 3

# The longest of these that a file's path begins with is where it is counted.
FOLDERS = ["base", "proto", "rpc", "scheduler", "transport/core", "transport/net", "worker", "service/common",
           "service/store", "service/controller", "service/node", "service/host", "service/pack", "client", "client/cli",
           "bench", "bench/sim"]

ALLOWED = {
    "rpc": [8, 4],
    "service/controller": [9, 6],
    "service/host": [4],
    "service/node": [13],
    "service/pack": [10],
    "transport/core": [7],
    "transport/net": [4, 4],
}

DEFINED = "TDBRCVWi"


def folder_of(path):
    matching = [folder for folder in FOLDERS if path.startswith(folder + "/")]
    return max(matching, key=len) if matching else None


def symbols_of(objects):
    """Object: (what it defines, what it needs)."""
    said = subprocess.run(["nm", "--print-file-name", "--format=posix", *objects], check=True, capture_output=True,
                          text=True).stdout
    symbols = {path: (set(), set()) for path in objects}
    for line in said.splitlines():
        path, rest = line.split(": ", 1)
        name, kind = rest.split()[:2]
        if kind in DEFINED:
            symbols[path][0].add(name)
        elif kind in "Uw":
            symbols[path][1].add(name)
    return symbols


def calls_between(sources):
    """sources: {object: its source}. {source: {source that it calls: [symbols]}}; of programs, too, that define the same."""
    symbols = symbols_of(sorted(sources))
    owners = {}
    for path, (defined, _) in symbols.items():
        for name in defined:
            owners.setdefault(name, set()).add(sources[path])
    calls = {source: {} for source in sources.values()}
    for path, (_, needed) in symbols.items():
        for name in sorted(needed):
            for owner in owners.get(name, set()) - {sources[path]}:
                calls[sources[path]].setdefault(owner, []).append(name)
    return calls


def reachable(calls, start):
    met, left = set(), [start]
    while left:
        for following in calls.get(left.pop(), {}):
            if following not in met:
                met.add(following)
                left.append(following)
    return met


def circles_of(calls):
    """The sets of files that reach each other, largest first; a file alone is none."""
    reach = {file: reachable(calls, file) for file in calls}
    circles = {frozenset([file, *(other for other in reach[file] if file in reach[other])]) for file in calls}
    return sorted((sorted(circle) for circle in circles if len(circle) > 1), key=lambda circle: (-len(circle), circle))


def describe(calls, circle):
    lines = [f"  {file} -> {other}: {', '.join(calls[file][other][:3])}"
             for file in circle for other in sorted(calls[file]) if other in circle]
    return f"a circle of {len(circle)} files:\n" + "\n".join(lines)


def built_sources(build, top):
    """{folder: {object: source}} of what is built there."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    found = {}
    for command in commands:
        words = command["command"].split()
        path = os.path.join(command["directory"], words[words.index("-o") + 1])
        source = os.path.relpath(command["file"], top)
        folder = folder_of(source)
        if folder and os.path.exists(path):
            found.setdefault(folder, {})[path] = source
    return found


def problem_of(folder, sizes, allowed):
    """What is wrong with the sizes of a folder's circles, or None."""
    sizes = [size for size in sizes if size > GOAL]
    if sizes == allowed:
        return None
    if len(sizes) <= len(allowed) and all(size <= most for size, most in zip(sizes, allowed)):
        return f"{folder}: circles of {sizes} files, better than {allowed}: write that into ALLOWED"
    return f"{folder}: circles of {sizes} files, at most {allowed or GOAL} are allowed"


class TheBuild(unittest.TestCase):
    maxDiff = None

    def test_circles_are_no_larger_than_allowed(self):
        if not os.path.exists(os.path.join(BUILD, "compile_commands.json")):
            self.skipTest(f"nothing is built in {BUILD}")
        problems = []
        folders = built_sources(BUILD, TOP)
        self.assertGreater(sum(map(len, folders.values())), 100, "hardly anything is built")
        for folder, sources in sorted(folders.items()):
            calls = calls_between(sources)
            circles = circles_of(calls)
            problem = problem_of(folder, [len(circle) for circle in circles], ALLOWED.get(folder, []))
            if problem:
                problems += [problem, *(describe(calls, circle) for circle in circles if len(circle) > GOAL)]
        self.assertEqual(problems, [], "\n" + "\n".join(problems))

    def test_no_folder_is_forgotten(self):
        self.assertEqual([folder for folder in ALLOWED if folder not in FOLDERS], [])


class TheCounter(unittest.TestCase):
    def compiled(self, texts):
        """The circles of a library made of these files."""
        with tempfile.TemporaryDirectory() as folder:
            sources = {}
            for name, text in texts.items():
                path = os.path.join(folder, name)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                subprocess.run(["cc", "-c", path, "-o", path + ".o"], check=True)
                sources[path + ".o"] = name
            return circles_of(calls_between(sources))

    def test_circle_through_functions_and_data_is_found(self):
        self.assertEqual(self.compiled({
            "a.c": "int b(void); int a(void) { return b(); }",
            "b.c": "extern int c; int b(void) { return c; }",
            "c.c": "int a(void); int c = 1; int d(void) { return a(); }",
            "e.c": "int a(void); int e(void) { return a(); }",
        }), [["a.c", "b.c", "c.c"]])

    def test_order_is_no_circle(self):
        self.assertEqual(self.compiled({
            "a.c": "int b(void); int a(void) { return b(); }",
            "b.c": "static int a(void) { return 1; } int b(void) { return a(); }",
        }), [])

    def test_two_circles_are_two(self):
        calls = {"a": {"b": ["x"]}, "b": {"a": ["y"], "c": ["z"]}, "c": {"d": ["u"]}, "d": {"e": ["v"]}, "e": {"c": ["w"]}}
        self.assertEqual(circles_of(calls), [["c", "d", "e"], ["a", "b"]])

    def test_allowance_only_shrinks(self):
        self.assertIsNone(problem_of("x", [3, 2], []))
        self.assertIsNone(problem_of("x", [5, 4, 2], [5, 4]))
        for sizes, allowed in [([4], []), ([6], [5]), ([5, 4], [5]), ([4], [5]), ([], [5])]:
            self.assertIsNotNone(problem_of("x", sizes, allowed), (sizes, allowed))


if __name__ == "__main__":
    unittest.main()
