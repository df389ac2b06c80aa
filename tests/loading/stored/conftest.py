"""Sets on disk, to be copied to stores; and a folder for local metadata that is the test's own."""

import pytest

from tests.support.stores.set_fixtures import copy, metadata, sets

__all__ = ["copy", "metadata", "sets"]

pytest.importorskip("obstore", reason="pip install obstore")
