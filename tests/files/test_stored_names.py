"""Names of objects keep the facts of the listing, whatever its order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastpack.core.ragged import Text
from fastpack.files import listed_objects
from fastpack.files.listed_objects import ListedObjects
from fastpack.stores.store import ObjectFacts

NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=9)


@given(NAMES.map(lambda names: [*dict.fromkeys(names)]), NAMES, st.booleans())
def test_rows_of_names(names, wanted, are_alike):
    facts = [ObjectFacts(f"a/{name}", row, f"e{row}", row) for row, name in enumerate(names)]
    facts = [each for each in facts if not each.key.endswith("/")]
    listed = ListedObjects([facts[:2], [], facts[2:]], "a/")
    known = {each.key[2:]: row for row, each in enumerate(facts)}
    original = listed_objects._hashes
    if are_alike:  # all names have one hash
        listed_objects._hashes = lambda names: np.zeros(len(names), np.uint64)
    try:
        rows = listed.rows_of(Text.of(wanted)).tolist()
    finally:
        listed_objects._hashes = original
    assert rows == [known.get(name, -1) for name in wanted]
    assert [listed.facts(row) for row in range(len(listed))] == facts
    assert [*listed] == [*known]
