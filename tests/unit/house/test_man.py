#!/usr/bin/python3
"""Man pages and --help say the same: each long option and each verb of a program is named in its page.

Pages are docs/man/PROGRAM.SECTION, in mdoc; the verbs of covey are subsections (.Ss) of its page. A program that is not
built is skipped, with that reason.
"""
import os
import re
import subprocess
import unittest

TOP = os.environ.get("COVEY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BIN = os.path.join(os.environ.get("COVEY_BUILD_DIR", ""), "bin")
MAN = os.path.join(TOP, "docs", "man")

PROGRAMS = {"covey": 1, "covey-bench": 1, "covey-sim": 1, "coveyd": 8, "covey-node": 8}
INNER_PROGRAMS = {"covey-host", "covey-pack"}  # started by the agent only; no page
GENERAL_OPTIONS = {"help", "usage", "version"}


def long_options(help_text):
    """The options that a --help of argp or one written like it lists."""
    return set(re.findall(r"^\s+(?:-\w,\s+)?--([a-z][a-z0-9-]*)", help_text, re.MULTILINE)) - GENERAL_OPTIONS


def verbs_of(help_text):
    """The words that a --help lists in a column of their own, each with a description."""
    return set(re.findall(r"^ {1,4}([a-z]+) {2,}\S", help_text, re.MULTILINE))


def subsections(page):
    """Subsection: its text. Before the first one: under ''."""
    parts = re.split(r"^\.Ss (.*)$", page, flags=re.MULTILINE)
    texts = [text.split("\n.Sh ")[0] for text in parts[2::2]]
    return dict(zip([title.strip().strip('"') for title in parts[1::2]], texts)) | {"": parts[0]}


def named_options(page):
    """Options of an mdoc text: .Fl -json, or Fl -json inside another macro's line."""
    return set(re.findall(r"\bFl -([a-z][a-z0-9-]*)", page.replace("\\-", "-")))


def help_of(*command):
    return subprocess.run([*command, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def page_problems(program, page, helps):
    """helps: verb (or '' for the program itself): its --help."""
    sections = subsections(page)
    problems = []
    for verb, text in helps.items():
        if verb not in sections:
            problems.append(f"{program}: the page has no subsection {verb}")
            continue
        # Before the verbs stand the options that several of them have.
        where = page if verb == "" else sections[""] + sections[verb]
        problems += [f"{program} {verb}: --{option} is not in the page"
                     for option in sorted(long_options(text) - named_options(where))]
    return problems


class Pages(unittest.TestCase):
    def test_each_program_has_a_page_with_all_its_options(self):
        for program, section in PROGRAMS.items():
            with self.subTest(program=program):
                path = os.path.join(BIN, program)
                if not os.path.exists(path):
                    self.skipTest(f"{path} is not built")
                with open(os.path.join(MAN, f"{program}.{section}"), encoding="utf-8") as file:
                    page = file.read()
                helps = {"": help_of(path)}
                if program == "covey":
                    verbs = verbs_of(helps[""])
                    self.assertIn("run", verbs)
                    helps.update({verb: help_of(path, verb) for verb in verbs})
                self.assertEqual(page_problems(program, page, helps), [])

    def test_each_program_is_known(self):
        built = set(os.listdir(BIN)) if os.path.isdir(BIN) else set()
        known = set(PROGRAMS) | INNER_PROGRAMS
        self.assertEqual({name for name in built if name.startswith("covey")} - known, set())

    def test_each_page_is_of_a_program_or_an_overview(self):
        expected = {f"{program}.{section}" for program, section in PROGRAMS.items()} | {"covey.7"}
        self.assertEqual(set(os.listdir(MAN)) - expected, set())


class MadeUpPage(unittest.TestCase):
    # What stands after the next .Sh belongs to no verb.
    PAGE = '.Sh COMMANDS\n.Bl\n.It Fl -server Ar URL\n.El\n.Ss run\n.It Fl n Ar N , Fl -workers Ar N\n.It Fl -json\n.Sh SEE\n.Fl -late\n'
    RUN = "Usage: covey run [OPTION...]\n\n  -n, --workers=N   how many\n      --json        JSON\n  -?, --help   this\n"

    def test_complete_page_passes(self):
        self.assertEqual(page_problems("covey", self.PAGE, {"": "      --server=URL\n", "run": self.RUN}), [])

    def test_missing_option_and_verb_are_found(self):
        self.assertNotEqual(page_problems("covey", self.PAGE, {"run": self.RUN + "      --quiet  less\n"}), [])
        self.assertNotEqual(page_problems("covey", self.PAGE, {"": "      --token=T\n"}), [])
        self.assertNotEqual(page_problems("covey", self.PAGE, {"wait": ""}), [])

    def test_option_of_another_verb_does_not_count(self):
        self.assertNotEqual(page_problems("covey", self.PAGE, {"run": "      --late   x\n"}), [])
        self.assertNotEqual(page_problems("covey", self.PAGE + ".Ss wait\n", {"wait": "      --json  JSON\n"}), [])

    def test_verbs_are_read_from_help(self):
        self.assertEqual(verbs_of("Usage: covey\n\n  run     start\n  up      begin\n      --json  no\n"), {"run", "up"})


if __name__ == "__main__":
    unittest.main()
