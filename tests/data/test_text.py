import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.text import sort_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Émile  Zola", "emile zola"),
        ("Jo Nesbø", "jo nesbo"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Æsop", "aesop"),
        ("İstanbul", "istanbul"),
        (" \t ", ""),
        ("Ａｌｉｃｅ", "alice"),  # noqa: RUF001 - full-width letters are what is tested
    ],
)
def test_a_key_has_no_case_and_no_accents(text: str, key: str) -> None:
    assert sort_key(text) == key


@given(st.text())
def test_a_key_is_always_its_own_key(text: str) -> None:
    assert sort_key(sort_key(text)) == sort_key(text)
