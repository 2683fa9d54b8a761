"""The SQL of ``data.loading``: where a source's rows are staged, and how they get from there into the tables."""

from typing import Final

# Books are numbered as they come: of two with one ISBN, the first keeps it.
STAGING: Final = """
CREATE TEMP TABLE staged_genres (id uuid, name text, name_key text, description text) ON COMMIT DROP;
CREATE TEMP TABLE staged_books (
    id uuid, title text, author text, isbn text, description text, cover_image_url text, publication_date date,
    series text, series_position float8, language text, title_key text, author_key text, series_key text,
    description_key text, genre_ids uuid[], created_at timestamptz, n bigint GENERATED ALWAYS AS IDENTITY
) ON COMMIT DROP;
CREATE TEMP TABLE staged_readers (
    id uuid, email text, first_name text, last_name text, created_at timestamptz
) ON COMMIT DROP;
CREATE TEMP TABLE staged_reviews (
    id uuid, user_id uuid, book_id uuid, rating int2, review_text text, created_at timestamptz
) ON COMMIT DROP;
CREATE TEMP TABLE staged_favorites (user_id uuid, book_id uuid, created_at timestamptz) ON COMMIT DROP;
CREATE TEMP TABLE new_books (id uuid PRIMARY KEY) ON COMMIT DROP;
"""

COPY: Final = {
    "genres": "COPY staged_genres (id, name, name_key, description) FROM STDIN (FORMAT binary)",
    "books": """
        COPY staged_books (
            id, title, author, isbn, description, cover_image_url, publication_date, series, series_position, language,
            title_key, author_key, series_key, description_key, genre_ids, created_at
        ) FROM STDIN (FORMAT binary)""",
    "readers": "COPY staged_readers (id, email, first_name, last_name, created_at) FROM STDIN (FORMAT binary)",
    "reviews": """
        COPY staged_reviews (id, user_id, book_id, rating, review_text, created_at) FROM STDIN (FORMAT binary)""",
    "favorites": "COPY staged_favorites (user_id, book_id, created_at) FROM STDIN (FORMAT binary)",
}
TYPES: Final = {  # of the columns above: binary COPY converts nothing
    "genres": ["uuid", "text", "text", "text"],
    "books": [
        *["uuid", "text", "text", "text", "text", "text", "date", "text", "float8", "text"],
        *["text", "text", "text", "text", "uuid[]", "timestamptz"],
    ],
    "readers": ["uuid", "text", "text", "text", "timestamptz"],
    "reviews": ["uuid", "uuid", "uuid", "int2", "text", "timestamptz"],
    "favorites": ["uuid", "uuid", "timestamptz"],
}
INDEX_STAGING: Final = """
CREATE INDEX ON staged_reviews (book_id);
ANALYZE staged_genres; ANALYZE staged_books; ANALYZE staged_readers; ANALYZE staged_reviews; ANALYZE staged_favorites;
"""

GENRES: Final = """
INSERT INTO genres (id, name, name_key, description)
SELECT id, name, name_key, description FROM staged_genres ORDER BY id
ON CONFLICT DO NOTHING
"""

# A conflict on the ISBN is resolved here and not by ON CONFLICT, which would drop the book and so orphan its reviews.
BOOKS: Final = """
WITH added AS (
    INSERT INTO books (
        id, title, author, isbn, description, cover_image_url, publication_date, series, series_position, language,
        title_key, author_key, series_key, description_key, created_at, updated_at
    )
    SELECT
        s.id, s.title, s.author,
        CASE
            WHEN row_number() OVER (PARTITION BY s.isbn ORDER BY s.n) = 1
                AND NOT EXISTS (SELECT FROM books AS b WHERE b.isbn = s.isbn AND b.id <> s.id)
            THEN s.isbn
        END,
        s.description, s.cover_image_url, s.publication_date, s.series, s.series_position, s.language,
        s.title_key, s.author_key, s.series_key, s.description_key, s.created_at, s.created_at
    FROM staged_books AS s
    ORDER BY s.id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
INSERT INTO new_books SELECT id FROM added
"""

# A genre of the source is the row with its id, else the one that already had its name. An id that the source does not
# have gives a NULL here, which the table refuses.
BOOK_GENRES: Final = """
INSERT INTO book_genres (book_id, genre_id)
SELECT DISTINCT s.id, coalesce(own.id, named.id)
FROM new_books JOIN staged_books AS s USING (id)
CROSS JOIN LATERAL unnest(s.genre_ids) AS wanted (genre_id)
LEFT JOIN staged_genres AS g ON g.id = wanted.genre_id
LEFT JOIN genres AS own ON own.id = g.id
LEFT JOIN genres AS named ON lower(named.name) = lower(g.name)
ON CONFLICT DO NOTHING
"""

READERS: Final = """
INSERT INTO users (id, email, first_name, last_name, origin, created_at, updated_at)
SELECT id, email, first_name, last_name, %(origin)s, created_at, created_at FROM staged_readers ORDER BY id
ON CONFLICT (id) DO NOTHING
"""

# The last book of each slice, in order; a slice is about as many reviews as asked for, or one book that has more.
SLICES: Final = """
SELECT DISTINCT ON (slice) book_id
FROM (
    SELECT book_id, div(sum(count(*)) OVER (ORDER BY book_id) - 1, %(size)s) AS slice
    FROM staged_reviews GROUP BY book_id
) AS running
ORDER BY slice, book_id DESC
"""
REVIEWS: Final = """
INSERT INTO reviews (id, user_id, book_id, rating, review_text, created_at, updated_at)
SELECT id, user_id, book_id, rating, review_text, created_at, created_at
FROM staged_reviews
WHERE book_id <= %(last)s AND (%(after)s::uuid IS NULL OR book_id > %(after)s)
ORDER BY book_id
ON CONFLICT DO NOTHING
"""

FAVORITES: Final = """
INSERT INTO favorites (user_id, book_id, created_at)
SELECT user_id, book_id, created_at FROM staged_favorites ORDER BY book_id, user_id
ON CONFLICT DO NOTHING
"""

# Fresh statistics for the planner, and the visibility map that index-only scans (the fold-in) need.
TIDY: Final = "VACUUM (ANALYZE) genres, books, book_genres, users, reviews, favorites, book_days"
