"""Text as it is sorted, searched and matched: without case and accents."""

import unicodedata

_FOLDED = str.maketrans(
    {"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "\N{LATIN SMALL LETTER DOTLESS I}": "i"}
)


def sort_key(text: str) -> str:
    """NFKD, casefolded, without combining marks, white space collapsed.

    Letters that carry their stroke inside (ø, ł, đ) have no decomposition in Unicode and are folded by a table, so that
    "Jo Nesbo" finds Jo Nesbø. Made in Python because PostgreSQL's ``unaccent`` is not immutable and cannot be indexed.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(_FOLDED)
    return " ".join("".join(c for c in folded if not unicodedata.combining(c)).split())
