#!/usr/bin/python3
"""scripts/changed-tests: a change selects the tests that it can break, and not all others."""
import os
import subprocess
import unittest

TOP = os.environ.get("COVEY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.environ.get("COVEY_BUILD_DIR") or os.path.join(TOP, "build", "dev")


@unittest.skipUnless(os.path.exists(os.path.join(BUILD, "build.ninja")), f"nothing is built in {BUILD}")
class ChangedTests(unittest.TestCase):
    def selected(self, *files):
        return set(subprocess.run([os.path.join(TOP, "scripts", "changed-tests"), BUILD, *files], check=True,
                                  capture_output=True, text=True).stdout.split())

    def test_header_selects_whoever_includes_it(self):
        selected = self.selected("scheduler/scheduler.h")
        self.assertLessEqual({"unit.scheduler.queue", "unit.controller.placing"}, selected)
        self.assertNotIn("unit.rpc.framing", selected)

    def test_source_selects_whoever_links_it_and_the_component_tests_of_its_folder(self):
        selected = self.selected("rpc/framing.c")
        self.assertLessEqual({"unit.rpc.framing", "component.rpc.calls"}, selected)
        self.assertNotIn("unit.scheduler.queue", selected)
        self.assertNotIn("component.node.local", selected)

    def test_script_selects_itself(self):
        self.assertIn("component.client.local", self.selected("tests/component/client/test_local.py"))

    def test_page_selects_the_house_alone(self):
        self.assertEqual({name.rsplit(".", 1)[0] for name in self.selected("docs/architecture.md")}, {"unit.house"})


if __name__ == "__main__":
    unittest.main()
