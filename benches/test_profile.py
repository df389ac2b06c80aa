"""Tests of stages of a profile, and of errors without perf."""

import json
import os
from pathlib import Path

import pytest

from benches import profile
from benches.profile import Frame
from tests.support.images import jpeg

KERNELS = Path(__file__).parent.parent / "src_cython" / "kernels"
DECODE = "/some/where/fastpack/_native/decode.cpython-311-x86_64-linux-gnu.so"

SCRIPT = f"""\
 \t           38c4d decode_mcus.isra.0 ({DECODE})
\t           432d1 fp_sequential_decode ({DECODE})

\tffffffff821eb0e7 clear_page_erms ([kernel.kallsyms])
\tffffffff821f51c6 exc_page_fault ([kernel.kallsyms])
\tffffffff81000c82 asm_exc_page_fault ([kernel.kallsyms])
\t           41460 fp_resample ({DECODE})

\tffffffff821eb0e7 _copy_to_iter ([kernel.kallsyms])
\tffffffff821eb0e8 vfs_read ([kernel.kallsyms])

\t           3b408 fp_idct ({DECODE})
\t  1f001a0014000c [unknown] ([unknown])

\t           3b408 fp_idct ({DECODE})

"""


def test_every_kernel_has_a_stage():
    named = [name for names in profile.SOURCES.values() for name in names]
    assert len(named) == len(set(named))
    assert {path.stem for path in KERNELS.glob("*.c")} == set(named), (
        "benches/profile.py says which stage each C file is"
    )


@pytest.mark.parametrize(
    ("symbol", "library", "stage"),
    [
        ("decode_bmi2", DECODE, "entropy decoding"),
        ("fp_huffman_make", DECODE, "entropy decoding"),
        ("idct_avx2", DECODE, "inverse DCT"),
        ("across_blended_avx2", DECODE, "upsampling and color"),
        ("blend_columns_avx2", DECODE, "resampling"),
        ("fp_crc32c", DECODE.replace("decode", "gather"), "checksums"),
        ("__pyx_memoryview_new", DECODE, "Python"),
        ("_PyEval_EvalFrameDefault", "/usr/lib/libpython3.11.so.1.0", "Python"),
        ("decode_bmi2", "/usr/bin/something", "other"),
        ("[unknown]", "/usr/lib/x86_64-linux-gnu/libjpeg.so.62.3.0", "rest of the decoder"),
        ("__memmove_avx512_unaligned_erms", "/usr/lib/x86_64-linux-gnu/libc.so.6", "C library"),
        (
            "H5FL_reg_malloc",
            "/env/site-packages/h5py.libs/libhdf5-1a2b3c4d.so.310.5.1",
            "HDF5's library",
        ),
        ("LZ4_decompress_safe", "/usr/lib/liblz4.so.1", "filters"),
        ("finish_task_switch", "[kernel.kallsyms]", "system"),
    ],
)
def test_the_running_function_decides_the_stage(symbol, library, stage):
    assert profile.stage_of([Frame(symbol, library)], profile.stages_of_functions()) == stage


@pytest.mark.parametrize(
    ("asked", "stage"),
    [
        ("vfs_read", "reading"),
        ("do_preadv", "reading"),
        ("do_pwritev", "writing"),
        ("do_sys_openat2", "opening files"),
        ("exc_page_fault", "fresh memory"),
    ],
)
def test_the_request_decides_the_stage_of_the_kernel(asked, stage):
    kernel = "[kernel.kallsyms]"
    assert (
        profile.stage_of(
            [Frame("_raw_spin_lock", kernel), Frame("more", kernel), Frame(asked, kernel)], {}
        )
        == stage
    )


def test_a_fault_while_reading_is_fresh_memory():
    kernel = "[kernel.kallsyms]"
    frames = [
        Frame("clear_page_erms", kernel),
        Frame("exc_page_fault", kernel),
        Frame("_copy_to_iter", kernel),
        Frame("vfs_read", kernel),
    ]
    assert profile.stage_of(frames, {}) == "fresh memory"


def test_samples_are_counted():
    told = profile.profile_of("train", "crops", SCRIPT)
    assert told["num_samples"] == 5
    assert told["shares"] == {
        "inverse DCT": 40,
        "fresh memory": 20,
        "reading": 20,
        "entropy decoding": 20,
    }
    assert told["functions"]["inverse DCT"] == [("fp_idct", 40.0)]
    assert "40.0 %  inverse DCT" in profile.table(told)


def test_no_samples_is_an_error():
    with pytest.raises(SystemExit, match="no samples"):
        profile.profile_of("train", "crops", "\n\n")


@pytest.fixture
def photos(tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(40, 60, seed=number))
    return tmp_path


def perf(folder, monkeypatch, record):
    """Put a fake perf on the path, with nothing but what it needs."""
    (folder / "bin").mkdir()
    (folder / "script").write_text(SCRIPT)
    fake = folder / "bin" / "perf"
    fake.write_text(
        f'#!/bin/sh\nif [ "$1" = record ]; then {record}; else cat {folder}/script; fi\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


@pytest.mark.parametrize("subject", profile.SUBJECTS)
def test_each_subject_is_profiled(photos, monkeypatch, subject):
    perf(photos, monkeypatch, "sleep 0.2")
    written = photos / "profile.json"
    profile.main(
        [
            subject,
            "--photos",
            str(photos),
            "--images",
            "6",
            "--seconds",
            "0.1",
            "--json",
            str(written),
        ]
    )
    (told,) = json.loads(written.read_text())["profiles"]
    assert (told["name"], told["num_samples"]) == (subject, 5)


def test_errors_of_perf_are_reported(photos, monkeypatch):
    perf(photos, monkeypatch, "echo not permitted >&2; exit 1")
    with pytest.raises(SystemExit, match="not permitted"):
        profile.main(["train", "--photos", str(photos), "--images", "6"])


def test_without_perf_the_error_names_its_package(photos, monkeypatch):
    monkeypatch.setattr(profile.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="apt-get install linux-perf"):
        profile.main(["train", "--photos", str(photos), "--images", "6"])
