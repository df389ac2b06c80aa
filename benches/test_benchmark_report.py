"""Tests of the benchmarks' page and tables. The documents must have the committed figures."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benches.curves import Curve
from benches.report import findings as found
from benches.report import tables
from benches.report.__main__ import charted, main, passages, written
from benches.report.findings import Findings, RivalResult

ROOT = Path(__file__).parent.parent
RESULTS = sorted((ROOT / "benches" / "results").glob("*.json"))
MACHINE = {"processor": "A <fine> processor", "cores": 2, "load_average": 0.5, "fastpack": "1.2.3"}


def rival_result(name, *seconds, peak_mb=10.0, num_samples=100):
    return {
        "name": name,
        "version": "7",
        "seconds": list(seconds),
        "num_samples": num_samples,
        "num_bytes": 1,
        "peak_mb": peak_mb,
    }


def question(name, *results, missing=None):
    return {
        "subject": name,
        "title": f"{name}: a title",
        "unit": "images",
        "results": list(results),
        "missing": missing or {},
    }


RIVALS = {
    "machine": MACHINE,
    "revision": "abc123",
    "command": "python -m benches.compare_rivals all",
    "subjects": [
        question(
            "train",
            rival_result("fastpack, TFRecord", 1.0, 2.0, 1.0),
            rival_result("fastpack, HDF5", 2.0, 2.5, 2.0),
            rival_result("Slow & Sons", 4.0, 4.0, 3.0, peak_mb=2345),
            rival_result("Middling", 2.0, 3.0, 2.0, num_samples=90),
            missing={"Absent <rival>": "no wheel & no source"},
        ),
        question(
            "decode",
            rival_result("C loop, libjpeg-turbo", 1.0),
            rival_result("fastpack Reader.read", 0.5),
            rival_result("Pillow", 2.0),
        ),
        question("open", rival_result("LMDB", 0.004), rival_result("fastpack, HDF5", 0.04)),
    ],
}
LOOPS = {
    "machine": MACHINE,
    "comparisons": [
        {
            "title": "crops",
            "unit": "images",
            "num_units": 10,
            "seconds": {"C loop": [2.0, 2.0], "Reader.read": [1.0, 4.0]},
        }
    ],
}
NUMBERS = {"a": {1: [10.0, 12.0], 2: [20.0, 22.0], 4: [21.0]}, "b": {1: [1000.0], 2: [1900.0]}}
CURVES = [
    Curve(name, f"about {name}", "positions", "images/s", NUMBERS)
    for name in ("threads", "batch", "image", "dataset", "dataset-memory", "memory-pack")
]
CURVES.append(
    Curve(
        "cache",
        "cold",
        "what",
        "images/s",
        {"warm": {"crops": [10.0]}, "cold": {"crops": [5.0, 7.0]}},
    )
)
SCALING = {
    "machine": MACHINE | {"load_average": 9.0},
    "curves": [curve.to_json() for curve in CURVES],
}
PROFILE = {
    "machine": MACHINE,
    "profiles": [
        {
            "name": "train",
            "title": "crops",
            "shares": {"entropy": 60.5, "Python": 4.0, "kernel": 35.5},
            "functions": {"entropy": [["decode_run", 60.5]]},
        },
    ],
}


@pytest.fixture(scope="module")
def measured() -> Findings:
    findings = Findings()
    for name, stored in {
        "rivals": RIVALS,
        "loops": LOOPS,
        "scaling": SCALING,
        "profile": PROFILE,
    }.items():
        findings.add(f"{name}.json", json.loads(json.dumps(stored)))
    return findings


@pytest.fixture(scope="module")
def made(measured) -> str:
    from benches.report.page import page

    return page(measured)


class ParsedPage(HTMLParser):
    """A parsed page: open elements, loaded resources and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.loaded, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br"):
            self.open.append(tag)
        named = dict(attributes)
        self.loaded += [
            named[name]
            for name in ("src", "href", "xlink:href")
            if not named.get(name, "#").startswith("#")
        ]
        self.loaded += [tag] if tag in ("script", "link", "img", "iframe", "object") else []

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_complete_and_loads_nothing(made):
    parsed = ParsedPage(made)
    assert parsed.open == []
    assert parsed.loaded == []
    text = " ".join(parsed.text)
    for expected in (
        "Slow & Sons",
        "Absent <rival>",
        "no wheel & no source",
        "A <fine> processor",
        "abc123",
        "compare_rivals all",
        "2,345",
    ):
        assert expected in text
    assert "the machine was busy" in text
    assert made.count("<svg") == 3 + 4 + 1 + 6 + 1
    assert not re.findall(r"url\((?!#)", made)
    assert len(made) < 400_000


def test_colors_are_variables(made):
    from benches.report import canvas

    body = made.partition("<body>")[2]
    assert not re.findall(r"#[0-9a-f]{6}", body)
    assert set(re.findall(r"var\(--([\w-]+)\)", body)) <= canvas.COLORS.keys()
    assert canvas.COLORS.keys() == canvas.DARK.keys()
    assert len(set(canvas.COLORS.values())) == len(canvas.COLORS)


def test_a_page_without_measurements_has_no_sections():
    from benches.report.page import page

    findings = Findings()
    findings.add("scaling.json", json.loads(json.dumps(SCALING)))
    made = page(findings)
    assert 'id="scaling"' in made
    assert 'id="rivals"' not in made
    assert 'id="stages"' not in made


def test_ratios_are_by_round(measured):
    train = measured.questions["train"]
    ours, other = train.fastest("ours"), train.fastest("other")
    assert (ours.name, other.name) == ("fastpack, TFRecord", "Middling")
    assert ours.ratios(other) == pytest.approx(
        [100 / 1 / (90 / 2), 100 / 2 / (90 / 3), 100 / 1 / (90 / 2)]
    )
    row = tables.summary(measured).splitlines()[2]
    assert row == (
        "| training batches: shuffled random crops of 224, decoded | 100/s (TFRecord) "
        "| 45/s (Middling) | **2.22** (1.67..2.22) | 10 : 10 |"
    )


def test_baselines_are_not_libraries(measured):
    assert measured.questions["decode"].fastest("other").name == "Pillow"
    kinds = {
        name: RivalResult(name, "", (1.0,), 1).kind
        for name in ("cat", "tar", "tf.data", "C preads, CRC", "numpy.memmap")
    }
    assert kinds == {
        "cat": "baseline",
        "tar": "baseline",
        "tf.data": "other",
        "C preads, CRC": "baseline",
        "numpy.memmap": "other",
    }


def test_a_timed_question_shows_times(measured):
    assert "| 40 ms (HDF5) | 4 ms (LMDB) | **0.10** (0.10..0.10) |" in tables.summary(measured)


@pytest.mark.parametrize(("first", "second", "kept"), [(3, 1, 3), (1, 3, 3), (2, 2, 2)])
def test_the_run_with_more_rounds_counts(first, second, kept):
    findings = Findings()
    for number, rounds in enumerate((first, second)):
        findings.add(
            f"{number}.json",
            {
                "machine": MACHINE,
                "subjects": [question("train", rival_result("fastpack", *[1.0 + number] * rounds))],
            },
        )
    assert findings.questions["train"].num_rounds == kept
    if first == second:
        assert findings.questions["train"].run.name == "1.json"


def test_missing_rivals_are_in_the_tables(measured):
    assert "Missing: Absent <rival>." in tables.summary(measured)
    assert "| Absent <rival> | missing | | | | |" in tables.rivals(measured.questions["train"])


@pytest.mark.parametrize(
    "document", ["nothing here", "<!-- a --><!-- /a --> and <!-- a --><!-- /a -->", "<!-- a -->"]
)
def test_a_passage_needs_its_markers(document):
    with pytest.raises(ValueError, match="once"):
        tables.place(document, "a", "text")


def test_one_command_writes_page_chart_and_documents(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("before <!-- benchmarks -->old<!-- /benchmarks --> after")
    markers = "".join(
        f"<!-- {name} --><!-- /{name} -->\n"
        for name in ("runs", "rivals", "loops", "scaling", "stages")
    )
    (tmp_path / "docs" / "benchmarks.md").write_text(markers)
    (tmp_path / "docs" / "decoder.md").write_text("<!-- stages --><!-- /stages -->")
    for name, stored in {"rivals": RIVALS, "scaling": SCALING, "profile": PROFILE}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(stored))
    files = [str(path) for path in tmp_path.glob("*.json")]
    main([*files, "--page", str(tmp_path / "new" / "page.html"), "--documents", str(tmp_path)])
    assert (tmp_path / "new" / "page.html").read_text().startswith("<!doctype html>")
    assert "prefers-color-scheme:dark" in (tmp_path / "docs" / "benchmarks.svg").read_text()
    assert "45/s (Middling)" in (tmp_path / "README.md").read_text()
    assert all(
        "decode_run" in (tmp_path / "docs" / name).read_text()
        for name in ("benchmarks.md", "decoder.md")
    )
    assert written(tmp_path, found.read(map(Path, files)), check=True) == []


def test_ratios_of_one_subject_are_grouped():
    from benches.report import ratios

    findings = Findings()
    cases = [
        f"hdf5, lz4, chunks of {chunk}, threads: {threads}"
        for threads in (1, 2)
        for chunk in (1, 16, 64, 256)
    ]
    seconds = {"fastpack": [1.0, 1.0], "h5py": [2.0, 4.0]}
    comparisons = [
        {"title": title, "unit": "images", "num_units": 10, "seconds": seconds} for title in cases
    ]
    comparisons[0]["seconds"] = {"C preads": [0.5, 0.5]} | seconds
    comparisons[1]["seconds"] = seconds | {f"rival {number}": [3.0, 3.0] for number in range(12)}
    findings.add("loops.json", {"machine": MACHINE, "comparisons": comparisons})
    first, _ = ratios.families(list(findings.comparisons.values()))
    assert (first.title, list(first.cases)) == (
        "hdf5, threads: 1",
        [f"lz4, chunks of {chunk}" for chunk in (1, 16, 64, 256)],
    )
    assert "times the speed of fastpack," in ratios.plot(first)
    head, _, row, *others = tables.ratios(first).splitlines()
    assert head.startswith("| | baseline | C preads | h5py | rival 0 |")
    assert row.startswith(
        "| lz4, chunks of 1 | fastpack | **2.00** (2.00..2.00) | **0.38** (0.25..0.50) |  |"
    )
    assert {other.count("|") for other in others} == {head.count("|")}


# Committed figures


def test_the_documents_have_the_committed_figures():
    assert RESULTS
    different = written(ROOT, found.read(RESULTS), check=True)
    assert not different, f"make bench-report brings {different} up to date"


def test_the_chart_has_the_committed_figures():
    texts = [
        re.findall(r"<text[^>]*>(.*?)</text>", svg)
        for svg in ((ROOT / "docs" / "benchmarks.svg").read_text(), charted(found.read(RESULTS)))
    ]
    assert texts[0] == texts[1], "make bench-report brings docs/benchmarks.svg up to date"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_committed_figures_name_their_machine_but_no_folder(path):
    text = path.read_text()
    assert {"processor", "cores", "system", "python", "fastpack"} <= json.loads(text)[
        "machine"
    ].keys()
    assert not re.findall(r"""[\s"'=](/|\.\./)\w+/""", text)


def test_every_passage_has_its_markers():
    for name, texts in passages(found.read(RESULTS)).items():
        for marker in texts:
            tables.place((ROOT / name).read_text(), marker, "")
