"""Many clients at once against the whole service, with the probes that an orchestrator would send meanwhile."""

import asyncio
import itertools
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import click
import psutil

from deploy.local.bench.client import API, PASSWORD, Account, register, shelf
from deploy.local.bench.library import Api, learn, library, serve
from deploy.local.bench.visitors import Visitor
from deploy.local.bench.wire import NO_ANSWER, Request, Wire

READERS = 0.5  # of the clients are signed in
RATED = 8  # books that each reader has rated before
LOGINS_A_SECOND, PROBES_A_SECOND = 2.0, 4.0
HEALTH, DETAILED = "/health", f"{API}/monitoring/health/detailed"
GOALS = {"all": 0.500, HEALTH: 0.100, DETAILED: 0.200}  # seconds that 95 of 100 answers may take


class Shape(NamedTuple):
    clients: int
    seconds: float
    workers: int


@dataclass
class Tally:
    """Seconds that answers took, by kind of request, and how many had which status."""

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def count(self, kind: str, wire: Wire, request: Request) -> None:
        started = time.perf_counter()
        status = await wire.status(request)
        self.seconds[kind].append(time.perf_counter() - started)
        self.statuses[kind, status] += 1

    def visits(self) -> list[float]:
        """Of everything but the probes."""
        return [second for kind, seconds in self.seconds.items() if kind not in GOALS for second in seconds]

    def refused(self) -> dict[tuple[str, int], int]:
        """Answers that are no success, by kind and status."""
        return {key: n for key, n in sorted(self.statuses.items()) if not 200 <= key[1] < 300}  # noqa: PLR2004

    def failed(self) -> int:
        """Answers with a status of 500 or more, and requests without an answer."""
        return sum(n for (_, status), n in self.statuses.items() if status >= 500 or status == NO_ANSWER)  # noqa: PLR2004


def percentile(seconds: Sequence[float], percent: int) -> float:
    """The smallest value that at least ``percent`` of 100 values do not exceed; 0 of nothing."""
    ordered = sorted(seconds)
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else 0.0


def run(shape: Shape, thinks: Sequence[float], *, books: int, ratings: int) -> bool:
    """Print a table for each time to think (mean seconds between two requests of a client). Whether all goals are met.

    Raises:
        ChildFailed: the API does not start.
        Failed: an account could not be made.
    """
    with library(books, ratings) as place:
        learn(place)
        api = serve(place, workers=shape.workers)
        known = shelf(place.databases.brs)
        readers = [register(api.port) for _ in range(max(1, round(shape.clients * READERS)))]
        tokens = [reader.token for reader in readers] + [None] * (shape.clients - len(readers))
        visitors = [Visitor(known, token, seed) for seed, token in enumerate(tokens[: shape.clients])]
        asyncio.run(_settle_in(api.port, visitors))
        met = [_round(api, shape, think, visitors, readers) for think in thinks]
    return all(met)


async def _settle_in(port: int, visitors: Sequence[Visitor]) -> None:
    """Each reader rates a few books, so that there is something to go by."""
    for visitor in visitors:
        async with Wire(port, visitor.token) as wire:
            for request in (visitor.review() for _ in range(RATED if visitor.token else 0)):
                if request is not None:
                    await wire.status(request)


def _round(api: Api, shape: Shape, think: float, visitors: Sequence[Visitor], readers: Sequence[Account]) -> bool:
    before, own, all_before, started = api.cpu(), time.process_time(), busy(), time.monotonic()
    tally = asyncio.run(crowd(api.port, visitors, readers, think=think, seconds=shape.seconds))
    elapsed = time.monotonic() - started
    application, postgres = ((late - early) / elapsed for early, late in zip(before, api.cpu(), strict=True))
    clients, everybody = (time.process_time() - own) / elapsed, (busy() - all_before) / elapsed
    others = max(0.0, everybody - application - postgres - clients)
    click.echo(f"\n{shape.clients} clients, {think:g} s to think, {elapsed:.0f} s, {shape.workers} workers:")
    click.echo(f"  {len(tally.visits()) / elapsed:.0f} requests a second")
    cores = f"of {os.cpu_count()} cores: API {application:.2f}, Postgres {postgres:.2f}, these clients {clients:.2f}"
    click.echo(f"  {cores}, whatever else runs here {others:.2f}")
    return report(tally, has_pauses=think > 0)


def busy() -> float:
    """Seconds that all cores together have worked so far, for whomever."""
    times = psutil.cpu_times()
    return float(times.user + times.system)


def report(tally: Tally, *, has_pauses: bool) -> bool:
    """Print it. Whether the goals are met: no answer fails, and, where clients pause, answers come in time.

    Clients without pauses make a queue of all of them, however quick the service is.
    """
    click.echo(f"  {'milliseconds':<44}{'n':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'goal':>8}")
    rows = {"all": tally.visits(), **dict(sorted(tally.seconds.items()))}
    for kind, seconds in rows.items():
        at = "".join(f"{percentile(seconds, percent) * 1000:>8.1f}" for percent in (50, 95, 99))
        goal = f"{GOALS[kind] * 1000:>8.0f}" if kind in GOALS else ""
        click.echo(f"  {kind:<44}{len(seconds):>8}{at}{goal}")
    for (kind, status), n in tally.refused().items():
        click.echo(f"  {n} answers {status or 'missing'}: {kind}")
    slow = [kind for kind, goal in GOALS.items() if not rows.get(kind) or percentile(rows[kind], 95) >= goal]
    missed = slow if has_pauses else []
    if tally.failed():
        missed.append("no answer may fail")
    judged = "goals" if has_pauses else "goals but those of time"
    click.echo(f"  {judged}: {'missed: ' + ', '.join(missed) if missed else 'met'}")
    return not missed


async def crowd(
    port: int, visitors: Sequence[Visitor], readers: Sequence[Account], *, think: float, seconds: float
) -> Tally:
    """Let ``visitors`` come and go for so long; meanwhile ``readers`` sign in, and probes come."""
    tally = Tally()
    until = time.monotonic() + seconds
    again = itertools.cycle(readers)

    async def login() -> None:
        body = {"email": next(again).email, "password": PASSWORD}
        async with Wire(port) as wire:
            await tally.count("login", wire, Request("POST", f"{API}/auth/login/json", body))

    async def probe() -> None:
        for path in (HEALTH, DETAILED):
            async with Wire(port) as wire:  # as probes do: a new connection each time
                await tally.count(path, wire, Request("GET", path))

    async with asyncio.TaskGroup() as group:
        group.create_task(_at_a_rate(group, LOGINS_A_SECOND, until, login))
        group.create_task(_at_a_rate(group, PROBES_A_SECOND, until, probe))
        for visitor in visitors:
            group.create_task(_visit(port, visitor, tally, think, until))
    return tally


async def _visit(port: int, visitor: Visitor, tally: Tally, think: float, until: float) -> None:
    async with Wire(port, visitor.token) as wire:
        await asyncio.sleep(visitor.rng.random() * think)  # not all at the same moment
        while time.monotonic() < until:
            kind, request = visitor.next()
            await tally.count(kind, wire, request)
            if think:
                await asyncio.sleep(visitor.rng.expovariate(1 / think))


async def _at_a_rate(
    group: asyncio.TaskGroup, rate: float, until: float, act: Callable[[], Coroutine[None, None, None]]
) -> None:
    """Begin ``act`` so many times a second, whether or not the earlier ones have ended."""
    while time.monotonic() < until:
        group.create_task(act())
        await asyncio.sleep(1 / rate)
