"""Connection: the client of one store, made of the user's options."""

import os
from datetime import timedelta
from typing import Any

from fastpack.core.cached import cached_property
from fastpack.errors import Location, OptionError, with_location
from fastpack.stores.client import client
from fastpack.stores.engine import Patience
from fastpack.stores.failures import reason_of
from fastpack.stores.store import Options
from fastpack.stores.url import is_web

_OWN_OPTIONS = ("timeout", "deadline", "query")
# Options of the client's connections; others are of the store.
_CONNECTION_OPTIONS = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "default_headers",
    "http1_only",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_url",
    "root_certificate",
    "user_agent",
)
_PART_RETRIES = 10
# Parts of the client's words for what it lacks.
_REMEDIES = {"Account must be": "set AZURE_STORAGE_ACCOUNT_NAME, or give it in storage_options"}
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


class Connection:
    """The client of one store.

    Args:
        root: the URL of the store.
        options: of the client, and `timeout` and `deadline` in seconds.

    Raises:
        OptionError: the client refuses an option.
        MissingPackageError: obstore is not installed.
    """

    def __init__(self, root: str, options: Options) -> None:
        self._root, self._options = root, options
        given = dict(options)
        self.patience = Patience(
            float(given.get("timeout", Patience.timeout)),
            float(given.get("deadline", Patience.deadline)),
        )
        self.obs = client()
        # The engine repeats requests: it sees which failed, and sends fewer at once.
        self.client = self._made(given, self.patience.timeout, max_retries=0)

    @cached_property
    def uploading(self) -> Any:
        """A client that repeats parts of an upload itself: only it knows them."""
        given = dict(self._options)
        if self.compares_parts:
            given.setdefault("checksum_algorithm", "SHA256")
        # A part that stalls is sent again before the deadline of all its attempts.
        return self._made(given, self.patience.deadline / 3, max_retries=_PART_RETRIES)

    @property
    def compares_parts(self) -> bool:
        """True for AWS itself, which compares each part with its checksum."""
        return self._root.startswith("s3://") and not self._endpoint

    @property
    def _endpoint(self) -> str:
        """The URL of a store that is not AWS; "" if neither options nor environment name it."""
        options = {name.removeprefix("aws_"): value for name, value in self._options}
        given = [options.get("endpoint"), options.get("endpoint_url")]
        return next(filter(None, [*given, *map(os.environ.get, _ENDPOINT_VARIABLES)]), "")

    def _made(self, given: dict[str, Any], timeout: float, max_retries: int) -> Any:
        connection = {name: given[name] for name in _CONNECTION_OPTIONS if name in given}
        connection.setdefault("connect_timeout", "10s")
        if self._root.startswith("http://"):
            connection.setdefault("allow_http", True)
        connection["timeout"] = timedelta(seconds=timeout)
        if self._endpoint.startswith("http://"):
            connection.setdefault("allow_http", True)
        others = {
            name: value
            for name, value in given.items()
            if name not in (*_CONNECTION_OPTIONS, *_OWN_OPTIONS)
        }
        deadline = timedelta(seconds=self.patience.deadline)
        retry = {"max_retries": max_retries, "retry_timeout": deadline}
        common = {"client_options": connection, "retry_config": retry}
        try:
            if is_web(self._root):
                query = f"?{given['query']}" if "query" in given else ""
                return self.obs.store.HTTPStore.from_url(self._root + query, **common)
            provider = _credentials(self._root, others)
            if provider is not None:
                common["credential_provider"] = provider
            return self.obs.store.from_url(self._root, config=others or None, **common)
        except Exception as error:
            reason = reason_of(error)
            remedy = next((text for part, text in _REMEDIES.items() if part in reason), "")
            message = f"the store's client refuses its options: {reason}"
            text = f"{message}; {remedy or 'correct them'}"
            raise OptionError(with_location(text, Location(self._root))) from None


def _credentials(root: str, options: dict[str, Any]) -> Any:
    """Return boto3's chain of credentials for profiles of AWS, which the client does not read.

    Without boto3 or a folder ~/.aws the client looks for its own: in the environment, and in the
    machine's role. To import boto3 takes 0.3 s.
    """
    is_given = any("key" in name or name == "skip_signature" for name in options)
    if not root.startswith("s3://") or is_given or not os.path.isdir(os.path.expanduser("~/.aws")):
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider()
    except Exception:  # without boto3, or without credentials: the client looks for its own
        return None
