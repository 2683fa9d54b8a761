"""Readers, library, reviews, recommendations: the whole contract's tables, and the triggers that keep the counts.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from data.migrations import book_counts_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "books",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("isbn", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("cover_image_url", sa.Text(), nullable=True),
        sa.Column("publication_date", sa.Date(), nullable=True),
        sa.Column("series", sa.Text(), nullable=True),
        sa.Column("series_position", sa.Double(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("title_key", sa.Text(collation="C"), nullable=False),
        sa.Column("author_key", sa.Text(collation="C"), nullable=False),
        sa.Column("series_key", sa.Text(collation="C"), nullable=True),
        sa.Column("description_key", sa.Text(collation="C"), nullable=True),
        sa.Column(
            "search_vector",
            postgresql.TSVECTOR(),
            sa.Computed(
                "setweight(to_tsvector('simple', title_key), 'A') || setweight(to_tsvector('simple', author_key), 'B') || setweight(to_tsvector('simple', coalesce(series_key, '')), 'C') || setweight(to_tsvector('simple', coalesce(description_key, '')), 'D')",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.Column(
            "search_text",
            sa.Text(collation="C"),
            sa.Computed("title_key || ' ' || author_key || coalesce(' ' || series_key, '')", persisted=True),
            nullable=False,
        ),
        sa.Column("average_rating", sa.Numeric(precision=3, scale=2, asdecimal=False), nullable=True),
        sa.Column("total_reviews", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("stars_1", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("stars_2", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("stars_3", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("stars_4", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("stars_5", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("isbn ~ '^97[89][0-9]{10}$'", name=op.f("ck_books_isbn_13_digits")),
        sa.CheckConstraint("(average_rating IS NULL) = (total_reviews = 0)", name=op.f("ck_books_average_when_rated")),
        sa.CheckConstraint(
            "least(stars_1, stars_2, stars_3, stars_4, stars_5) >= 0", name=op.f("ck_books_stars_not_negative")
        ),
        sa.CheckConstraint(
            "total_reviews = stars_1 + stars_2 + stars_3 + stars_4 + stars_5", name=op.f("ck_books_stars_add_up")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_books")),
        sa.UniqueConstraint("isbn", name=op.f("uq_books_isbn")),
    )
    op.create_index(op.f("ix_books_author_key_id"), "books", ["author_key", "id"], unique=False)
    op.create_index(
        "ix_books_author_key_trgm",
        "books",
        ["author_key"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"author_key": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_books_average_rating_desc",
        "books",
        [sa.literal_column("average_rating DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(op.f("ix_books_average_rating_id"), "books", ["average_rating", "id"], unique=False)
    op.create_index(op.f("ix_books_created_at_id"), "books", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_books_publication_date_desc",
        "books",
        [sa.literal_column("publication_date DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(op.f("ix_books_publication_date_id"), "books", ["publication_date", "id"], unique=False)
    op.create_index(
        "ix_books_search_text_trgm",
        "books",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index("ix_books_search_vector", "books", ["search_vector"], unique=False, postgresql_using="gin")
    op.create_index(
        "ix_books_series",
        "books",
        ["series_key", "series_position"],
        unique=False,
        postgresql_where=sa.text("series_key IS NOT NULL"),
    )
    op.create_index(op.f("ix_books_title_key_id"), "books", ["title_key", "id"], unique=False)
    op.create_index(op.f("ix_books_total_reviews_id"), "books", ["total_reviews", "id"], unique=False)
    op.create_table(
        "genres",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(collation="C"), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_genres")),
    )
    op.create_index(op.f("ix_genres_name_key_id"), "genres", ["name_key", "id"], unique=False)
    op.create_index("uq_genres_name_lower", "genres", [sa.literal_column("lower(name)")], unique=True)
    op.create_table(
        "library_statistics",
        sa.Column("is_the_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("prior_mean", sa.Double(), nullable=False),
        sa.Column("prior_weight", sa.Double(), nullable=False),
        sa.Column(
            "computed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("is_the_row", name=op.f("ck_library_statistics_one_row")),
        sa.CheckConstraint(
            "prior_mean BETWEEN 1 AND 5 AND prior_weight >= 0", name=op.f("ck_library_statistics_prior_plausible")
        ),
        sa.PrimaryKeyConstraint("is_the_row", name=op.f("pk_library_statistics")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=False),
        sa.Column("last_name", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("is_admin", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("origin", sa.Text(), server_default="registered", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "origin IN ('registered', 'sample', 'goodbooks', 'generated')", name=op.f("ck_users_origin_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("uq_users_email_lower", "users", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "book_days",
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("sum", sa.Integer(), nullable=False),
        sa.CheckConstraint("n > 0 AND sum BETWEEN n AND 5 * n", name=op.f("ck_book_days_plausible")),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=op.f("fk_book_days_book_id_books"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("book_id", "day", name=op.f("pk_book_days")),
    )
    op.create_index(
        "ix_book_days_day_book_id", "book_days", ["day", "book_id"], unique=False, postgresql_include=["n", "sum"]
    )
    op.create_table(
        "book_genres",
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("genre_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book_id"], ["books.id"], name=op.f("fk_book_genres_book_id_books"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["genre_id"], ["genres.id"], name=op.f("fk_book_genres_genre_id_genres"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("book_id", "genre_id", name=op.f("pk_book_genres")),
    )
    op.create_index(op.f("ix_book_genres_genre_id_book_id"), "book_genres", ["genre_id", "book_id"], unique=False)
    op.create_table(
        "book_statistics",
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("shrunken_mean", sa.Double(), nullable=False),
        sa.Column("interval_low", sa.Double(), nullable=False),
        sa.Column("interval_high", sa.Double(), nullable=False),
        sa.Column("ratings_per_day", sa.Double(), nullable=False),
        sa.Column("trend", sa.Double(), nullable=True),
        sa.Column("is_burst", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "computed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "1 <= interval_low AND interval_low <= shrunken_mean", name=op.f("ck_book_statistics_low_below_mean")
        ),
        sa.CheckConstraint(
            "shrunken_mean <= interval_high AND interval_high <= 5", name=op.f("ck_book_statistics_high_above_mean")
        ),
        sa.ForeignKeyConstraint(
            ["book_id"], ["books.id"], name=op.f("fk_book_statistics_book_id_books"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("book_id", name=op.f("pk_book_statistics")),
    )
    op.create_table(
        "favorites",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=op.f("fk_favorites_book_id_books"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_favorites_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "book_id", name=op.f("pk_favorites")),
    )
    op.create_index(op.f("ix_favorites_book_id"), "favorites", ["book_id"], unique=False)
    op.create_index(
        op.f("ix_favorites_user_id_created_at_book_id"), "favorites", ["user_id", "created_at", "book_id"], unique=False
    )
    op.create_table(
        "hidden_books",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["book_id"], ["books.id"], name=op.f("fk_hidden_books_book_id_books"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_hidden_books_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "book_id", name=op.f("pk_hidden_books")),
    )
    op.create_index(op.f("ix_hidden_books_book_id"), "hidden_books", ["book_id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("octet_length(request_hash) = 32", name=op.f("ck_idempotency_keys_sha256")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_idempotency_keys_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "muted_books",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["book_id"], ["books.id"], name=op.f("fk_muted_books_book_id_books"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_muted_books_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "book_id", name=op.f("pk_muted_books")),
    )
    op.create_index(op.f("ix_muted_books_book_id"), "muted_books", ["book_id"], unique=False)
    op.create_table(
        "reader_settings",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("diversity", sa.Double(), nullable=True),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("diversity BETWEEN 0 AND 1", name=op.f("ck_reader_settings_diversity_0_to_1")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_reader_settings_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_reader_settings")),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("rating", sa.SmallInteger(), nullable=False),
        sa.Column("review_text", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("ck_reviews_rating_1_to_5")),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=op.f("fk_reviews_book_id_books"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_reviews_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint("user_id", "book_id", name=op.f("uq_reviews_user_id_book_id")),
    )
    op.create_index(op.f("ix_reviews_book_id_created_at_id"), "reviews", ["book_id", "created_at", "id"], unique=False)
    op.create_index(op.f("ix_reviews_book_id_rating_id"), "reviews", ["book_id", "rating", "id"], unique=False)
    op.create_index(op.f("ix_reviews_book_id_updated_at_id"), "reviews", ["book_id", "updated_at", "id"], unique=False)
    op.create_index(op.f("ix_reviews_updated_at_id"), "reviews", ["updated_at", "id"], unique=False)
    op.create_index(
        "ix_reviews_user_id_created_at_id",
        "reviews",
        ["user_id", "created_at", "id"],
        unique=False,
        postgresql_include=["book_id", "rating"],
    )
    op.create_index(
        "ix_reviews_user_id_text",
        "reviews",
        ["user_id", sa.literal_column("md5(review_text)")],
        unique=False,
        postgresql_where=sa.text("review_text IS NOT NULL"),
    )
    op.create_table(
        "served_pages",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("recommendation_type", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("filters", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("degraded", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_served_pages_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_served_pages")),
    )
    op.create_index(op.f("ix_served_pages_created_at"), "served_pages", ["created_at"], unique=False)
    op.create_index(op.f("ix_served_pages_user_id_created_at"), "served_pages", ["user_id", "created_at"], unique=False)
    op.create_table(
        "token_families",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_token_families_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_families")),
    )
    op.create_index(op.f("ix_token_families_expires_at"), "token_families", ["expires_at"], unique=False)
    op.create_index(op.f("ix_token_families_user_id"), "token_families", ["user_id"], unique=False)
    op.create_table(
        "feedback_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("event IN ('click', 'dismiss', 'read')", name=op.f("ck_feedback_events_event_known")),
        sa.ForeignKeyConstraint(
            ["book_id"], ["books.id"], name=op.f("fk_feedback_events_book_id_books"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["page_id"], ["served_pages.id"], name=op.f("fk_feedback_events_page_id_served_pages"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback_events")),
    )
    op.create_index(op.f("ix_feedback_events_book_id"), "feedback_events", ["book_id"], unique=False)
    op.create_index(op.f("ix_feedback_events_created_at"), "feedback_events", ["created_at"], unique=False)
    op.create_index(op.f("ix_feedback_events_page_id_book_id"), "feedback_events", ["page_id", "book_id"], unique=False)
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("family_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("octet_length(token_hash) = 32", name=op.f("ck_refresh_tokens_sha256")),
        sa.ForeignKeyConstraint(
            ["family_id"],
            ["token_families.id"],
            name=op.f("fk_refresh_tokens_family_id_token_families"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refresh_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_refresh_tokens_token_hash")),
    )
    op.create_index(op.f("ix_refresh_tokens_family_id"), "refresh_tokens", ["family_id"], unique=False)
    op.create_table(
        "served_picks",
        sa.Column("page_id", sa.Uuid(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["book_id"], ["books.id"], name=op.f("fk_served_picks_book_id_books"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["page_id"], ["served_pages.id"], name=op.f("fk_served_picks_page_id_served_pages"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("page_id", "rank", name=op.f("pk_served_picks")),
        sa.UniqueConstraint("page_id", "book_id", name=op.f("uq_served_picks_page_id_book_id")),
    )
    op.create_index(op.f("ix_served_picks_book_id"), "served_picks", ["book_id"], unique=False)
    for statement in book_counts_v1.CREATE:
        op.execute(statement)


def downgrade() -> None:
    for statement in book_counts_v1.DROP:
        op.execute(statement)
    op.drop_table("served_picks")
    op.drop_table("refresh_tokens")
    op.drop_table("feedback_events")
    op.drop_table("token_families")
    op.drop_table("served_pages")
    op.drop_table("reviews")
    op.drop_table("reader_settings")
    op.drop_table("muted_books")
    op.drop_table("idempotency_keys")
    op.drop_table("hidden_books")
    op.drop_table("favorites")
    op.drop_table("book_statistics")
    op.drop_table("book_genres")
    op.drop_table("book_days")
    op.drop_table("users")
    op.drop_table("library_statistics")
    op.drop_table("genres")
    op.drop_table("books")
    # The extension stays: another schema of the same database may use it.
