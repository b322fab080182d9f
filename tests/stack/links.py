"""Finds broken relative links and anchors in the documents: every *.md in the root, in docs, in examples and in tests.

    python tests/stack/links.py

Each broken link is printed as file:line, and the script exits with 1. Links to other sites are not followed.
"""

import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]

HEADING = re.compile(r" {0,3}#{1,6}\s+(.*?)\s*#*\s*$")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
INLINE = re.compile(r"\]\(\s*<?([^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+\"[^\"]*\")?\s*\)")
DEFINITION = re.compile(r" {0,3}\[[^\]]+\]:\s+<?([^\s>]+)>?")
HTML = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src)=\"([^\"]*)\"")
HTML_ID = re.compile(r"<a\b[^>]*?\b(?:id|name)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def documents(root):
    below = [path for folder in ("docs", "examples", "tests") for path in (root / folder).rglob("*.md")]
    below = [path for path in below if "node_modules" not in path.parts]
    return sorted(root.glob("*.md")) + sorted(below)


def lines(text):
    """The lines outside fenced code and comments, with their numbers."""
    fence = None
    comment = re.compile(r"<!--.*?-->", re.DOTALL)
    for number, line in enumerate(comment.sub(lambda found: "\n" * found[0].count("\n"), text).split("\n"), 1):
        found = FENCE.match(line)
        if fence:
            closes = found and found[1].startswith(fence) and not found[2].strip()
            fence = None if closes else fence
        elif found and not (found[1][0] == "`" and "`" in found[2]):
            fence = found[1]
        else:
            yield number, line


def anchor(heading):
    """GitHub's anchor: the heading's text in lower case, without punctuation, with hyphens for spaces."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"<[^>]*>", "", text)
    # An underscore within a word stays; as emphasis, it does not.
    text = re.sub(r"(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)", "", text)
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


@cache
def anchors(path):
    """The anchors of a document: of its headings, a repeated one with a number, and of its HTML."""
    found, seen = set(), Counter()
    for _, line in lines(path.read_text(encoding="utf-8")):
        found.update(HTML_ID.findall(line))
        if heading := HEADING.match(line):
            name = anchor(heading[1])
            unique = f"{name}-{seen[name]}" if seen[name] else name
            while unique in found:
                seen[name] += 1
                unique = f"{name}-{seen[name]}"
            seen[name] += 1
            found.add(unique)
    return found


def links(line):
    line = CODE.sub("", line)
    definition = DEFINITION.match(line)
    return INLINE.findall(line) + HTML.findall(line) + ([definition[1]] if definition else [])


def fault(document, link, root):
    """What is wrong with a link; None if it leads somewhere, or to another site."""
    if ELSEWHERE.match(link):
        return None
    path, _, fragment = unquote(link).partition("#")
    target = document
    if path:
        target = (root / path.lstrip("/") if path.startswith("/") else document.parent / path).resolve()
    if not target.is_relative_to(root):
        return "it leads out of the repository"
    if not target.exists():
        return "there is no such file"
    if fragment and target.suffix == ".md" and fragment not in anchors(target):
        return f"{target.relative_to(root)} has no heading with this anchor"
    return None


def main(root=ROOT):
    broken = count = 0
    for document in documents(root):
        for number, line in lines(document.read_text(encoding="utf-8")):
            for link in links(line):
                count += 1
                if why := fault(document, link, root):
                    broken += 1
                    print(f"{document.relative_to(root)}:{number}: {link}: {why}")
    print(f"{count} links, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
