"""COPY to frames, streamed: what is in memory is a chunk, however large the table."""

import secrets
from collections.abc import Iterator, Mapping

import polars as pl
import psycopg

from data.lake.tables import MOMENT

CHUNK_BYTES = 32_000_000  # of CSV at a time


def chunks(
    connection: psycopg.Connection,
    select: str,
    columns: Mapping[str, pl.DataType],
    within: Mapping[str, str] | None = None,
) -> Iterator[pl.DataFrame]:
    """The rows of a query in frames of about ``CHUNK_BYTES``; at least one, perhaps empty.

    ``within`` are its parameters.
    """
    pending = bytearray()
    # polars does not tell a quoted NULL marker from a bare one: nobody may have written it
    null = secrets.token_hex(16)
    statement = f"COPY ({select}) TO STDOUT (FORMAT csv, NULL '{null}')".encode()
    with connection.cursor().copy(statement, within) as copy:
        for rows in copy:  # Postgres sends whole rows, so a chunk may end wherever a message does
            pending += rows
            if len(pending) >= CHUNK_BYTES:
                yield _frame(bytes(pending), columns, null)
                pending.clear()
    yield _frame(bytes(pending), columns, null)


def _frame(csv: bytes, columns: Mapping[str, pl.DataType], null: str) -> pl.DataFrame:
    moments = [name for name, kind in columns.items() if kind == MOMENT]
    read = {name: pl.String() if kind == MOMENT else kind for name, kind in columns.items()}
    if not csv:
        return pl.DataFrame(schema=dict(columns))
    frame = pl.read_csv(csv, has_header=False, schema=read, null_values=null, empty_string_is_null=False)
    return frame.with_columns(
        pl.col(moments).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC", strict=True)
    )
