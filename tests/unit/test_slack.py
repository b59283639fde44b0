"""What is said in Slack, and what its answers mean."""

import json

import pytest

from populace.destinations import slack
from populace.destinations.protocol import Origin, Response, Update, Verdict, packed

MOMENT = "2026-03-01T00:00:00.000000Z"
NAMES = {"new_users_7_days": "New Users 7 days", "odd": "Nuts & <bolts>\n>1", "long": "x" * 500}
ORIGIN = Origin("dev", "growth", "run-1", MOMENT, names=NAMES)
URL = "https://hooks.slack.com/services/T0/B0/s3cret"
SETTINGS = {"url": URL}


def record(key: str = "new_users_7_days", action: str = "set", **counts) -> dict:
    """An audience that is summed up, or a trait where `profiles` are given."""
    known = {"members": 1234, "entered": 120, "left": 40} if "profiles" not in counts else {}
    value = json.dumps({"as_of": MOMENT, **known, **counts}, sort_keys=True)
    return {
        "action": action,
        "message_id": "m",
        "kind": "trait" if "profiles" in counts else "audience",
        "key": key,
        "form": "summary",
        "profile_id": "",
        "id_type": "destination",
        "id_value": "growth",
        "value": value if action == "set" else None if "profiles" in counts else "false",
    }


def made(*records: dict, **settings: str) -> list[Update]:
    return list(slack.updates(records, ORIGIN, {**SETTINGS, **settings}))


def said(*records: dict) -> list[str]:
    return [json.loads(each.body)["text"] for each in made(*records) if each.body]


# --- what is said -----------------------------------------------------------------------------


def test_one_audience_is_a_sentence():
    assert said(record()) == [
        "*New Users 7 days* (`new_users_7_days`): 1,234 members, +120 −40, as of 2026-03-01 00:00 UTC in space dev"
    ]


def test_several_are_a_list_in_one_message_audiences_first():
    buyers, revenue = record("buyers", members=1, entered=0, left=3), record("revenue", profiles=2500)
    (update,) = made(revenue, record(), buyers)
    assert update.records == (2, 1, 0)
    assert json.loads(update.body)["text"] == (
        "As of 2026-03-01 00:00 UTC in space dev:\n"
        "• `buyers`: 1 member, −3\n"
        "• *New Users 7 days* (`new_users_7_days`): 1,234 members, +120 −40\n"
        "• `revenue`: 2,500 profiles"
    )


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"entered": 5, "left": 0}, "1,234 members, +5, as"),
        ({"entered": 0, "left": 0}, "1,234 members, no change, as"),
        ({"members": 0, "entered": 0, "left": 1000}, "0 members, −1,000, as"),
        ({"profiles": 1}, "1 profile, as"),
        ({"profiles": 0}, "0 profiles, as"),
    ],
)
def test_counts_are_told_as_people_read_them(counts, told):
    (text,) = said(record(**counts))
    assert f": {told} of" in text


def test_a_name_cannot_mention_anybody_or_break_the_line():
    (text,) = said(record("odd"))
    assert text.startswith("*Nuts &amp; &lt;bolts&gt; &gt;1* (`odd`): ")
    (text,) = said(record("long"))
    assert text.startswith(f"*{'x' * 150}* (`long`): ")


def test_a_long_list_is_split_between_lines_and_every_record_is_said_once():
    records = [record(f"audience_{number:03}") for number in range(200)]
    found = made(*records)
    texts = [json.loads(each.body)["text"] for each in found]
    assert len(found) == 3
    assert all(len(each) < 3_400 and each.startswith("As of ") for each in texts)
    assert sorted(each for update in found for each in update.records) == list(range(200))
    assert sum(each.count("• ") for each in texts) == 200
    limits = slack.limits(SETTINGS)
    assert [len(batch) for batch in packed(found, limits)] == [1] * 3
    assert all(len(each.body) < limits.update_bytes for each in found)


def test_moments_are_not_mixed():
    texts = said(record(), record("b"), record("c", as_of="2026-02-01T12:30:00Z"))
    assert [each.count("members") for each in texts] == [2, 1]
    assert texts[1].endswith("as of 2026-02-01 12:30 UTC in space dev")


def test_a_repetition_would_be_new_so_a_message_goes_once():
    assert [each.once for each in made(record())] == [True]


def test_what_a_webhook_may_be_told_about_its_looks():
    (update,) = made(record(), channel="#growth", username="Populace", icon_url="https://x.org/i.png")
    body = json.loads(update.body)
    assert (body["channel"], body["username"], body["icon_url"]) == ("#growth", "Populace", "https://x.org/i.png")
    assert set(json.loads(made(record())[0].body)) == {"text"}


@pytest.mark.parametrize("gone", [record(action="exit"), record(action="unset", profiles=0)], ids=["audience", "trait"])
def test_what_is_delivered_no_longer_says_nothing(gone):
    said_first, silent = made(gone, record())
    assert (said_first.records, silent.records, silent.body) == ((1,), (0,), b"")
    with pytest.raises(StopIteration) as end:
        next(slack.exchange([silent], SETTINGS, 0))
    assert end.value.value.outcome == "noop"


def test_nothing_to_say_is_no_update():
    assert made() == []


# --- the conversation -------------------------------------------------------------------------


def test_a_message_is_one_post_of_json():
    (update,) = made(record())
    conversation = slack.exchange([update], SETTINGS, 0)
    request = next(conversation)
    assert (request.method, request.url, request.headers["Content-Type"]) == ("POST", URL, "application/json")
    assert request.body == update.body
    with pytest.raises(StopIteration) as end:
        conversation.send(Response(200, {}, b"ok"))
    assert end.value.value == Verdict("delivered", "HTTP 200")


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b"ok", "delivered"),
        (200, b"<html>Welcome</html>", "refused"),
        (200, b"", "refused"),
        (400, b"invalid_payload", "invalid"),
        (400, b"no_text", "invalid"),
        (400, b"user_not_found", "refused"),
        (403, b"action_prohibited", "refused"),
        (404, b"channel_not_found\n", "refused"),
        (404, b"no_service", "refused"),
        (410, b"channel_is_archived", "refused"),
        (410, b"", "refused"),
        (302, b"", "refused"),
        (429, b"rate_limited", "throttled"),
        (500, b"rollup_error", "transient"),
        (503, b"<html>", "transient"),
    ],
)
def test_each_answer_means_one_outcome(status, body, outcome):
    assert slack.answer(Response(status, {}, body)).outcome == outcome


def test_a_message_is_in_doubt_only_where_slack_does_not_say_itself_that_it_failed():
    assert not slack.answer(Response(500, {}, b"rollup_error")).in_doubt
    assert slack.answer(Response(502, {}, b"<html>")).in_doubt


def test_a_reason_names_the_word_and_what_to_do_and_repeats_nothing_else():
    archived = slack.answer(Response(410, {}, b"channel_is_archived"))
    assert archived.reason == ("HTTP 410: channel_is_archived; unarchive the channel, or set the webhook of another")
    assert "ann" not in slack.answer(Response(400, {}, b"ann@example.org is wrong")).reason


# --- settings ---------------------------------------------------------------------------------


def test_the_account_is_the_webhook_and_its_channel_without_the_secret():
    assert slack.account(SETTINGS) == "hooks.slack.com/services/T0/B0"
    assert slack.account(SETTINGS | {"channel": "#growth"}) == "hooks.slack.com/services/T0/B0 #growth"
    assert slack.account({"url": "${SLACK_URL}"}) == "${SLACK_URL}"


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"url": "${SLACK_URL}"}, 0),
        ({"url": URL, "icon_url": "https://x.org/i.png", "channel": "#growth"}, 0),
        ({"url": "hooks.slack.com"}, 1),
        ({"url": "slack", "icon_url": ":robot:"}, 2),
    ],
)
def test_settings_are_checked_as_written(settings, count):
    assert len(slack.problems(settings)) == count
