"""The tables. What a row may hold is decided here, by the database, for every writer alike.

Book averages, star counts and ``book_days`` follow ``reviews`` by triggers (``data.migrations``); nothing else writes
them. ``*_key`` columns are the sortable, searchable form of a text (``data.text.sort_key``).
"""

from data.schema.base import Base
from data.schema.changes import Tombstone, TombstoneHorizon
from data.schema.library import Book, BookGenre, BookStatistics, Genre, LibraryStatistics
from data.schema.people import RefreshToken, TokenFamily, User
from data.schema.recommendations import FeedbackEvent, HiddenBook, MutedBook, ReaderSettings, ServedPage, ServedPick
from data.schema.reviews import BookDay, Favorite, IdempotencyKey, Review

__all__ = [
    "Base",
    "Book",
    "BookDay",
    "BookGenre",
    "BookStatistics",
    "Favorite",
    "FeedbackEvent",
    "Genre",
    "HiddenBook",
    "IdempotencyKey",
    "LibraryStatistics",
    "MutedBook",
    "ReaderSettings",
    "RefreshToken",
    "Review",
    "ServedPage",
    "ServedPick",
    "TokenFamily",
    "Tombstone",
    "TombstoneHorizon",
    "User",
]
