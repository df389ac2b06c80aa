"""Failing stores: what can be repeated succeeds, all else is an error that names the object."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from fastpack.errors import ChangedFileError, MissingFileError, OutputExistsError, StoreError
from tests.support.extent import num_examples
from tests.support.paths import ROOT
from tests.support.stores import faults
from tests.support.stores.faults import Fault, Rule
from tests.support.stores.s3_server import READER_KEY

DATA = bytes(range(256)) * 400
STARTS, ENDS = [10, 50_000, 300], [20, 70_000, 40_000]
PARTS = [DATA[start:end] for start, end in zip(STARTS, ENDS, strict=True)]


@pytest.fixture
def weed(reach):
    return reach("seaweedfs")


def reads_of(reached, key):
    """Each way to read, with its right result."""
    store = reached.store
    return {
        "facts": (lambda: store.facts(key).size, len(DATA)),
        "read": (lambda: store.read(key), DATA),
        "ranges": (lambda: [*map(bytes, store.read_ranges(key, STARTS, ENDS))], PARTS),
        "list": (lambda: [each.key for each in store.list_objects(key)], [key]),
        "folder": (lambda: store.list_folder(f"{reached.prefix}/")[0][0].key, key),
    }


# On a busy machine a process may get no time for seconds; what hangs takes far longer.
LATE_S = 20
READS = ["facts", "read", "ranges", "list", "folder"]
PASSING = {
    "500": faults.INTERNAL_ERROR,
    "503": faults.SLOW_DOWN,
    "429": faults.THROTTLED,
    "hang up": Fault(hang_up=True),
    "reset before the body": Fault(reset_after=0),
    "reset": Fault(reset_after=7),
    "cut": Fault(cut_after=7),
    "stall": Fault(stall_after=-1),
    "stall in the body": Fault(stall_after=7),
}
OF_ANSWERS = {
    "short": Fault(shorten_by=3),
    "wrong range": Fault(shift_range=5),
}
# Faults of an answer's body cannot happen to an answer without one.
NEED_A_BODY = ["reset before the body", "reset", "cut", "stall in the body"]
WITHOUT_BODY = ["facts", "put"]


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("read", READS)
def test_a_read_is_repeated(weed, read, fault):
    weed = weed.with_options(timeout=1, deadline=20)
    call, expected = reads_of(weed, weed.put("a", DATA))[read]
    weed.server.proxy.rules.set(Rule(fault, count=2))
    assert call() == expected


def test_each_page_of_a_listing_is_an_attempt(reach):
    moto = reach("moto").with_options(timeout=2, deadline=20)
    names = [f"{number:05}" for number in range(2003)]
    for name in names:
        moto.put(name, b"")
    proxy = moto.server.proxy
    for fault in (faults.SLOW_DOWN, Fault(cut_after=70), Fault(shorten_by=9)):
        proxy.forget()
        proxy.rules.set(Rule(fault, kinds=("list",), skip=1, count=1))
        found = [facts.key for facts in moto.store.list_objects(f"{moto.prefix}/")]
        assert found == [moto.key(name) for name in names]
        assert proxy.counts()["list"] == 4
    proxy.rules.set(Rule(Fault(latency_s=1.2), kinds=("list",)))  # more than 2 s in all
    assert len(list(moto.store.list_objects(f"{moto.prefix}/"))) == len(names)


@pytest.mark.parametrize("fault", OF_ANSWERS.values(), ids=OF_ANSWERS)
@pytest.mark.parametrize("read", ["read", "ranges", "list", "folder"])
def test_wrong_answers_are_asked_for_again(weed, read, fault):
    call, expected = reads_of(weed, weed.put("a", DATA))[read]
    weed.server.proxy.rules.set(Rule(fault, kinds=("get", "list"), count=2))
    assert call() == expected


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_put_is_repeated(weed, fault):
    weed = weed.with_options(timeout=1, deadline=20)
    key = weed.put("a", b"old")
    weed.server.proxy.rules.set(Rule(fault, count=2))
    weed.store.put(key, b"new")
    assert weed.server.read(key) == b"new"


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_delete_is_repeated(weed, fault):
    weed = weed.with_options(timeout=1, deadline=20)
    keys = [weed.put(name) for name in ("a", "b", "c")]
    weed.server.proxy.rules.set(Rule(fault, count=2))
    weed.store.delete(keys[:2])
    assert weed.names() == ["c"]


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("size", [1000, 40 << 20])
def test_an_upload_is_repeated(weed, tmp_path, size, fault):
    weed = weed.with_options(timeout=2, deadline=8)
    (tmp_path / "file").write_bytes(data := os.urandom(size))
    # If the answer to "start" is lost, the client does not learn which upload it could abort.
    kinds = ("put", "part", "complete")
    weed.server.proxy.rules.set(Rule(fault, kinds=kinds, count=1))
    weed.store.upload(weed.key("a"), tmp_path / "file")
    assert weed.server.read(weed.key("a")) == data
    assert weed.server.uploads(weed.prefix) == []


CALLS = """
import json, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
from fastpack.errors import FastpackError
from fastpack.stores.registry import store_of
url, options, call = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
store, key = store_of(url, options)
begun = time.monotonic()
try:
    if call == "ranges":
        store.read_ranges(key, [10, 50_000], [20, 70_000])
    elif call == "list":
        list(store.list_objects(key))
    elif call == "put":
        store.put(key, b"data")
    elif call == "upload":
        from pathlib import Path
        store.upload(key, Path(sys.argv[4]))
    elif call == "delete":
        store.delete([key])
    else:
        getattr(store, call)(key)
    print(json.dumps(["", "", time.monotonic() - begun]))
except FastpackError as error:
    print(json.dumps([type(error).__name__, str(error), time.monotonic() - begun]))
except KeyboardInterrupt:
    print(json.dumps(["KeyboardInterrupt", "", time.monotonic() - begun]))
"""


@pytest.fixture
def start():
    """Starts a call in a process of its own, which ends with the test."""
    with contextlib.ExitStack() as processes:

        def start_call(reached, key, call, *more, **options):
            given = json.dumps({**reached.server.options, **options})
            url = f"{reached.server.url}/{key}"
            command = [sys.executable, "-c", CALLS, url, given, call, *more]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = processes.enter_context(subprocess.Popen(command, cwd=ROOT, **pipes))
            processes.callback(process.kill)
            return process

        yield start_call


def ended(process, seconds=60):
    """Returns the name of the error, its message and how long it took; kills what hangs."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        pytest.fail("the call hangs")
    assert process.returncode == 0, errors
    return json.loads(output)


def test_processes_end_cleanly(weed, start):
    """A thread of the client that waits for the GIL while Python ends would abort the process."""
    weed.put("a", DATA)
    for _ in range(5):
        running = [start(weed, weed.key("a"), call) for call in ("list", "read", "put", "delete")]
        for process in running:
            output, errors = process.communicate(timeout=30)
            assert process.returncode == 0, (output, errors)


def name_of(call):
    """Calls that change an object have one of their own."""
    return call if call in ("put", "upload", "delete") else "a"


ALL_CALLS = ["facts", "read", "ranges", "list", "put", "upload", "delete"]


@pytest.mark.parametrize("name", PASSING)
def test_a_call_ends_within_its_deadline(weed, start, name):
    weed.put("a", DATA)
    weed.server.proxy.rules.set(Rule(PASSING[name]))
    patience = {"timeout": 1, "deadline": 3}
    running = {
        call: start(weed, weed.key(name_of(call)), call, **patience)
        for call in ALL_CALLS
        if call != "upload" and (name not in NEED_A_BODY or call not in WITHOUT_BODY)
    }
    for call, process in running.items():
        kind, message, seconds = ended(process)
        assert kind == "StoreError", call
        assert seconds < 3 + LATE_S
        assert weed.server.url in message
        assert re.search(r"\d attempts in \d", message)
        assert "check the network and the store" in message
        assert (weed.prefix if call == "list" else weed.key(name_of(call))) in message
        if call == "ranges":
            assert "bytes 10 to 70000" in message
    weed.server.proxy.forget()
    assert weed.server.read(weed.key("a")) == DATA
    assert weed.server.proxy.active == 0


@pytest.mark.parametrize("call", ["read", "ranges"])
def test_a_slow_body_ends_within_the_deadline(weed, start, call):
    weed.put("a", DATA)
    weed.server.proxy.rules.set(Rule(Fault(rate=1000)))
    kind, message, seconds = ended(start(weed, weed.key("a"), call, timeout=1, deadline=3))
    assert kind == "StoreError"
    assert seconds < 3 + LATE_S
    assert weed.key("a") in message


def test_a_slow_body_in_time_is_no_failure(weed):
    key = weed.put("a", DATA[:30_000])
    weed.server.proxy.rules.set(Rule(Fault(rate=60_000)))
    assert weed.store.read(key) == DATA[:30_000]
    assert weed.server.proxy.counts() == {"get": 1}


@pytest.mark.parametrize(
    ("call", "stall_after"),
    [
        *((call, -1) for call in ALL_CALLS),
        *((call, 7) for call in ALL_CALLS if call not in WITHOUT_BODY),
    ],
)
def test_ctrl_c_ends_a_call_at_once(weed, start, tmp_path, call, stall_after):
    (tmp_path / "file").write_bytes(os.urandom(20 << 20))
    weed.put("a", DATA)
    proxy = weed.server.proxy
    proxy.rules.set(Rule(Fault(stall_after=stall_after)))
    patience = {"timeout": 100, "deadline": 200}
    process = start(weed, weed.key("a"), call, str(tmp_path / "file"), **patience)
    wait_until(lambda: proxy.active > 0)
    time.sleep(0.1)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    kind, _, _ = ended(process)
    # An upload waits for its parts before it is aborted: 10 s, as nothing is answered here.
    assert time.monotonic() - begun < LATE_S + (15 if call == "upload" else 0)
    assert kind == "KeyboardInterrupt"
    wait_until(lambda: proxy.active == 0)
    proxy.forget()
    assert call in ("put", "upload", "delete") or weed.server.read(weed.key("a")) == DATA


def wait_until(is_so, seconds=60):
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("skip", range(4))
@pytest.mark.parametrize("is_known", [False, True], ids=["etag unknown", "etag known"])
def test_an_object_replaced_while_it_is_read(weed, skip, is_known):
    key = weed.put("a", DATA)
    etag = weed.store.facts(key).etag if is_known else ""
    weed.server.proxy.forget()
    replace = Fault(act=lambda _: weed.server.put(key, b"!" * len(DATA)))
    weed.server.proxy.rules.set(Rule(replace, skip=skip, count=1))
    new = [b"!" * len(part) for part in PARTS]
    with contextlib.suppress(ChangedFileError):
        parts = [*map(bytes, weed.store.read_ranges(key, STARTS, ENDS, etag))]
        assert parts == PARTS or (parts == new and not is_known)


def test_a_replaced_object_is_named(weed):
    key = weed.put("a", DATA)
    replace = Fault(act=lambda _: weed.server.put(key, b"!" * len(DATA)))
    for skip in range(3):
        weed.server.put(key, DATA)
        etag = weed.store.facts(key).etag
        weed.server.proxy.rules.set(Rule(replace, kinds=("get",), skip=skip, count=1))
        with pytest.raises(ChangedFileError, match=f"replaced.*{weed.server.url}/{key}"):
            weed.store.read_ranges(key, STARTS, ENDS, etag)


REFUSALS = {
    "expired": (faults.EXPIRED_TOKEN, StoreError, "credentials have expired.*renew"),
    "expired 403": (Fault(403, "ExpiredToken"), StoreError, "credentials have expired.*renew"),
    "clock": (Fault(403, "RequestTimeTooSkewed"), StoreError, "clock"),
    "denied": (faults.ACCESS_DENIED, StoreError, "refuses access.*permissions"),
    "unknown key": (Fault(403, "InvalidAccessKeyId"), StoreError, "refuses access.*credentials"),
    "missing": (faults.NO_SUCH_KEY, MissingFileError, "no such object"),
    "no bucket": (faults.NO_SUCH_BUCKET, MissingFileError, "bucket"),
    "bad request": (Fault(400, "InvalidArgument"), StoreError, "refuses the request"),
    "teapot": (Fault(418, "Teapot"), StoreError, "refuses the request"),
}


@pytest.mark.parametrize(("fault", "kind", "words"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("read", READS)
def test_refusals_are_not_repeated(weed, read, fault, kind, words):
    call, _ = reads_of(weed, weed.put("a", DATA))[read]
    weed.server.proxy.rules.set(Rule(fault))
    with pytest.raises(kind, match=words) as raised:
        call()
    assert weed.prefix in str(raised.value)
    assert len(weed.server.proxy.requests) <= len(STARTS)


@pytest.mark.parametrize("read", READS)
def test_a_bucket_that_is_not_there(weed, read):
    from fastpack.stores.registry import options_of, store_at

    gone = f"{weed.server.scheme}://no-such-bucket-here"
    weed.store = store_at(gone, options_of({**weed.server.options, "deadline": 10}))
    with pytest.raises(MissingFileError, match=gone):
        reads_of(weed, weed.key("a"))[read][0]()


def test_keys_of_a_user_without_rights(weed):
    key = weed.put("a", DATA)
    reader = weed.with_options(access_key_id=READER_KEY)
    assert reader.store.read(key) == DATA
    for call in (
        lambda: reader.store.put(key, b"data"),
        lambda: reader.store.put(key, b"data", if_absent=True),
        lambda: reader.store.delete([key]),
        lambda: reader.store.upload(key, ROOT / "pyproject.toml"),
    ):
        with pytest.raises(StoreError, match=r"refuses access.*permissions") as raised:
            call()
        assert key in str(raised.value)
    assert weed.server.read(key) == DATA
    stranger = weed.with_options(secret_access_key="wrong")
    with pytest.raises(StoreError, match=r"refuses access.*credentials"):
        stranger.store.read(key)


def unreachable(weed, endpoint):
    begun = time.monotonic()
    with pytest.raises(StoreError) as raised:
        weed.with_options(endpoint=endpoint, deadline=3).store.read("folder/a")
    assert time.monotonic() - begun < 3 + LATE_S
    assert f"{weed.server.url}/folder/a" in str(raised.value)
    return str(raised.value)


def test_a_host_that_refuses_connections(weed):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    message = unreachable(weed, f"http://127.0.0.1:{port}")
    assert "check the network" in message
    assert f"127.0.0.1:{port}" in message


def test_a_host_without_an_address(weed):
    message = unreachable(weed, "http://no-such-host.invalid:9000")
    assert "no-such-host.invalid" in message


def test_a_host_that_does_not_accept(weed):
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        port = silent.getsockname()[1]
        message = unreachable(weed, f"http://127.0.0.1:{port}")
    assert "check the network" in message


@pytest.mark.parametrize("fault", [Fault(500, "InternalError", after_server=True)])
def test_a_put_whose_answer_was_lost(weed, fault):
    """The store did it, and the client repeats: the second answer says that the object exists."""
    key, rules = weed.key("a"), weed.server.proxy.rules
    rules.set(Rule(fault, kinds=("put",), count=1))
    facts = weed.store.put(key, b"mine", if_absent=True)
    assert facts.etag == weed.store.put(key, b"mine", if_match=facts.etag).etag
    rules.set(Rule(fault, kinds=("put",), count=1))
    weed.store.put(key, b"mine too", if_match=facts.etag)
    assert weed.server.read(key) == b"mine too"


def test_a_put_of_another_is_seen_after_a_lost_answer(weed):
    key = weed.key("a")
    theirs = Fault(500, "InternalError", act=lambda _: weed.server.put(key, b"theirs"))
    weed.server.proxy.rules.set(Rule(theirs, kinds=("put",), count=1))
    with pytest.raises(OutputExistsError):
        weed.store.put(key, b"mine", if_absent=True)
    assert weed.server.read(key) == b"theirs"


def test_a_storm_slows_the_client_down(weed):
    key = weed.put("a", DATA)
    weed = weed.with_options(timeout=5, deadline=20)
    before = weed.store.limiter.limit
    etag, starts = weed.store.facts(key).etag, [*range(0, 100_000, 1000)]
    weed.server.proxy.rules.set(Rule(faults.SLOW_DOWN, count=6))
    parts = weed.store.read_ranges(key, starts, [start + 5 for start in starts], etag)
    assert [*map(bytes, parts)] == [DATA[start : start + 5] for start in starts]
    assert weed.store.limiter.limit < before


def test_one_stalled_request_is_made_again(weed):
    key = weed.put("a", DATA)
    weed = weed.with_options(timeout=20, deadline=60)
    for _ in range(30):
        weed.store.read_ranges(key, [0], [1000])
    weed.server.proxy.rules.set(Rule(Fault(stall_after=-1), count=1))
    begun = time.monotonic()
    assert [*map(bytes, weed.store.read_ranges(key, [5], [9]))] == [DATA[5:9]]
    assert time.monotonic() - begun < 5


def test_reads_in_bad_weather(weed):
    weed = weed.with_options(timeout=1, deadline=60)
    keys = [weed.put(f"{number}", os.urandom(50_000)) for number in range(8)]
    data = {key: weed.server.read(key) for key in keys}
    etags = {key: weed.store.facts(key).etag for key in keys}
    every = {**PASSING, **OF_ANSWERS}
    weed.server.proxy.rules.set(
        *(
            Rule(fault, probability=0.002 if "stall" in name else 0.02, seed=seed)
            for seed, (name, fault) in enumerate(every.items())
        )
    )
    for number in range(num_examples(80)):
        key = keys[number % len(keys)]
        starts = [*range(number, 50_000, 5000)]
        ends = [start + 100 for start in starts]
        parts = weed.store.read_ranges(key, starts, ends, etags[key])
        assert [*map(bytes, parts)] == [data[key][start : start + 100] for start in starts]
    assert sum(request.fault is not None for request in weed.server.proxy.requests) > 20
