"""Azurite, Microsoft's emulator of Azure Blob Storage; from npm."""

from functools import cached_property
from typing import Any

import pytest

from tests.support.stores.server import Process, answers, free_ports, program
from tests.support.stores.store_server import Stored, StoreServer

ACCOUNT = "devstoreaccount1"
# Public: every Azurite has this account with this key.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class AzuriteServer(StoreServer):
    """Blobs in memory; Microsoft's own client looks at them."""

    name, bucket, scheme = "azurite", "azurite-container", "az"

    def _start(self) -> tuple[Process, int]:
        pytest.importorskip("azure.storage.blob", reason="pip install azure-storage-blob")
        azurite = program("azurite-blob", remedy="npm install --global azurite")
        (port,) = free_ports(1)
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck"]
        options += ["--inMemoryPersistence", "--disableTelemetry", "--silent"]
        process = Process([azurite, *options], self.folder)
        process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/"))
        return process, port

    def environment_of(self, address: str) -> dict[str, str]:
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": f"{address}/{ACCOUNT}",
            "NO_PROXY": "127.0.0.1",
        }

    def options_of(self, address: str) -> dict[str, str | bool]:
        return {
            "account_name": ACCOUNT,
            "account_key": KEY,
            "endpoint": f"{address}/{ACCOUNT}",
            "allow_http": True,
        }

    @cached_property
    def client(self) -> Any:
        """Microsoft's client of the container, past the proxy."""
        from azure.storage.blob import ContainerClient

        account = f"{self.direct}/{ACCOUNT}"
        return ContainerClient(account, self.bucket, credential=KEY)

    def _make_bucket(self) -> None:
        self.client.create_container()

    def put(self, key: str, data: bytes) -> None:
        self.client.upload_blob(key, data, overwrite=True)

    def read(self, key: str) -> bytes:
        return bytes(self.client.download_blob(key).readall())

    def delete(self, key: str) -> None:
        self.client.delete_blob(key)

    def objects(self, prefix: str = "") -> list[Stored]:
        found = self.client.list_blobs(name_starts_with=prefix)
        return sorted((Stored(each.name, each.size) for each in found), key=lambda at: at.key)
