"""Checks prose: banned words, long sentences, headings that are not nouns, lines over 100 columns.

Lists what it finds in files: python -m tests.support.prose [--no-columns] FILE...

It imports only the standard library, so a copy of this file runs anywhere.
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

MAX_COLUMNS = 100
MAX_WORDS = 25

# Each expression is matched as whole words in any case, outside code. The value is the remedy.
_BANNED = {
    r"who|whom|whoever|whomever|no one": "name the actor",
    r"(?:any|every|no|some)body|(?:any|every|some)one": "name the actor",
    r"told|tells?(?! apart)": "report, raise, show",
    r"tells? apart": "distinguish",
    r"anew|(?:read|decode|encode|compress|write)[ds]? again|written again": "re-encode, rebuild",
    r"let(?:s|ting)? go(?: of)?": "release, close, free",
    r"(?:is|are|was|were) (?-i:none)": "name the noun: there are no files",
    r"(?<!there )(?:is|are|was|were) no (?!longer\b|more\b|less\b|\w+er\b)": "is not a",
    r"some(?= (?:\d|hundred|thousand|million|minutes|seconds|per ?cent))": "about",
    r"behind": "after, below, at the back of",
    r"but for|all but": "except",
    r"pass(?:es|ed)? over": "skip",
    r"and the like|as ever|for ever|hitherto": "delete, or a plain word",
    r"ere|lest|shall|thereof|upon|whereof|whilst": "delete, or a plain word",
    r"in silence": "silently",
    r"(?:of|with) ours|of theirs|files of others": "fastpack's files, files of other programs",
    r"mend(?:s|ed|ing)?": "repair, fix",
    r"cannot be had": "is not available",
    r"\w*(?:behaviour|colour|favour|honour|neighbour)\w*": "American spelling",
    r"analys(?:e[sd]?|ing)|artefacts?|centred?|grey|licence": "American spelling",
    r"\w*(?:categor|custom|general|initial|maxim|minim|normal|optim|organ|parallel)"
    r"is(?:e[sd]?|ing|ation|ations)": "American spelling",
    r"\w*(?:quant|random|recogn|serial|special|standard|summar|synchron|util|vector)"
    r"is(?:e[sd]?|ing|ation|ations)": "American spelling",
}
_RULES = [
    (re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.I), remedy)
    for words, remedy in _BANNED.items()
]
_NOUN_CLAUSE = re.compile(r"(?:What|Whatever|That which)\b")
_QUESTION = re.compile(r"(?:What|How|Who|Why|When|Where|Is|Are|Does)\b")
_SENTENCE = re.compile(
    r"\S.*?(?:(?<![. ])(?<!e\.g)(?<!i\.e)(?<!etc)(?<!vs)(?<!cf)[.!?][)\"'*_]*(?=\s)|\Z)", re.S
)


class Passage(NamedTuple):
    """A paragraph, list item, heading, table row, comment or message, with its line in the file."""

    line: int
    text: str
    kind: str = "text"


class Violation(NamedTuple):
    line: int
    rule: str
    excerpt: str


# Extractors: text of a file -> passages

Extractor = Callable[[str], Iterator[Passage]]
_ITEM = re.compile(r"\s*(?:[-*+]|\d+\.) ")
_ARGUMENT = re.compile(r"\s*\*{0,2}\w[\w.]*(?: \([^)]*\))?: ")
_SECTION = re.compile(
    r"\s*(?:Args|Attributes|Examples?|Note|Raises|References?|Returns|Yields):\s*$"
)


def _paragraphs(lines: Sequence[tuple[int, str]], kind: str = "text") -> Iterator[Passage]:
    """Joins lines to paragraphs. List items, arguments and sections are separate; no doctests."""
    held: list[tuple[int, str]] = []
    in_doctest = in_section = False
    for number, line in [*lines, (0, "")]:
        in_doctest = bool(line.strip()) and (in_doctest or line.lstrip().startswith(">>>"))
        in_section = in_section or bool(_SECTION.match(line))
        begins = _ITEM.match(line) or _SECTION.match(line) or (in_section and _ARGUMENT.match(line))
        if held and (begins or in_doctest or not line.strip()):
            yield Passage(held[0][0], "\n".join(text for _, text in held), kind)
            held = []
        if line.strip() and not in_doctest:
            held.append((number, line))


def markdown(text: str) -> Iterator[Passage]:
    """Paragraphs, headings and rows of tables; fenced and indented code is left out."""
    held: list[tuple[int, str]] = []
    in_fence = in_list = False
    for number, line in enumerate([*text.split("\n"), ""], 1):
        is_fence = line.lstrip().startswith("```")
        is_code = in_fence or is_fence or (line.startswith("    ") and not in_list and not held)
        if line.strip() and not is_code:
            in_list = bool(_ITEM.match(line)) or (in_list and line.startswith(" "))
        is_apart = is_code or line.startswith(("#", "|", "<!--", "!["))
        if held and (is_apart or not line.strip()):
            yield from _paragraphs(held)
            held = []
        if line.startswith("#") and not is_code:
            yield Passage(number, line.lstrip("#").strip(), "heading")
        elif line.startswith("|"):
            yield Passage(number, line, "row")
        elif line.strip() and not is_apart:
            held.append((number, line))
        in_fence ^= is_fence


_PYTHON = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<prefix>(?<!\w)[rbfuRBFU]{0,2})"
    r"""(?P<quote>\"{3}|'{3}|\"|')(?P<string>(?:\\.|(?!(?P=quote)).)*)(?P=quote)""",
    re.S,
)
_DIRECTIVE = re.compile(
    r"#\s*(?:!|:|type:|noqa|fmt:|cython:|distutils:|pragma|ruff:|mypy:|shellcheck)"
)


def python(text: str) -> Iterator[Passage]:
    """Docstrings, comments and messages (strings of three words) of Python and Cython."""
    comments, strings = [], []
    for found in _PYTHON.finditer(text):
        (comments if found["comment"] else strings).append(found)
    yield from _comments(text, [c for c in comments if not _DIRECTIVE.match(c[0])], "#:! ")
    for group in _neighbors(text, strings):
        yield from _strings(text, group)


def _neighbors(text: str, strings: Sequence[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    """Groups strings that the compiler joins: only white space stands between them."""
    group: list[re.Match[str]] = []
    for found in strings:
        if group and (text[group[-1].end() : found.start()].strip() or len(found["quote"]) == 3):
            yield group
            group = []
        group.append(found)
    if group:
        yield group


def _strings(text: str, group: Sequence[re.Match[str]]) -> Iterator[Passage]:
    first = group[0]
    if set(first["prefix"].lower()) & set("rb"):
        return
    line = text.count("\n", 0, first.start()) + 1
    if len(first["quote"]) == 3:
        starts_line = not text[text.rfind("\n", 0, first.start()) + 1 : first.start()].strip()
        if starts_line:  # a docstring; others are programs
            yield from _paragraphs(list(enumerate(first["string"].split("\n"), line)))
        return
    joined = "".join(found["string"] for found in group)
    message = re.sub(r"\{[^{}]*\}", "X", joined).replace("\\n", " ")
    if re.search(r"[A-Za-z]{2,},? [a-z]+,? [a-z]+", message):
        yield Passage(line, message)


_C = re.compile(
    r'"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])*'"
    r"|(?P<line>//[^\n]*)"
    r"|(?P<block>/\*.*?\*/)",
    re.S,
)


def c(text: str) -> Iterator[Passage]:
    """Comments of C."""
    found = list(_C.finditer(text))
    yield from _comments(text, [match for match in found if match["line"]], "/ ")
    for match in found:
        if match["block"]:
            column = match.start() - text.rfind("\n", 0, match.start()) - 1
            # Lines that are indented further than text and lists are diagrams and tables.
            lines = [
                "" if re.match(rf" {{{column + 6}}}", line) else re.sub(r"^\s*\*(?!/)", " ", line)
                for line in match["block"][2:-2].split("\n")
            ]
            yield from _paragraphs(list(enumerate(lines, text.count("\n", 0, match.start()) + 1)))


def _comments(text: str, found: Sequence[re.Match[str]], markers: str) -> Iterator[Passage]:
    """Joins comments on successive lines; a comment after code stands alone."""
    held: list[tuple[int, str]] = []
    for match in found:
        number = text.count("\n", 0, match.start()) + 1
        starts_line = not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
        if held and not (starts_line and number == held[-1][0] + 1):
            yield from _paragraphs(held)
            held = []
        held.append((number, match[0].lstrip(markers)))
        if not starts_line:
            yield from _paragraphs(held)
            held = []
    yield from _paragraphs(held)


def script(text: str) -> Iterator[Passage]:
    """Comments of shell scripts, Makefiles, TOML and YAML: from a `#` after white space."""
    found = re.finditer(r"(?<!\S)#+(?!\S*!)[^\n]*", text)
    return _comments(text, [match for match in found if not _DIRECTIVE.match(match[0])], "# ")


# The first glob that a path matches decides. The test of the documents enables some of them.
SUBJECTS: dict[str, Extractor] = {
    "*.md": markdown,
    "*.py": python,
    "*.pyi": python,
    "*.pyx": python,
    "*.pxd": python,
    "*.c": c,
    "*.h": c,
    "*.sh": script,
    "*.toml": script,
    "*.yml": script,
    "Makefile": script,
}


# Rules


def violations(path: Path) -> list[Violation]:
    """Checks one file."""
    extract = next((extract for glob, extract in SUBJECTS.items() if path.match(glob)), None)
    if extract is None:
        raise ValueError(f"no extractor for {path}; add its ending to SUBJECTS")
    text = path.read_text(encoding="utf-8")
    found = [*_wide_lines(text, has_tables=extract is markdown)]
    for passage in extract(text):
        plain = passage._replace(text=_without_code(passage.text))
        found += [*_banned(plain), *_headings(plain), *_sentences(plain)]
    return sorted(found)


def _wide_lines(text: str, *, has_tables: bool) -> Iterator[Violation]:
    for number, line in enumerate(text.split("\n"), 1):
        breakable = re.sub(r"!?\[[^\]]*\]\(\S*\)|https?://\S+", "", line)
        if len(breakable) > MAX_COLUMNS and not (has_tables and line.startswith("|")):
            rule = f"line of {len(line)} columns, at most {MAX_COLUMNS}"
            yield Violation(number, rule, line.strip()[:60])


def _without_code(text: str) -> str:
    """Puts CODE for code spans and URLs, drops `(CODE)`, keeps texts of links and line breaks."""
    text = re.sub(r"``?[^`]+``?", lambda found: "CODE" + "\n" * found[0].count("\n"), text)
    text = re.sub(r"(!?)\[([^\]]*)\]\([^)]*\)", r"\2", text)
    text = re.sub(r"\s*\(CODE(?:,\s+CODE)*\)", lambda found: "\n" * found[0].count("\n"), text)
    return re.sub(r"https?://\S+", "CODE", text)


def _banned(passage: Passage) -> Iterator[Violation]:
    text = re.sub(r"\s", " ", passage.text)
    for rule, remedy in _RULES:
        for found in rule.finditer(text):
            line = passage.line + passage.text.count("\n", 0, found.start())
            excerpt = text[max(found.start() - 20, 0) : found.end() + 20].strip()
            yield Violation(line, f"{found[0].strip()!r} ({remedy})", excerpt)


def _headings(passage: Passage) -> Iterator[Violation]:
    if passage.kind == "heading" and _QUESTION.match(passage.text):
        yield Violation(passage.line, "heading is not a noun", passage.text)


def _sentences(passage: Passage) -> Iterator[Violation]:
    if passage.kind != "text":
        return
    item = _ITEM.match(passage.text)
    for found in _SENTENCE.finditer(passage.text, item.end() if item else 0):
        line = passage.line + found.string.count("\n", 0, found.start())
        sentence = " ".join(found[0].split()).lstrip("*_(\"'")
        num_words = sum(any(map(str.isalnum, word)) for word in sentence.split())
        if num_words > MAX_WORDS:
            rule = f"sentence of {num_words} words, at most {MAX_WORDS}"
            yield Violation(line, rule, sentence[:60])
        if _NOUN_CLAUSE.match(sentence) and not sentence.endswith("?"):
            yield Violation(line, "noun clause as subject", sentence[:60])


def main(arguments: Sequence[str]) -> int:
    """Prints one line for each violation; the exit status is 1 if there is any."""
    paths = [argument for argument in arguments if argument != "--no-columns"]
    found = [(path, *violation) for path in paths for violation in violations(Path(path))]
    if "--no-columns" in arguments:
        found = [violation for violation in found if "columns" not in violation[2]]
    for path, line, rule, excerpt in found:
        print(f"{path}:{line}: {rule}: {excerpt}")
    print(f"{len(found)} violations in {len(paths)} files", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
