#!/usr/bin/python3
"""Every page is reached from docs/index.md, which the README leads to, and no link leads nowhere."""
import os
import re
import unittest

TOP = os.environ.get("COVEY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
INDEX = "docs/index.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def pages(*folders):
    return sorted(os.path.join(folder, name) for folder in folders for name in os.listdir(os.path.join(TOP, folder))
                  if name.endswith(".md") or re.search(r"\.[1-8]$", name))


def links_of(path):
    """Where the links of a page lead, from the top of the tree, without those to the outside."""
    found = [link.split("#")[0] for link in LINK.findall(text_of(path)) if not re.match(r"[a-z]+:", link)]
    return {os.path.normpath(os.path.join(os.path.dirname(path), link)) for link in found if link}


def slug(heading):
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def missing_anchors(path):
    lost = []
    for link in LINK.findall(text_of(path)):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link) or not anchor:
            continue
        page = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
        if anchor not in [slug(heading) for heading in headings]:
            lost.append(f"{path}: {link}")
    return lost


class Pages(unittest.TestCase):
    def test_index_leads_to_every_page(self):
        self.assertEqual(sorted(set(pages("docs", "docs/man")) - {INDEX} - links_of(INDEX)), [])

    def test_readme_leads_to_the_index(self):
        self.assertIn(INDEX, links_of("README.md"))

    def test_no_link_leads_nowhere(self):
        written = ["README.md", "CONTRIBUTING.md", *(page for page in pages("docs", "docs/decisions") if page.endswith(".md"))]
        self.assertGreater(len(written), 20)
        self.assertEqual([f"{page}: {link}" for page in written for link in sorted(links_of(page))
                          if not os.path.exists(os.path.join(TOP, link))], [])
        self.assertEqual([lost for page in written for lost in missing_anchors(page)], [])


if __name__ == "__main__":
    unittest.main()
