"""Write the page and the documents' tables: python -m benches.report benches/results/*.json"""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from benches.report import findings as found
from benches.report import tables
from benches.report.findings import Findings
from benches.report.ratios import families

# The questions of the README's chart.
_CHARTED = ("train", "records", "pixels", "pack")
# The profiles of the decoder's document.
_DECODED = ("decode", "train", "train, seek points")
# Documents have at most this many columns outside tables.
_COLUMNS = 100


def passages(findings: Findings) -> dict[str, dict[str, str]]:
    """Return document -> marker -> text. A marker without a measurement keeps its text."""
    asked = [findings.questions[name] for name in tables.QUESTIONS if name in findings.questions]
    curves = [
        f"**{curve.title}** ({curve.y_axis})\n\n{tables.curve(curve)}"
        for curve, _ in findings.curves.values()
    ]
    loops = [
        f"**{family.title}** (times the baseline's speed)\n\n{tables.ratios(family)}"
        for family in families(list(findings.comparisons.values()))
    ]
    texts = {
        "runs": tables.runs(findings.runs),
        "rivals": "\n\n".join(
            f"{_wrapped(question.title)}\n\n{tables.rivals(question)}" for question in asked
        ),
        "loops": "\n\n".join(loops),
        "scaling": "\n\n".join(curves),
        "stages": tables.profiles(list(findings.profiles.values())) if findings.profiles else "",
    }
    summary = {"benchmarks": tables.summary(findings)} if asked else {}
    decoded = [findings.profiles[name] for name in _DECODED if name in findings.profiles]
    decoder = {"stages": tables.profiles(decoded)} if decoded else {}
    measured = {marker: text for marker, text in texts.items() if text}
    documents = {"README.md": summary, "docs/benchmarks.md": measured, "docs/decoder.md": decoder}
    return {name: passages for name, passages in documents.items() if passages}


def _wrapped(title: str) -> str:
    return textwrap.fill(f"**{title}**", _COLUMNS, break_on_hyphens=False)


def written(folder: Path, findings: Findings, *, check: bool = False) -> list[str]:
    """Put the passages into the documents, or with `check` only compare; return changed names."""
    different = []
    for name, texts in passages(findings).items():
        document = before = (folder / name).read_text()
        for marker, text in texts.items():
            document = tables.place(document, marker, text)
        if document != before:
            different.append(name)
            if not check:
                (folder / name).write_text(document)
    return different


def charted(findings: Findings) -> str:
    from benches.report import plots

    chosen = [
        (tables.QUESTIONS[name], findings.questions[name])
        for name in _CHARTED
        if name in findings.questions
    ]
    return plots.poster(
        [(f"{title[0].upper()}{title[1:]}", question) for title, question in chosen]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.report", description=__doc__)
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE.json",
        help="what measurements wrote with --json",
    )
    parser.add_argument(
        "--page",
        type=Path,
        default=Path("build/benchmarks.html"),
        help="where to write the page (default: %(default)s)",
    )
    parser.add_argument(
        "--documents",
        type=Path,
        metavar="FOLDER",
        help="the project, to put tables and chart into its documents",
    )
    chosen = parser.parse_args(arguments)
    findings = found.read(chosen.files)
    _save(chosen.page, _page(findings))
    if chosen.documents:
        _save(chosen.documents / "docs" / "benchmarks.svg", charted(findings))
        for name in written(chosen.documents, findings):
            print(f"{chosen.documents / name}: new figures")


def _page(findings: Findings) -> str:
    from benches.report.page import page

    return page(findings)


def _save(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"{path}: {len(text) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
