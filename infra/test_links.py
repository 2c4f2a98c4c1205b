"""Each relative link in a Markdown file leads to a file, and to a heading if it has an anchor."""

import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)
LINK = re.compile(r"\[(?:`[^`]*`|[^\]`])*\]\(([^)\s]+)\)")


def text(path):
    """The page without its code blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchor(heading):
    """The anchor that GitHub gives a heading."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip())
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path):
    """All anchors of a page; GitHub numbers those that are repeated."""
    seen, found = {}, set()
    for heading in HEADING.findall(text(path)):
        name = anchor(heading)
        number = seen[name] = seen.get(name, -1) + 1
        found.add(f"{name}-{number}" if number else name)
    return found


def broken(page):
    """The relative links of a page that lead nowhere."""
    for target in LINK.findall(text(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, name = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        is_there = there.exists() and (not name or there.suffix != ".md" or name in anchors(there))
        if not is_there:
            yield target


class Links(unittest.TestCase):
    def test_each_relative_link_leads_somewhere(self):
        listed = ["git", "ls-files", "-co", "--exclude-standard", "*.md"]
        pages = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
        self.assertIn("README.md", pages)
        for page in pages:
            with self.subTest(page):
                self.assertEqual([], list(broken(ROOT / page)))

    def test_anchors_are_those_of_github(self):
        for heading, expected in [
            ("Rules for a client", "rules-for-a-client"),
            ("`POST /v1/endpoints/{id}/…`", "post-v1endpointsid"),
            ("`GET /v1/events?after=…&wait=…`", "get-v1eventsafterwait"),
            ("Methods, origins", "methods-origins"),
            ("A [link](x.md) in it", "a-link-in-it"),
        ]:
            self.assertEqual(expected, anchor(heading))


if __name__ == "__main__":
    unittest.main()
