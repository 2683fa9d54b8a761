"""Finding books by words: what was typed, read as what Postgres is asked for."""

import re
from typing import Final

from data.text import sort_key
from serving.books import queries, search_queries
from serving.books.schemas import SearchQuery, isbn13
from serving.books.search_queries import Asked
from serving.kit import paging
from serving.kit.db import Database
from serving.kit.envelope import json_array
from serving.kit.errors import GenreNotFound
from serving.kit.paging import Page

MOST_WORDS: Final = 16  # the others are not looked for; each costs a walk through the index
MOST_LONG_WORDS: Final = 6
LONG: Final = 4  # letters; shorter words have few trigrams, and count only where there is nothing longer
_LAST_CHARACTER: Final = "\U0010ffff"
_WORD = re.compile(r"[^\W_]+")


async def page(run: Database, query: SearchQuery) -> Page:
    """One page of the matches, best first. Two statements at most.

    Raises:
        GenreNotFound: there is no genre ``genre_id``.
    """
    filters = {name: value for name in ("genre_id", "min_rating") if (value := getattr(query, name)) is not None}
    isbn = isbn13(query.q)
    if isbn is not None:
        book = await search_queries.by_isbn(run, isbn, filters)
        total = 0 if book is None else 1
        books = [book] if book is not None and not query.offset else []
    else:
        asked = read(query.q)
        books, total = [], 0
        if asked is not None:
            books, total = await search_queries.matches(run, asked, filters, query.per_page, query.offset)
    if not total and query.genre_id is not None and not await queries.genre_exists(run, query.genre_id):
        raise GenreNotFound
    return Page(json_array(books), paging.by_page(query, total))


def read(text: str) -> Asked | None:
    """``None`` when there is no word in it."""
    key = sort_key(text)
    chunks = [chunk for chunk in key.split() if _WORD.search(chunk)]
    words = [word for chunk in chunks for word in _WORD.findall(chunk)][:MOST_WORDS]
    if not words:
        return None
    different = list(dict.fromkeys(words))
    long = [word for word in different if len(word) >= LONG] or [word for word in different if len(word) == LONG - 1]
    longest = sorted(long, key=len, reverse=True)[:MOST_LONG_WORDS]
    return Asked(
        key=key,
        titled=[key, *(f"{article} {key}" for article in ("the", "a", "an"))],
        behind_key=f"{key}{_LAST_CHARACTER}",
        inside=[f"%{word}%" for word in different],
        whole=[f"% {word} %" for word in different],
        begun=[f"% {word}%" for word in different],
        behind_a_mark=[f"(^|[^[:alnum:]]){word}" for word in different],
        query=" & ".join(_chunk(chunk, words[-1]) for chunk in dict.fromkeys(chunks[:MOST_WORDS])),
        swapped=" & ".join(map(_swapped, longest)),
        long=longest,
    )


def _chunk(chunk: str, last: str) -> str:
    """A tsquery for what stood between two blanks.

    Postgres keeps some of it together ("j.r.r" in "J.R.R. Tolkien", "-22" in "Catch-22"), so it is looked for both as
    Postgres reads it and word by word.
    """
    words = _WORD.findall(chunk)[:MOST_WORDS]
    separate = " & ".join(_word(word, last) for word in words)
    if len(words) == 1:
        return separate
    together = chunk.replace("\\", "").replace("'", "''")
    return f"('{together}':* | ({separate}))"


def _word(word: str, last: str) -> str:
    """A single letter is a beginning only at the end, where somebody is still typing."""
    begins = "" if len(word) == 1 and word != last else ":*"
    if word.isdecimal():
        return f"('{word}'{begins} | '-{word}'{begins})"
    return f"'{word}'{begins}"


def _swapped(word: str) -> str:
    swaps = (word[:place] + word[place + 1] + word[place] + word[place + 2 :] for place in range(1, len(word) - 1))
    variants = {word, *swaps}
    return "(" + " | ".join(f"'{variant}':*ABC" for variant in sorted(variants)) + ")"
