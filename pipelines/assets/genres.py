"""The genre model: what a book without genres might be."""
# ruff: noqa: PLC0415 - scikit-learn takes seconds to import, which a page that only shows this asset need not wait for

import json

import dagster as dg
import polars as pl

from data import lake
from pipelines.assets import OWNERS
from pipelines.resources import State
from pipelines.training import GENRE_METRICS, emptied


@dg.asset(
    deps=["books", "genres", "book_genres"],
    owners=OWNERS,
    group_name="genres",
    kinds={"scikitlearn", "skops"},
    description=(
        "Genres from title, author and description: TF-IDF and one logistic regression a genre, judged on a fifth of"
        " the books, then fitted on all. A library with too few books has no genre model, which stops nothing."
    ),
)
def genre_model(state: dg.ResourceParam[State]) -> dg.MaterializeResult[None]:
    from models.training.genres import GenreParams, Texts, TooFewBooks, evaluate, fit, save

    params = GenreParams()
    folder = emptied(state.work / "genres")
    books = _books(state)
    texts = Texts(books["title"].to_list(), books["author"].to_list(), books["description"].to_list())
    genres = [own or [] for own in books["genres"].to_list()]
    try:
        report = evaluate(texts, genres, params)
        model = fit(texts, genres, params)
    except TooFewBooks as exc:
        return dg.MaterializeResult(metadata={"learned": False, "why not": str(exc)})
    save(model, folder)
    (folder / GENRE_METRICS).write_text(json.dumps(report.metrics))
    return dg.MaterializeResult(metadata={"learned": True, "genres": len(model.genres), **report.metrics})


def _books(state: State) -> pl.DataFrame:
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
