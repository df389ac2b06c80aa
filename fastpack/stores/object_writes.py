"""ObjectWrites: the writes of an ObjectStore.

A put whose answer is lost is repeated, and the repetition of a conditional put then fails: the
object is there. So after a repetition the object is read, and equal content means success.
"""

import asyncio
import contextlib
import errno
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
from typing import Any, NoReturn, Protocol

from fastpack.errors import (
    ChangedFileError,
    FastpackError,
    MissingFileError,
    OutputExistsError,
    StoreError,
    with_location,
)
from fastpack.stores.connection import Connection
from fastpack.stores.engine import TransientError, engine
from fastpack.stores.failures import changed
from fastpack.stores.identity import facts_of
from fastpack.stores.requests import Requests
from fastpack.stores.store import Buffer, ObjectFacts, UploadProgress
from fastpack.stores.upload import FileUpload

_PARTS_AT_ONCE = 4
# Time for an upload that is interrupted to be aborted.
_ABORT_SECONDS = 10.0


class Readable(Protocol):
    """The reads of a store, by which writes are compared with what the store has."""

    def facts(self, key: str) -> ObjectFacts: ...

    def read(self, key: str, etag: str = "") -> bytes: ...

    def read_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> list[Buffer]: ...


class ObjectWrites:
    """The writes of an ObjectStore.

    Args:
        connection: to the store.
        requests: how they are repeated.
        store: reads the same objects.
    """

    def __init__(self, connection: Connection, requests: Requests, store: Readable) -> None:
        self._connection, self._requests, self._store = connection, requests, store
        self._obs = connection.obs

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectFacts:
        mode: Any = "create" if if_absent else "overwrite"
        if if_match:
            version = self._version(key, if_match)
            mode = {"e_tag": if_match, **({"version": version} if version else {})}
        num_attempts = 0

        async def put() -> ObjectFacts:
            nonlocal num_attempts
            num_attempts += 1
            with self._requests.failures(key):
                try:
                    result = await self._obs.put_async(
                        self._connection.client, key, data, mode=mode, use_multipart=False
                    )
                except self._obs.exceptions.AlreadyExistsError:
                    await self._refuse_conflict(key, is_creating=if_absent)
                    raise
                return ObjectFacts(key, len(data), result["e_tag"] or result["version"] or "", 0)

        try:
            return self._requests.run(put, key, num_bytes=len(data), may_hedge=False)
        except (OutputExistsError, ChangedFileError):
            # An attempt whose answer was lost may have succeeded.
            if num_attempts > 1 and self._store.read(key) == data:
                return self._store.facts(key)
            raise

    async def _refuse_conflict(self, key: str, *, is_creating: bool) -> None:
        """Raise TransientError if a put failed only because of another write at the same time."""
        if is_creating:
            try:
                await self._obs.head_async(self._connection.client, key)
                return
            except self._requests.missing:
                pass
        raise TransientError("another write to the object is in progress")

    def _version(self, key: str, etag: str) -> str | None:
        """Return the version with this etag: GCS compares versions when an object is replaced."""

        async def head() -> str | None:
            with self._requests.failures(key):
                meta = await self._obs.head_async(self._connection.client, key)
                if facts_of(meta).etag != etag:
                    raise changed(self._requests.location(key))
                version: str | None = meta["version"]
                return version

        return self._requests.run(head, key)

    def upload(
        self, key: str, path: Path, *, progress: UploadProgress | None = None
    ) -> ObjectFacts:
        upload = FileUpload(path, progress)
        failure: FastpackError | None = None
        try:
            if upload.is_in_parts:
                self._send_parts(key, upload)
            else:
                self.put(key, upload.whole())
        except StoreError as error:
            failure = error  # the last answer may be lost: the object shows it
        try:
            facts = self._store.facts(key)
        except MissingFileError as missing:
            raise (failure or missing) from None
        if failure is not None and not upload.has_etag(facts.etag):
            raise failure
        self._refuse_damaged(key, upload, facts)
        upload.ended()
        return facts

    def _send_parts(self, key: str, upload: FileUpload) -> None:
        future = engine().submit(self._parts_sent(key, upload))
        try:
            future.result()
        except BaseException:
            upload.stop()
            futures.wait([future], _ABORT_SECONDS)
            raise
        if upload.error is not None:
            raise upload.error

    async def _parts_sent(self, key: str, upload: FileUpload) -> None:
        put = asyncio.ensure_future(
            self._obs.put_async(
                self._connection.uploading,
                key,
                upload.parts(),
                use_multipart=True,
                chunk_size=upload.part_bytes,
                max_concurrency=_PARTS_AT_ONCE,
            )
        )
        try:
            await asyncio.shield(put)
        except asyncio.CancelledError:
            upload.stop()
            await asyncio.wait([put], timeout=_ABORT_SECONDS)
            raise
        except Exception as error:
            if upload.error is None:
                self._raise_refusal(key, error)

    def _raise_refusal(self, key: str, error: Exception) -> NoReturn:
        """Raise the error of an upload that the client has repeated in vain."""
        try:
            with self._requests.failures(key):
                raise error
        except TransientError as failure:
            remedy = "check the network and the store, and go on"
            message = f"the store did not take all parts ({failure}); {remedy}"
            text = with_location(message, self._requests.location(key))
            raise StoreError(errno.ETIMEDOUT, text) from None

    def _refuse_damaged(self, key: str, upload: FileUpload, facts: ObjectFacts) -> None:
        """Raise StoreError if the object is not the file."""
        if facts.size == upload.size:
            # AWS compares a checksum of each part, and some of its etags are not checksums.
            if upload.has_etag(facts.etag) or self._connection.compares_parts:
                return
            if upload.is_equal(lambda starts, ends: self._store.read_ranges(key, starts, ends)):
                return
        message = "the object is not the file that was uploaded; upload it again"
        raise StoreError(errno.EIO, with_location(message, self._requests.location(key)))

    def delete(self, keys: Sequence[str]) -> None:
        async def delete() -> None:
            with self._requests.failures(keys[0]):
                try:
                    await self._obs.delete_async(self._connection.client, list(keys))
                except self._requests.missing:  # which ends the call, so others may be left
                    for key in keys:
                        with contextlib.suppress(*self._requests.missing):
                            await self._obs.delete_async(self._connection.client, key)

        if keys:
            self._requests.run(delete, keys[0], may_hedge=False)
