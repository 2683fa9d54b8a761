"""What somebody should look at, told to the log (one JSON object a line) and to a webhook where one is set."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from models.bundle import Json
from models.registry import PASSED, REASON, Version
from pipelines.gate import REFUSALS, Decision
from pipelines.settings import PipelineSettings
from pipelines.webhook import Webhook

REFUSALS_TAG = "gate.refusals"  # of a run: how many runs up to it, one after another, refused what was put forward
REFUSED_TAG = "gate.refused"  # why the recipe put forward was refused, where the champion's was renewed instead

log = logging.getLogger("pipelines.alerts")


@dataclass(frozen=True)
class Alert:
    """``name`` and ``facts`` are for machines, ``said`` for people."""

    name: str
    said: str
    facts: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """``text`` is what Slack, Mattermost and their like show."""
        return {"text": f"BRS: {self.said}", "alert": self.name, "said": self.said, **self.facts}


Listener = Callable[[Alert], None]


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
    return Alert("gate_refusals", said, {"version": version, "refusals": refusals})


def of_age(champion: Version, now: datetime, days: float) -> Alert | None:
    """A champion that no night has renewed for ``days``, which is more than 0."""
    age = now - champion.created_at
    if age <= timedelta(days=days):
        return None
    said = (
        f"the champion, version {champion.version}, is {age / timedelta(days=1):.1f} days old:"
        " no run has renewed it since"
    )
    return Alert("stale_model", said, {"version": champion.version, "created_at": champion.created_at.isoformat()})


def logged(alert: Alert) -> None:
    log.warning(json.dumps(alert.to_json()))


def listeners(settings: PipelineSettings) -> tuple[Listener, ...]:
    if settings.alert_webhook is None:
        return (logged,)
    post = Webhook(settings.alert_webhook.get_secret_value())
    return (logged, lambda alert: post(alert.to_json()))


def tell(alert: Alert, to: Sequence[Listener] = (logged,)) -> None:
    """To everybody who listens."""
    for listener in to:
        listener(alert)
