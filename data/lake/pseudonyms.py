"""Readers in the lake: a keyed hash of their id.

The key never leaves this process and its file, not even for the database, so the files alone, or with a list of user
ids, do not say who rated what.
"""

import hashlib
import os
import secrets
import struct
import tempfile
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg

KEY_FILE = "lake.key"
SHORTEST_KEY = 16  # characters of a key given as text
# A 64-bit integer; two of a million readers collide with probability 3e-8, and a collision is refused.
PSEUDONYM_BYTES = 8

# Postgres' binary COPY ("COPY", section "Binary Format"): a head, rows of counted fields, a count of -1 at the end.
_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_END = struct.pack(">h", -1)
_ID_ROW = np.dtype([("fields", ">i2"), ("size", ">i4"), ("id", "V16")])
_NAMED_ROW = np.dtype(
    [("fields", ">i2"), ("id_size", ">i4"), ("id", "V16"), ("size", ">i4"), ("reader", f"V{PSEUDONYM_BYTES}")]
)


def lake_key(home: Path, given: str | None = None) -> bytes:
    """The key of the pseudonyms: from ``given``, or from 32 random bytes in a file of ``home``.

    The file is made on first use, readable by its owner alone.

    Raises:
        ValueError: ``given`` is too short to be secret.
    """
    if given is not None:
        if len(given) < SHORTEST_KEY:
            raise ValueError(f"BRS_LAKE_KEY is too short: give at least {SHORTEST_KEY} random characters")
        return hashlib.sha256(given.encode()).digest()
    path = home / KEY_FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=home, prefix=f".{KEY_FILE}.")  # mkstemp: 0600 from the start
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(name, path)  # unlike a rename this never replaces a key that another process made meanwhile
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    return hashlib.sha256(path.read_bytes().strip()).digest()


def pseudonym(key: bytes, user_id: UUID) -> int:
    """A reader's name in the lake: BLAKE2b (RFC 7693) keyed with ``key``, as a signed 64-bit integer."""
    return int.from_bytes(_hashed(key, user_id.bytes), "big", signed=True)


def key_check(key: bytes) -> str:
    """Says whether two extracts have the same key, and nothing else about it."""
    return hashlib.blake2b(b"which key is this", key=key, digest_size=8).hexdigest()


def _hashed(key: bytes, raw: bytes) -> bytes:
    return hashlib.blake2b(raw, key=key, digest_size=PSEUDONYM_BYTES).digest()


def name_readers(
    connection: psycopg.Connection, key: bytes, readers: str, within: dict[str, str] | None = None
) -> None:
    """Give readers their pseudonyms, in a temporary table: Postgres joins with it, and never sees the key.

    Args:
        connection: In a transaction, at whose end the table goes.
        key: Of the hash.
        readers: A query for user ids, each once.
        within: Its parameters.

    Raises:
        psycopg.errors.UniqueViolation: two readers have the same pseudonym.
    """
    connection.execute("DROP TABLE IF EXISTS pg_temp.pseudonyms")
    connection.execute(
        "CREATE TEMPORARY TABLE pseudonyms (user_id uuid PRIMARY KEY, reader bigint NOT NULL UNIQUE) ON COMMIT DROP"
    )
    copied = f"COPY ({readers}) TO STDOUT (FORMAT binary)"
    with connection.cursor().copy(copied.encode(), within) as copy:
        told = b"".join(copy)
    ids = np.frombuffer(told, _ID_ROW, offset=len(_HEAD), count=(len(told) - len(_HEAD)) // _ID_ROW.itemsize)["id"]
    named = np.zeros(len(ids), _NAMED_ROW)
    named["fields"], named["id_size"], named["size"] = 2, 16, PSEUDONYM_BYTES
    named["id"] = ids
    hashes = b"".join(_hashed(key, one) for one in ids.tolist())
    named["reader"] = np.frombuffer(hashes, f"V{PSEUDONYM_BYTES}")
    with connection.cursor().copy("COPY pseudonyms FROM STDIN (FORMAT binary)") as copy:
        copy.write(_HEAD + named.tobytes() + _END)
    connection.execute("ANALYZE pseudonyms")
