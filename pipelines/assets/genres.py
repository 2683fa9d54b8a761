"""The genre model, and what it proposes for the books without genres."""
# ruff: noqa: PLC0415 - scikit-learn takes seconds to import, which a page that only shows this asset need not wait for

import json
from typing import TYPE_CHECKING
from uuid import UUID

import dagster as dg
import numpy as np
import polars as pl

from data import lake
from data.publish import GenreProposalRow, publish_proposals
from models.ids import pack
from pipelines import pictures
from pipelines.assets import OWNERS
from pipelines.resources import State
from pipelines.training import GENRE_METRICS, emptied, library_of

if TYPE_CHECKING:
    from models.training.genre_features import Books
    from models.training.genres import GenreModel

PROPOSALS = "genre_proposals"
NO_PROPOSALS = pl.DataFrame(schema={"book_id": pl.String, "genre_id": pl.String, "probability": pl.Float64})


@dg.asset(
    deps=["ratings", "books", "genres", "book_genres"],
    owners=OWNERS,
    group_name="genres",
    kinds={"scikitlearn", "skops"},
    description=(
        "Genres from title, author, series, description, year, language and readers: TF-IDF and logistic regressions in"
        " two stages, calibrated. Judged on a fifth of the books (the report tells of new authors, too), then fitted on"
        " all; what it proposes for books without genres goes to the lake. A library with too few books has"
        " no genre model, which stops nothing."
    ),
)
def genre_model(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from models.training.genre_report import evaluate, per_genre
    from models.training.genres import GenreParams, TooFewBooks, fit, save

    params = GenreParams()
    folder = emptied(state.work / "genres")
    table = _table(state)
    books, genres = _books(state, table), [own or [] for own in table["genres"].to_list()]
    try:
        report = evaluate(books, genres, params, split="random")
        model = fit(books, genres, params)
    except TooFewBooks as exc:
        lake.store(state.lake, PROPOSALS, NO_PROPOSALS)
        return dg.MaterializeResult(metadata={"learned": False, "why not": str(exc)})
    save(model, folder)
    proposals = _proposals(state, table, books, model)
    lake.store(state.lake, PROPOSALS, proposals)
    (folder / GENRE_METRICS).write_text(json.dumps(report.metrics))
    return dg.MaterializeResult(
        metadata={
            "learned": True,
            "genres": len(model.genres),
            **report.metrics,
            "proposals": len(proposals),
            "books with proposals": proposals["book_id"].n_unique(),
            "books without genres": sum(not own for own in genres),
            "per genre": dg.MetadataValue.md(per_genre({"random": report})),
            "calibration": pictures.embedded(pictures.calibration(report.reliability, "probability of a genre")),
        }
    )


@dg.asset(
    deps=["genre_model"],
    owners=OWNERS,
    group_name="publish",
    kinds={"postgres"},
    description="What administrators see as proposals for books without genres, replaced in one transaction.",
)
def genre_proposals(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    table = lake.scan(state.lake, PROPOSALS).collect()
    rows = (GenreProposalRow(UUID(book), UUID(genre), probability) for book, genre, probability in table.iter_rows())
    return dg.MaterializeResult(metadata={"dagster/row_count": publish_proposals(state.databases.brs, rows)})


def judged(state: State) -> str:
    """The genre model on books held out at random and on books of authors held out, as a table for people."""
    from models.training.genre_report import SPLITS, evaluate, per_genre
    from models.training.genres import GenreParams, TooFewBooks

    table = _table(state)
    books, genres = _books(state, table), [own or [] for own in table["genres"].to_list()]
    try:
        reports = {split: evaluate(books, genres, GenreParams(), split=split) for split in SPLITS}
    except TooFewBooks as exc:
        return str(exc)
    overall = [f"{split}: micro F1 {one.micro_f1:.3f}, macro F1 {one.macro_f1:.3f}" for split, one in reports.items()]
    return "\n\n".join((*overall, per_genre(reports)))


def _table(state: State) -> pl.DataFrame:
    """Each book with the names of its genres, sorted."""
    of_book = (
        lake.scan(state.lake, "book_genres")
        .join(lake.scan(state.lake, "genres").select(genre_id="id", name="name"), on="genre_id")
        .group_by("book_id")
        .agg(genres=pl.col("name").sort())
    )
    return (
        lake.scan(state.lake, "books").join(of_book, left_on="id", right_on="book_id", how="left").sort("id").collect()
    )


def _books(state: State, table: pl.DataFrame) -> "Books":
    from models.training.genre_features import Books, taste_vectors

    taste, readers = taste_vectors(library_of(state.lake).interactions, pack(UUID(book) for book in table["id"]))
    return Books(
        titles=table["title"].to_list(),
        authors=table["author"].to_list(),
        descriptions=table["description"].to_list(),
        series=table["series"].to_list(),
        years=table["publication_date"].dt.year().fill_null(0).to_numpy().astype(np.float32),
        languages=table["language"].to_list(),
        taste=taste,
        readers=readers,
    )


def _proposals(state: State, table: pl.DataFrame, books: "Books", model: "GenreModel") -> pl.DataFrame:
    """For the books without genres: book_id, genre_id, probability."""
    without = np.flatnonzero(table["genres"].is_null().to_numpy())
    id_of = dict(lake.scan(state.lake, "genres").select("name", "id").collect().iter_rows())
    proposed = zip(table["id"].gather(without), model.propose(books.rows(without)), strict=True)
    rows = [(book, id_of[one.genre], one.probability) for book, own in proposed for one in own]
    return pl.DataFrame(rows, schema=NO_PROPOSALS.schema, orient="row")
