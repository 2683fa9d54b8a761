"""Refusals in a row, from run to run."""

import datetime as dt
import json
import logging

import pytest

from models.registry import Version
from pipelines.alerts import Alert, of_age, of_refusals, tell, verdict_tags
from pipelines.gate import Decision

NO = Decision(promote=False, rule="new recipe", reason="no")
YES = Decision(promote=True, rule="same recipe", reason="yes")


def night(decisions: list[Decision], before: Version | None) -> Version:
    tags = verdict_tags(decisions, before)
    return Version("m", "1", "r", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), (), {}, {}, tags)


def test_three_refusals_in_a_row_raise_an_alert_and_a_promotion_begins_anew() -> None:
    before, alerts = None, []
    for decisions in ([NO], [NO, YES], [YES], [NO, YES], [NO], [NO, YES], [NO], [YES]):
        before = night(decisions, before)
        alert = of_refusals(before.tags, "1")
        alerts.append(alert.facts["refusals"] if alert else 0)
    assert alerts == [0, 0, 0, 0, 0, 3, 4, 0]


def test_the_tags_tell_whether_the_bundle_itself_may_answer() -> None:
    """A refused recipe's night stores the champion's own, which has passed."""
    renewed = night([NO, YES], None)
    assert renewed.passed
    assert (renewed.tags["gate"], renewed.tags["gate.refused"]) == ("yes", "no")
    assert not night([NO], None).passed
    assert "gate.refused" not in night([YES], None).tags


def test_a_run_of_an_earlier_release_counts_as_no_refusal() -> None:
    old = Version("m", "1", "r", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), (), {}, {}, {"gate": "said in words"})
    assert night([NO], old).tags["gate.refusals"] == "1"


def test_everybody_who_listens_is_told_and_the_log_gets_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    alert = Alert("gate_refusals", "three times", {"version": "7", "refusals": 3})
    heard: list[Alert] = []
    tell(alert, [heard.append])
    assert heard == [alert]
    with caplog.at_level(logging.WARNING, logger="pipelines.alerts"):
        tell(alert)
    (record,) = caplog.records
    assert json.loads(record.getMessage())["refusals"] == 3


def test_a_champion_is_stale_when_no_night_has_renewed_it_for_so_long() -> None:
    champion = night([YES], None)
    assert of_age(champion, champion.created_at + dt.timedelta(days=3), 3) is None
    alert = of_age(champion, champion.created_at + dt.timedelta(days=3, minutes=1), 3)
    assert alert is not None
    assert (alert.name, alert.facts["version"]) == ("stale_model", "1")
    assert "3.0 days old" in alert.said
