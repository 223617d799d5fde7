"""Splitting a response into the paper's sections, in linear time."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARS = 65_536
"""Only this many trailing characters of a completion are read; what comes earlier cannot hold the answer."""

_HEADING = re.compile(
    # Two literal # first: looking for them is twice as fast as trying `#{2,6}` at every character.
    r"###{0,4}[ \t]{0,8}\*{0,2}(?:"
    r"(?P<description>image[ \t]description)"
    r"|(?P<rationales>rationales?)"
    r"|(?P<thinking>let['’]?s[ \t]think[ \t]step[ \t]by[ \t]step)"
    r"|(?P<steps>step[ \t]{0,4}(?P<number>\d{1,4}))"
    r"|(?P<final_answer>the[ \t]final[ \t]answer[ \t]is)"
    r")(?![a-z0-9])[ \t]{0,8}\*{0,2}[ \t]{0,8}[:：.]?\*{0,2}",
    re.IGNORECASE,
)


_FENCE = re.compile(r"^[ \t]*```\w*[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sections:
    """A response's sections: the text under each heading, stripped; None where the heading is missing.

    Attributes:
        description: Under `### Image Description:` (the first one, should it be repeated).
        rationales: Under `### Rationales:` (the first one).
        thinking: Under `### Let's think step by step.` up to the next heading: usually empty, never the steps.
        steps: From the `### Step 1` heading through the last step, later `### Step n` headings included; None when
            no step is numbered 1.
        final_answer: Under the last `### The final answer is:`, up to its line's end.
    """

    description: str | None = None
    rationales: str | None = None
    thinking: str | None = None
    steps: str | None = None
    final_answer: str | None = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """An answer found in a completion.

    Attributes:
        text: The answer, stripped; never empty.
        closed: Whether anything ended it. An open answer runs to the end of the completion, so it may be cut off
            when the length ran out.
    """

    text: str
    closed: bool


def split_sections(text: str) -> Sections:
    """The paper's sections of a response (PeBR-R1, arXiv 2509.13031: the response format).

    A heading is two to six `#` and the heading's words, in any case, anywhere in a line: word-level tokenizers do
    not always give line breaks back. Only the last `MAX_CHARS` characters are read.
    """
    text = text[-MAX_CHARS:]
    found: dict[str, str] = {}
    steps: list[str] = []
    for match, end in _headings(text):
        name = str(match.lastgroup) if match.lastgroup != "number" else "steps"
        body = text[match.end() : end].strip()
        if name == "steps":
            if steps or int(match["number"]) == 1:
                steps.append(body if not steps else f"### Step {int(match['number'])}: {body}")
        elif name != "final_answer":
            found.setdefault(name, body)
    answer = find_final_answer(text)
    final = answer.text if answer else ("" if _has_final_heading(text) else None)
    return Sections(
        description=found.get("description"),
        rationales=found.get("rationales"),
        thinking=found.get("thinking"),
        steps="\n".join(steps) if steps else None,
        final_answer=final,
    )


def find_final_answer(text: str) -> Extraction | None:
    """The text after the last `### The final answer is:`, up to its line's end, or None.

    When nothing follows on that line, the next line with text is taken, unless a heading comes first. The paper
    takes the whole response when the marker is missing; here that is no answer (deviation: a response without an
    answer line counts as `unparsed`, not as wrong).
    """
    text = text[-MAX_CHARS:]
    last: Extraction | None = None
    for match, end in _headings(text):
        if match.lastgroup != "final_answer":
            continue
        body = text[match.end() : end]
        lines = _FENCE.sub("", body).lstrip().splitlines()
        answer = lines[0].strip() if lines else ""
        if answer:
            closed = len(lines) > 1 or end < len(text) or body.endswith(("\n", "\r"))
            last = Extraction(answer, closed)
        else:
            last = None
    return last


def _headings(text: str) -> list[tuple[re.Match[str], int]]:
    """Each heading with the offset where its section ends."""
    matches = list(_HEADING.finditer(text))
    ends = [*(match.start() for match in matches[1:]), len(text)]
    return list(zip(matches, ends, strict=False))


def _has_final_heading(text: str) -> bool:
    return any(match.lastgroup == "final_answer" for match, _ in _headings(text))
