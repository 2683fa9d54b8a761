"""One model of RecTools or LensKit on ratings in Parquet. Runs in `.venv-yardsticks`, and imports nothing of BRS.

    .venv-yardsticks/bin/python deploy/yardsticks/run.py FOLDER "RecTools EASE" '{"ridge": 200}'

In FOLDER are `train.parquet` and `history.parquet` (reader, book, stars; oldest first), `readers.parquet` (reader) and
`task.json` (`depth`, `liked_from`). It writes `lists/RecTools EASE.parquet` (reader, place from 0, book), and on its
last line of output the seconds and the memory that it took, as JSON.
"""
# Theirs take data frames, and few of their names have types: this file is outside of mypy.

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Settings = Mapping[str, Any]
Lister = Callable[["Task"], pd.DataFrame]


class Task:
    """What is to be done, as theirs want it: likes without stars to learn from, all that was rated to leave out."""

    def __init__(self, folder: Path) -> None:
        task = json.loads((folder / "task.json").read_text())
        self.depth: int = task["depth"]
        self.readers = pd.read_parquet(folder / "readers.parquet")["reader"]
        train = pd.read_parquet(folder / "train.parquet")
        history = pd.read_parquet(folder / "history.parquet")
        self.likes = train[train["stars"] >= task["liked_from"]]
        self.rated = history[history["reader"].isin(self.readers)]
        self.liked = self.rated[self.rated["stars"] >= task["liked_from"]]

    def without_rated(self, lists: pd.DataFrame) -> pd.DataFrame:
        """Of (reader, book), best first, what the reader has not rated, the first ``depth``, with places."""
        told = lists.merge(self.rated[["reader", "book"]].assign(rated=True), on=["reader", "book"], how="left")
        fresh = told[told["rated"].isna()]
        fresh = fresh.assign(place=fresh.groupby("reader", sort=False).cumcount())
        return fresh.loc[fresh["place"] < self.depth, ["reader", "place", "book"]].astype("int32")


def rectools(make: Callable[[Settings], Any]) -> Callable[[Task, Settings], Lister]:
    """Learned from the likes; asked for as many more as a reader has rated without liking, which it does not know."""

    def learn(task: Task, settings: Settings) -> Lister:
        from rectools import Columns  # noqa: PLC0415 - only the library that is asked for
        from rectools.dataset import Dataset  # noqa: PLC0415

        likes = pd.DataFrame({Columns.User: task.likes["reader"], Columns.Item: task.likes["book"]})
        dataset = Dataset.construct(likes.assign(**{Columns.Weight: 1.0, Columns.Datetime: pd.Timestamp(0)}))
        model = make(settings)
        model.fit(dataset)

        def lists(task: Task) -> pd.DataFrame:
            known = task.readers[task.readers.isin(task.likes["reader"])]
            most = int((task.rated.groupby("reader").size() - task.liked.groupby("reader").size()).max())
            found = model.recommend(known.to_numpy(), dataset, k=task.depth + most, filter_viewed=True)
            return found.rename(columns={Columns.User: "reader", Columns.Item: "book"})[["reader", "book"]]

        return lists

    return learn


def pure_svd(settings: Settings) -> Any:  # noqa: ANN401 - theirs
    from rectools.models import PureSVDModel  # noqa: PLC0415

    return PureSVDModel(factors=settings["factors"], random_state=0)


def ease(settings: Settings) -> Any:  # noqa: ANN401 - theirs
    from rectools.models import EASEModel  # noqa: PLC0415

    return EASEModel(regularization=settings["ridge"])


def als(settings: Settings) -> Any:  # noqa: ANN401 - theirs
    from implicit.als import AlternatingLeastSquares  # noqa: PLC0415
    from rectools.models import ImplicitALSWrapperModel  # noqa: PLC0415

    return ImplicitALSWrapperModel(AlternatingLeastSquares(**settings, iterations=15, random_state=0))


def item_knn(settings: Settings) -> Any:  # noqa: ANN401 - theirs
    from implicit.nearest_neighbours import TFIDFRecommender  # noqa: PLC0415
    from rectools.models import ImplicitItemKNNWrapperModel  # noqa: PLC0415

    return ImplicitItemKNNWrapperModel(TFIDFRecommender(K=settings["neighbours"]))


def lenskit(make: Callable[[Settings], Any]) -> Callable[[Task, Settings], Lister]:
    """Learned from the likes; the reader's likes come with the query, the candidates are what they have not rated."""

    def learn(task: Task, settings: Settings) -> Lister:
        from lenskit.data import ItemList, RecQuery, from_interactions_df  # noqa: PLC0415 - as above
        from lenskit.training import TrainingOptions  # noqa: PLC0415

        likes = pd.DataFrame({"user_id": task.likes["reader"], "item_id": task.likes["book"]})
        dataset = from_interactions_df(likes)
        scorer = make(settings)
        scorer.train(dataset, TrainingOptions(rng=0))
        books = np.unique(likes["item_id"].to_numpy())

        def lists(task: Task) -> pd.DataFrame:
            rated = dict(iter(task.rated.groupby("reader")["book"]))
            found = []
            for reader, liked in task.liked.groupby("reader")["book"]:
                candidates = np.setdiff1d(books, rated[reader].to_numpy())
                query = RecQuery(user_id=int(reader), history_items=ItemList(item_ids=liked.to_numpy()))
                scores = scorer(query, ItemList(item_ids=candidates)).scores()
                scores = np.where(np.isnan(scores), -np.inf, scores)
                best = np.argsort(-scores, kind="stable")[: task.depth]
                best = best[np.isfinite(scores[best])]
                found.append(pd.DataFrame({"reader": reader, "book": candidates[best]}))
            return pd.concat(found)

        return lists

    return learn


def implicit_mf(settings: Settings) -> Any:  # noqa: ANN401 - theirs
    from lenskit.als import ImplicitMFScorer  # noqa: PLC0415

    return ImplicitMFScorer(**settings)


def lenskit_item_knn(settings: Settings) -> Any:  # noqa: ANN401 - theirs
    from lenskit.knn import ItemKNNScorer  # noqa: PLC0415

    return ItemKNNScorer(max_nbrs=settings["neighbours"], feedback="implicit")


def lenskit_ease(settings: Settings) -> Any:  # noqa: ANN401 - theirs
    from lenskit.knn import EASEScorer  # noqa: PLC0415

    return EASEScorer(regularization=settings["ridge"])


def lenskit_slim(settings: Settings) -> Any:  # noqa: ANN401 - theirs
    from lenskit.knn import SLIMScorer  # noqa: PLC0415

    return SLIMScorer(l1_reg=settings["l1"], l2_reg=settings["l2"], max_nbrs=settings["neighbours"])


MODELS: Mapping[str, Callable[[Task, Settings], Lister]] = {
    "RecTools PureSVD": rectools(pure_svd),
    "RecTools EASE": rectools(ease),
    "RecTools ALS": rectools(als),
    "RecTools item-kNN": rectools(item_knn),
    "LensKit ImplicitMF": lenskit(implicit_mf),
    "LensKit item-kNN": lenskit(lenskit_item_knn),
    "LensKit EASE": lenskit(lenskit_ease),
    "LensKit SLIM": lenskit(lenskit_slim),
}


def peak_mb() -> float:
    """Of this process: on Linux, getrusage tells that of whoever started it where that was more."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main(folder: Path, name: str, settings: Settings) -> None:
    task = Task(folder)
    started = time.perf_counter()
    lists = MODELS[name](task, settings)
    learned = time.perf_counter()
    found = task.without_rated(lists(task))
    ranked = time.perf_counter()
    (folder / "lists").mkdir(exist_ok=True)
    found.to_parquet(folder / "lists" / f"{name}.parquet", index=False)
    cost = {
        "fit_seconds": learned - started,
        "rank_seconds": ranked - learned,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(cost))  # noqa: T201 - what the caller reads


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
