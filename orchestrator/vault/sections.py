"""The body of a document: its `## ` sections and fenced blocks, with their places in the text."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from orchestrator.vault.problem import MOST_PROBLEMS, Findings, did_you_mean, shown

DATA_SECTIONS: Final = ("Config", "Tools", "MCP Servers", "Install")
"""Read from the first fenced block tagged `json`."""

PROMPT_SECTIONS: Final = ("Role", "Rules", "Reflection")
"""Free text for the agent, in the order in which it is given."""

SECTIONS: Final = (*DATA_SECTIONS, *PROMPT_SECTIONS)

MOST_MARKS: Final = 2_000
"""Headings and fences of one document."""

_BY_FOLDED: Final = {title.casefold(): title for title in SECTIONS}
_DATA_FOLDED: Final = tuple(title.casefold() for title in DATA_SECTIONS)
_MARK: Final = re.compile(
    r"^(?:##[ ](?P<title>[^\n]*)|[ ]{0,3}(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})(?P<info>[^\n]*))", re.MULTILINE
)
_INDENTED: Final = "(?:(?<=^{0})|(?<=^[ ]{0})|(?<=^[ ]{{2}}{0})|(?<=^[ ]{{3}}{0}))"
_FOUND: Final = re.compile(
    r"##[ ](?<=^##[ ])[^\n]*"
    rf"|`(?<!``)``{_INDENTED.format('```')}`*(?=[^`\n]*$)"
    rf"|~(?<!~~)~~{_INDENTED.format('~~~')}[^\n]*",
    re.MULTILINE,
)
"""Where `_MARK` will match, said so that every branch begins with a character: then the search is a tenth of
the work in a document of short lines."""
_CLOSING_HASHES: Final = re.compile(r"[ \t]+#+$")
_MISPLACED: Final = re.compile(
    rf"^[^\S\n]{{0,3}}(?P<marks>#{{1,6}})[^\S\n]*(?P<title>{'|'.join(DATA_SECTIONS)})[ \t#]*\r?$",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fence:
    """A fenced block: `tag` is the first word after the opening, folded; `start` and `end` enclose its text,
    `outer_start` and `outer_end` the marks too; `line` is that of the first line of its text."""

    tag: str
    start: int
    end: int
    outer_start: int
    outer_end: int
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """From one `## ` heading to the next. `title` is spelt as in `SECTIONS` when it is one of them.

    Places are offsets in the decoded text of the document: `start` of the heading, `body` of what follows
    its line, `end` of the whole.
    """

    title: str
    line: int
    start: int
    body: int
    end: int
    fences: tuple[Fence, ...] = ()

    @property
    def known(self) -> bool:
        return self.title in SECTIONS


def read(text: str, start: int, findings: Findings) -> tuple[Section, ...]:
    """The sections of the body that begins at `start`; text before the first heading belongs to none."""
    reader = _Reader(text, start, findings)
    for count, found in enumerate(_FOUND.finditer(text, start)):
        if count >= MOST_MARKS:
            findings.error(f"more than {MOST_MARKS} headings and code fences")
            return ()
        mark = _MARK.match(text, text.rfind("\n", 0, found.start()) + 1)
        if mark is not None:
            reader.mark(mark)
    sections = reader.finish()
    _check_titles(sections, findings)
    _check_misplaced(text, start, sections, reader.fences, findings)
    return sections


class _Reader:
    """Walks from mark to mark: what is between an opening fence and its closing is not structure."""

    def __init__(self, text: str, start: int, findings: Findings) -> None:
        self.text = text
        self.findings = findings
        self.at = start
        self.line = text.count("\n", 0, start) + 1
        self.headings: list[tuple[str, int, int, int]] = []
        self.fences: list[Fence] = []
        self.opening: re.Match[str] | None = None
        self.opening_line = 0

    def mark(self, mark: re.Match[str]) -> None:
        self.line += self.text.count("\n", self.at, mark.start())
        self.at = mark.start()
        if self.opening is not None:
            self._maybe_close(self.opening, mark)
        elif mark["fence"]:
            self.opening, self.opening_line = mark, self.line
        else:
            title = _CLOSING_HASHES.sub("", mark["title"].strip())
            title = _BY_FOLDED.get(title.casefold(), title)
            body = min(mark.end() + 1, len(self.text))
            self.headings.append((title, self.line, mark.start(), body))

    def _maybe_close(self, opening: re.Match[str], mark: re.Match[str]) -> None:
        fence = mark["fence"]
        if not fence or mark["info"].strip() or not fence.startswith(opening["fence"]):
            return
        tag = opening["info"].split(None, 1)[:1]
        self.fences.append(
            Fence(
                tag=tag[0].casefold() if tag else "",
                start=opening.end() + 1,
                end=mark.start(),
                outer_start=opening.start(),
                outer_end=mark.end(),
                line=self.opening_line + 1,
            )
        )
        self.opening = None

    def finish(self) -> tuple[Section, ...]:
        if self.opening is not None:
            # What follows would be lost with it, a list of allowed tools perhaps.
            self.findings.error("code fence is never closed", self.opening_line)
        ends = [*(start for _, _, start, _ in self.headings), len(self.text)][1:]
        sections, fences = [], iter(self.fences)
        fence = next(fences, None)
        for (title, line, start, body), end in zip(self.headings, ends, strict=True):
            inside = []
            while fence is not None and fence.outer_start < end:
                if fence.outer_start >= body:
                    inside.append(fence)
                fence = next(fences, None)
            sections.append(
                Section(title=title, line=line, start=start, body=body, end=end, fences=tuple(inside))
            )
        return tuple(sections)


def _check_titles(sections: tuple[Section, ...], findings: Findings) -> None:
    first: dict[str, int] = {}
    for section in sections:
        if not section.known:
            hint = did_you_mean(section.title, SECTIONS)
            if hint:
                findings.warn(f"## {shown(section.title)} is not read{hint}", section.line)
        elif section.title in first:
            message = f"## {section.title} stands there twice, first on line {first[section.title]}"
            findings.error(message, section.line)
        else:
            first[section.title] = section.line


def _check_misplaced(
    text: str, start: int, sections: tuple[Section, ...], fences: list[Fence], findings: Findings
) -> None:
    """Warn of headings that look like a section to people, but are none."""
    # The worst documents are done with after this, for a hundredth of what the search costs.
    if text.find("#", start) < 0:
        return
    folded = text.casefold()
    if not any(title in folded for title in _DATA_FOLDED):
        return
    starts = {section.start for section in sections}
    fence_starts = [fence.outer_start for fence in fences]
    for found in _MISPLACED.finditer(text, start):
        at = found.start()
        fence = bisect_right(fence_starts, at) - 1
        if at in starts or (fence >= 0 and at < fences[fence].outer_end):
            continue
        title = _BY_FOLDED.get(found["title"].casefold())
        if title is None:  # such as with an i of another alphabet, which the pattern takes for one of ours
            continue
        line = text.count("\n", 0, at) + 1
        findings.warn(f"this heading is not read as a section; write '## {title}'", line)
        if len(findings.warnings) >= MOST_PROBLEMS:
            return
