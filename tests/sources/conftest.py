"""Images for tables."""

import pytest

from tests.support.images import jpeg


@pytest.fixture
def table_files(tmp_path, monkeypatch):
    """a.jpg, b.jpg and c.jpg in the current folder."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("abc"):
        (tmp_path / f"{name}.jpg").write_bytes(jpeg(8, 8, seed=seed))
