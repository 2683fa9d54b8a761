"""What extraction costs: a library in full, what changed of it, and reading it back for training.

Each in a process of its own, so that the peak of its memory is its own.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click
import psutil

from data.database import connect
from data.embedded import status
from deploy.local.bench.library import Place, library, seconds_of

BOOKS = 10_000
# Of one night; another number, others: one in a hundred ratings, half of them corrected, a quarter gone, a quarter new;
# and one account in a thousand erased.
CHANGES = """
UPDATE reviews SET rating = 6 - rating, updated_at = clock_timestamp()
    WHERE mod(hashtextextended(id::text, 4 * %(night)s + 1), 400) IN (1, -1, 2, -2);
DELETE FROM reviews WHERE mod(hashtextextended(id::text, 4 * %(night)s + 2), 400) IN (1, -1);
INSERT INTO reviews (user_id, book_id, rating, created_at, updated_at)
    SELECT user_id, b.id, rating, clock_timestamp(), clock_timestamp()
    FROM (
        SELECT user_id, rating, row_number() OVER () AS n FROM reviews
        WHERE mod(hashtextextended(id::text, 4 * %(night)s + 3), 400) IN (1, -1)
    ) AS r
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM books) AS b
        ON b.n = 1 + r.n %% (SELECT count(*) FROM books)
    ORDER BY b.id
    ON CONFLICT DO NOTHING;
DELETE FROM users WHERE mod(hashtextextended(id::text, 4 * %(night)s + 4), 2000) IN (1, -1)
"""
_MEASURE = """
import json, resource, sys, time
from pathlib import Path
from data import lake
from pipelines.training import library_of
url, folder, what = sys.argv[1:]
before, started = time.process_time(), time.monotonic()
if what == "read":
    told = f"{len(library_of(Path(folder)).interactions):,} ratings"
else:
    told = lake.extract(url, Path(folder), bytes(32), in_full=what == "full").how
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([time.monotonic() - started, time.process_time() - before, peak, told]))
"""


class Cost(NamedTuple):
    """Seconds, seconds of CPU here and in Postgres, the peak of the process's memory in bytes, and what it did.

    Without importing: the pipeline has done that already. The memory is with it.
    """

    seconds: float
    cpu: float
    postgres: float
    peak: int
    told: str


def run(*, ratings: int, books: int = BOOKS) -> None:
    """Print a table: in full, one in a hundred changed, nothing changed, read for training."""
    with library(books, ratings) as place:
        costs = {"in full": measured(place, "full")}
        started = time.monotonic()
        changed = change(place)
        click.echo(f"{changed:,} rows changed in {time.monotonic() - started:.1f} s")
        costs["what changed"] = measured(place, "changes")
        costs["nothing changed"] = measured(place, "changes")
        costs["in full again"] = measured(place, "full")
        costs["read for training"] = measured(place, "read")
    click.echo(f"\n{'':<20}{'s':>8}{'CPU s':>8}{'Postgres':>10}{'peak MB':>9}")
    for name, cost in costs.items():
        figures = f"{cost.seconds:>8.1f}{cost.cpu:>8.1f}{cost.postgres:>10.1f}{cost.peak / 1e6:>9.0f}"
        click.echo(f"{name:<20}{figures}  {cost.told}")
    full, part = costs["in full again"], costs["what changed"]
    share = (part.cpu + part.postgres) / (full.cpu + full.postgres)
    click.echo(
        f"\nWhat changed took {share:.0%} of the CPU of everything, {part.seconds / full.seconds:.0%} of the time."
    )


def change(place: Place, night: int = 0) -> int:
    """Change the library as a day does, and let Postgres write that out. Returns how many rows it were."""
    with connect(place.databases.brs) as connection:
        within = {"night": night}
        changed = sum(connection.execute(statement.encode(), within).rowcount for statement in CHANGES.split(";"))
        connection.commit()
        connection.autocommit = True
        connection.execute("CHECKPOINT")  # it would come in the middle of a measurement
    return changed


def measured(place: Place, what: str) -> Cost:
    program = [sys.executable, "-c", _MEASURE, place.databases.brs, str(place.settings.lake), what]
    before = _postgres(place.settings.home)
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise click.ClickException(f"measuring failed: {done.stderr.strip()[-500:]}")
    seconds, cpu, peak, told = json.loads(done.stdout)
    return Cost(seconds, cpu, _postgres(place.settings.home) - before, peak, told)


def _postgres(home: Path) -> float:
    server = status(home)
    return 0.0 if server is None else seconds_of(psutil.Process(server.pid))
