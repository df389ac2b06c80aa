"""FsspecStore: URLs that obstore lacks, such as hf://, through fsspec. It only reads.

Calls run in threads, several at a time. fsspec cannot end a call that has begun, so a deadline
ends the wait for it.
"""

import concurrent.futures
import datetime
import errno
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from fastpack.errors import (
    FastpackError,
    Location,
    MissingFileError,
    MissingPackageError,
    OptionError,
    StoreError,
    with_location,
)
from fastpack.stores.failures import changed, ends_early
from fastpack.stores.store import Buffer, ObjectFacts, Options, UploadProgress
from fastpack.stores.url import joined_url

Result = TypeVar("Result")
Future = concurrent.futures.Future

_OWN_OPTIONS = ("timeout", "deadline")
_DEADLINE = 120.0
_NUM_THREADS = 16
_NUM_ATTEMPTS = 4
_FIRST_PAUSE = 0.2
# Names under which file systems give the identity of a content.
_IDENTITIES = ("ETag", "etag", "e_tag", "blob_id", "oid", "sha", "sha256", "md5", "checksum")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")


def is_known(scheme: str) -> bool:
    """Return True if fsspec is installed and has a file system for a scheme."""
    try:
        from fsspec.registry import known_implementations
    except ImportError:
        return False
    return scheme in known_implementations and scheme not in ("file", "local")


class FsspecStore:
    """The objects below one root. See Store.

    Args:
        root: the URL of the root.
        options: of the file system, and `deadline` in seconds.

    Raises:
        MissingPackageError: the file system needs a package that is not installed.
        OptionError: the file system refuses an option.
    """

    def __init__(self, root: str, options: Options = ()) -> None:
        self._root, given = root, dict(options)
        self._deadline = float(given.get("deadline", _DEADLINE))
        self._system = _system_of(root, given)
        self._threads = concurrent.futures.ThreadPoolExecutor(_NUM_THREADS, "fastpack-fsspec")

    @property
    def root(self) -> str:
        return self._root

    def url(self, key: str) -> str:
        """Return the URL of an object."""
        return joined_url(self._root, key)

    def facts(self, key: str) -> ObjectFacts:
        return self._run(key, lambda: self._facts(key))

    def list_objects(self, prefix: str) -> Iterator[ObjectFacts]:
        folder = prefix.rpartition("/")[0]

        def find() -> Mapping[str, Any]:
            found: Mapping[str, Any] = self._system.find(self._path(folder), detail=True)
            return found

        objects = (self._facts_of(info) for info in self._run(folder, find).values())
        chosen = [facts for facts in objects if facts.key.startswith(prefix)]
        return iter(sorted(chosen, key=lambda facts: facts.key))

    def list_pages(self, folder: str) -> Iterator[list[ObjectFacts]]:
        if page := list(self.list_objects(folder)):
            yield page

    def list_folder(self, folder: str) -> tuple[list[ObjectFacts], list[str]]:
        def listing() -> list[Mapping[str, Any]]:
            try:
                return list(self._system.ls(self._path(folder), detail=True))
            except FileNotFoundError:  # a folder without objects is not there
                return []

        entries = self._run(folder, listing)
        files = [self._facts_of(info) for info in entries if info["type"] == "file"]
        folders = [self._key(info["name"]) for info in entries if info["type"] == "directory"]
        names = sorted(key.rstrip("/").rpartition("/")[2] for key in folders)
        return sorted(files, key=lambda facts: facts.key), names

    def read(self, key: str, etag: str = "") -> bytes:
        size = self.facts(key).size
        return bytes(self.read_ranges(key, [0], [size], etag)[0])

    def read_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> list[Buffer]:
        future = self.start_ranges(key, starts, ends, etag)
        try:
            return future.result()
        except BaseException:  # Ctrl-C too
            future.cancel()
            raise

    def start_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> "Future[list[Buffer]]":
        """Start to read ranges; cancelling the future drops the calls that have not begun."""
        known = etag or (self.facts(key).etag if starts else "")
        whole: Future[list[Buffer]] = Future()
        whole.set_running_or_notify_cancel()
        gathered = _Gathered(whole, len(starts), lambda: self._refuse_changed(key, known))
        gathered.fail_after(self._deadline, self._late(key, min(starts, default=None)))
        deadline = time.monotonic() + self._deadline
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            self._threads.submit(self._read_one, gathered, row, key, (start, end), deadline)
        if not starts:
            gathered.complete()
        return _Cancelable(whole, gathered)

    def _read_one(
        self, gathered: "_Gathered", row: int, key: str, span: tuple[int, int], deadline: float
    ) -> None:
        if gathered.is_over:
            return
        start, end = span

        def cat() -> bytes:
            data: bytes = self._system.cat_file(self._path(key), start=start, end=end)
            if len(data) != end - start:
                size = self._facts(key).size
                if size < end:
                    raise ends_early(end, Location(self.url(key), offset=start))
                raise OSError(f"the answer had {len(data)} bytes instead of {end - start}")
            return data

        try:
            gathered.put(row, b"" if end <= start else self._repeated(key, cat, deadline, start))
        except BaseException as failure:
            gathered.fail(failure)

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectFacts:
        self._refuse_write(key)

    def upload(
        self, key: str, path: Path, *, progress: UploadProgress | None = None
    ) -> ObjectFacts:
        self._refuse_write(key)

    def delete(self, keys: Sequence[str]) -> None:
        if keys:
            self._refuse_write(keys[0])

    def _refuse_write(self, key: str) -> NoReturn:
        message = (
            "fastpack only reads from this store; write to local disk, and upload with the "
            "store's own tool"
        )
        raise StoreError(errno.EROFS, with_location(message, Location(self.url(key))))

    def _refuse_changed(self, key: str, etag: str) -> None:
        """Raise ChangedFileError if an object does not have this etag."""
        if etag and self._facts(key).etag != etag:
            raise changed(Location(self.url(key)))

    def _run(self, key: str, call: Callable[[], Result]) -> Result:
        """Run a call in a thread, and wait for it until the deadline."""
        deadline = time.monotonic() + self._deadline
        future = self._threads.submit(self._repeated, key, call, deadline, None)
        try:
            return future.result(self._deadline)
        except concurrent.futures.TimeoutError:
            raise self._late(key, None) from None

    def _repeated(
        self, key: str, call: Callable[[], Result], deadline: float, offset: int | None
    ) -> Result:
        """Repeat a call that fails, with pauses that double."""
        pause = _FIRST_PAUSE
        for attempt in range(1, _NUM_ATTEMPTS + 1):
            try:
                return call()
            except FastpackError:
                raise
            except FileNotFoundError:
                message = "there is no such object or folder; check the URL"
                text = with_location(message, Location(self.url(key)))
                raise MissingFileError(errno.ENOENT, text) from None
            except PermissionError as error:
                message = f"the store refuses access ({_line(error)}); check the credentials"
                text = with_location(message, Location(self.url(key)))
                raise StoreError(errno.EACCES, text) from None
            except Exception as error:
                if attempt == _NUM_ATTEMPTS or time.monotonic() + pause > deadline:
                    raise self._late(key, offset, f"{attempt} attempts: {_line(error)}") from error
            time.sleep(pause)
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _late(self, key: str, offset: int | None, why: str = "no answer in time") -> StoreError:
        message = f"the store did not answer ({why}); check the network, or raise the deadline"
        text = with_location(message, Location(self.url(key), offset=offset))
        return StoreError(errno.ETIMEDOUT, text)

    def _path(self, key: str) -> str:
        path: str = self._system._strip_protocol(self.url(key))
        return path

    def _key(self, path: str) -> str:
        root: str = self._system._strip_protocol(self._root)
        return path.strip("/").removeprefix(root.strip("/")).strip("/")

    def _facts(self, key: str) -> ObjectFacts:
        self._system.invalidate_cache()
        info = self._system.info(self._path(key))
        if info["type"] != "file":
            raise FileNotFoundError(key)
        return self._facts_of(info)

    def _facts_of(self, info: Mapping[str, Any]) -> ObjectFacts:
        mtime_ns = _time_of(info)
        given = next((str(info[name]) for name in _IDENTITIES if info.get(name)), "")
        size = int(info["size"])
        etag = given or f"{mtime_ns} {size}"  # the size too: times may be coarse, or 0
        return ObjectFacts(self._key(info["name"]), size, etag, mtime_ns)


class _Gathered:
    """The parts of a future's result, by several threads."""

    def __init__(
        self, whole: "Future[list[Buffer]]", count: int, check: Callable[[], None]
    ) -> None:
        self._whole, self._check, self._left = whole, check, count
        self._buffers: list[Buffer] = [b""] * count
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self.is_over = False

    def fail_after(self, seconds: float, failure: BaseException) -> None:
        """Fail if the parts are not there in time: a call may never return."""
        self._timer = threading.Timer(seconds, self.fail, [failure])
        self._timer.daemon = True
        self._timer.start()

    def put(self, row: int, data: Buffer) -> None:
        """Add a part; the last one completes the result, if all are of one content."""
        with self._lock:
            self._buffers[row] = data
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._check()
            self.complete()

    def complete(self) -> None:
        self._end(lambda: self._whole.set_result(self._buffers))

    def fail(self, failure: BaseException) -> None:
        self._end(lambda: self._whole.set_exception(failure))

    def cancel(self) -> None:
        self._end(lambda: self._whole.set_exception(concurrent.futures.CancelledError()))

    def _end(self, end: Callable[[], None]) -> None:
        with self._lock:
            is_first, self.is_over = not self.is_over, True
        if is_first:
            if self._timer is not None:
                self._timer.cancel()
            end()


class _Cancelable(Future):  # type: ignore[type-arg]
    """A future whose `cancel` drops the calls that have not begun."""

    def __init__(self, whole: "Future[list[Buffer]]", gathered: _Gathered) -> None:
        super().__init__()
        self._gathered = gathered
        self.set_running_or_notify_cancel()
        whole.add_done_callback(self._take)

    def _take(self, whole: "Future[list[Buffer]]") -> None:
        failure = whole.exception()
        if failure is not None:
            self.set_exception(failure)
        else:
            self.set_result(whole.result())

    def cancel(self) -> bool:
        self._gathered.cancel()
        return True


def _system_of(root: str, given: Mapping[str, Any]) -> Any:
    import fsspec

    scheme = root.partition("://")[0]
    options = {name: value for name, value in given.items() if name not in _OWN_OPTIONS}
    try:
        return fsspec.filesystem(scheme, skip_instance_cache=True, **options)
    except ImportError as error:
        message = f"{scheme}:// URLs need a package: {_line(error)}"
        raise MissingPackageError(with_location(message, Location(root))) from error
    except Exception as error:
        message = f"the file system refuses its options: {_line(error)}; correct them"
        raise OptionError(with_location(message, Location(root))) from error


def _line(error: BaseException) -> str:
    return (str(error).partition("\n")[0].strip() or type(error).__name__)[:300]


def _time_of(info: Mapping[str, Any]) -> int:
    """Return the time of the last modification in ns; 0 if it is not known."""
    value = next((info[name] for name in _TIMES if info.get(name)), None)
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1000) * 1_000_000
    return round(value * 1000) * 1_000_000 if isinstance(value, int | float) else 0
