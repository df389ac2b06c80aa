"""Commands that take the URLs of sets in stores, and build_indexes and verify under them."""

import gzip
import json

import numpy as np
import pytest

import fastpack
from fastpack.errors import StoreError
from tests.support.command_line import run
from tests.support.stores.faults import ACCESS_DENIED, Rule
from tests.support.stores.sets import ENDINGS, NUM_SAMPLES, NUM_SHARDS


def run_on(stored, command, *arguments, url=None):
    options = [
        part
        for name, value in stored.server.options.items()
        for part in ("--storage-option", f"{name}={value}")
    ]
    return run(command, url or stored.url, *arguments, *options)


def names_in(stored):
    prefix = f"{stored.folder}/"
    return {each.key.removeprefix(prefix) for each in stored.server.objects(prefix)}


@pytest.mark.parametrize("format", ENDINGS)
def test_index_puts_indexes_and_manifest_beside_the_shards(copy, metadata, format):
    stored = copy(format, companions=False)
    result = run_on(stored, "index", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["num_samples"] == NUM_SAMPLES
    shards = {path.name for path in stored.shards}
    companions = {f"{name}.fpindex" for name in shards} | {f"{stored.local.name}.manifest"}
    assert names_in(stored) == shards | companions
    objects = {name: stored.server.read(stored.key(name)) for name in companions}
    again = run_on(stored, "index", "--json")
    assert json.loads(again.stdout)["num_fresh"] == NUM_SHARDS
    assert objects == {name: stored.server.read(stored.key(name)) for name in companions}
    for path in metadata.rglob("*"):
        if path.is_file():
            path.unlink()
    stored.server.proxy.forget()
    assert len(stored.open()) == NUM_SAMPLES
    assert stored.server.proxy.counts() == {"head": 1, "get": 1}
    assert np.array_equal(stored.open().columns["label"], stored.opened_locally().columns["label"])


def test_seek_points_of_objects(copy):
    stored = copy(companions=False)
    result = run_on(stored, "index", "--seek-points", "--json")
    assert result.exit_code == 0, result.stderr
    local = fastpack.build_indexes(stored.local, seek_points=True)
    assert json.loads(result.stdout)["num_with_seek_points"] == local.num_with_seek_points
    assert len(stored.open(seek_points=True)) == NUM_SAMPLES


def test_index_without_permission_to_write(copy, tmp_path):
    stored = copy(companions=False)
    stored.server.proxy.rules.set(Rule(ACCESS_DENIED, ("put",)))
    result = run_on(stored, "index")
    assert result.exit_code != 0
    assert "no permission to write beside the objects; give an --index-dir" in result.stderr
    (tmp_path / "indexes").mkdir()
    result = run_on(stored, "index", "--index-dir", tmp_path / "indexes")
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "indexes").iterdir())) == NUM_SHARDS + 1
    assert names_in(stored) == {path.name for path in stored.shards}


def test_another_indexer_was_faster(copy):
    stored = copy(companions=False)
    url = f"{stored.server.url}/{stored.folder}"
    fastpack.build_indexes(stored.path)
    before = names_in(stored)
    run_on(stored, "index", "--rebuild", url=url)
    assert names_in(stored) == before


@pytest.mark.parametrize("format", ENDINGS)
def test_verify(copy, format):
    stored = copy(format)
    result = run_on(stored, "verify", "--json", "--decode")
    assert result.exit_code == 0, result.stdout
    assert json.loads(result.stdout)["num_samples"] == NUM_SAMPLES
    damaged = stored.shards[1]
    index = fastpack.open(damaged, transform=None).index
    data = bytearray(damaged.read_bytes())
    # A tar has checksums of its headers only.
    data[int(index.spans["image"][3]["offset"]) + (-400 if format == "tar" else 200)] ^= 1
    stored.server.put(stored.key(damaged.name), bytes(data))
    result = run_on(stored, "verify", "--json")
    assert result.exit_code == 1
    problems = json.loads(result.stdout)["problems"]
    assert problems
    url = f"{stored.server.url}/{stored.key(damaged.name)}"
    assert all(url in problem and "/tmp/" not in problem for problem in problems)


def test_verify_against_the_source(copy, sets):
    stored = copy()
    result = run_on(stored, "verify", "--against", sets["images"])
    assert result.exit_code == 0, result.stdout


def test_verify_notices_objects_that_the_manifest_does_not_list(copy):
    stored = copy().put_root_manifest()
    assert run_on(stored, "verify").exit_code == 0
    first, second = stored.shards[:2]
    stored.server.put(stored.key(first.name), second.read_bytes())
    result = run_on(stored, "verify")
    assert result.exit_code == 1
    assert "was replaced" in result.stdout
    stored.server.delete(stored.key(first.name))
    result = run_on(stored, "verify")
    assert result.exit_code == 1
    assert "no such object" in result.stdout


@pytest.mark.parametrize("format", ENDINGS)
def test_looking(copy, format, tmp_path):
    stored = copy(format)
    result = run_on(stored, "info", "--json")
    assert json.loads(result.stdout)["num_samples"] == NUM_SAMPLES
    assert run_on(stored, "info").exit_code == 0
    result = run_on(stored, "ls", "--rows", "3")
    assert result.exit_code == 0
    assert f"{stored.server.url}/{stored.folder}" in result.stdout
    sheet = tmp_path / "sheet.jpg"
    assert run_on(stored, "preview", "-o", sheet).exit_code == 0
    assert sheet.stat().st_size


@pytest.mark.parametrize("format", ENDINGS)
def test_copying_out(copy, format, tmp_path):
    stored = copy(format)
    output = tmp_path / "out.tar"
    result = run_on(stored, "convert", output)
    assert result.exit_code == 0, result.stderr
    converted = fastpack.open(output, transform=None)
    assert [*converted.columns["key"]] == [*stored.opened_locally().columns["key"]]
    result = run_on(stored, "extract", tmp_path / "files")
    assert result.exit_code == 0, result.stderr
    assert len([path for path in (tmp_path / "files").rglob("*") if path.is_file()]) == NUM_SAMPLES


def test_converting_compressed_objects(copy, tmp_path):
    stored = copy(companions=False)
    for path in stored.shards:
        stored.server.put(stored.key(f"gz/{path.name}"), gzip.compress(path.read_bytes()))
    url = f"{stored.server.url}/{stored.folder}/gz/train-*"
    result = run_on(stored, "convert", tmp_path / "out.h5", url=url)
    assert result.exit_code == 0, result.stderr
    assert len(fastpack.open(tmp_path / "out.h5")) == NUM_SAMPLES


def test_options_that_are_not_pairs(copy):
    result = run("info", "s3://bucket/x.tar", "--storage-option", "secret")
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.stderr
    assert "secret" not in result.stderr.replace("--storage-option", "")


def test_a_missing_set_is_an_error_of_use(copy):
    stored = copy()
    result = run_on(stored, "info", url=f"{stored.server.url}/{stored.folder}/other.tar")
    assert result.exit_code != 0
    assert "no such object" in result.stderr


def test_build_indexes_needs_permission(copy):
    stored = copy(companions=False)
    stored.server.proxy.rules.set(Rule(ACCESS_DENIED, ("put",)))
    with pytest.raises(StoreError, match="give an index_dir"):
        fastpack.build_indexes(stored.path)
