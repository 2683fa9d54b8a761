"""What somebody should look at: refusals that are no accident. Told to the log, one JSON object a line."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from models.registry import PASSED, REASON, Version
from pipelines.gate import REFUSALS, Decision

REFUSALS_TAG = "gate.refusals"  # of a run: how many runs up to it, one after another, refused what was put forward
REFUSED_TAG = "gate.refused"  # why the recipe put forward was refused, where the champion's was renewed instead

log = logging.getLogger("pipelines.alerts")


@dataclass(frozen=True)
class Alert:
    """``name`` is for machines, ``said`` for people."""

    name: str
    said: str
    version: str
    refusals: int


def verdict_tags(decisions: Sequence[Decision], latest: Version | None) -> dict[str, str]:
    """What a run is tagged with: the gate's verdict, and how many refusals there were in a row.

    Args:
        decisions: On the recipe put forward and, where that was refused, on the champion's.
        latest: What the run before stored.
    """
    before = int(latest.tags.get(REFUSALS_TAG, "0")) if latest is not None else 0
    tags = {
        REASON: decisions[-1].reason,
        "gate.rule": decisions[-1].rule,
        PASSED: "true" if decisions[-1].promote else "false",
        REFUSALS_TAG: "0" if decisions[0].promote else str(before + 1),
    }
    return tags if decisions[0].promote else {**tags, REFUSED_TAG: decisions[0].reason}


def of_refusals(tags: Mapping[str, str], version: str) -> Alert | None:
    """The alert that these tags of a run deserve."""
    refusals = int(tags[REFUSALS_TAG])
    if refusals < REFUSALS:
        return None
    said = f"the gate has refused what was put forward {refusals} times in a row, last: {tags[REFUSED_TAG]}"
    return Alert("gate_refusals", said, version, refusals)


def logged(alert: Alert) -> None:
    log.warning(json.dumps({"alert": alert.name, **asdict(alert)}))


def tell(alert: Alert, listeners: Sequence[Callable[[Alert], None]] = (logged,)) -> None:
    """To everybody who listens."""
    for listener in listeners:
        listener(alert)
