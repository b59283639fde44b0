"""Why rows are no events, in words: what the codes of 1.7 and ours mean, for reports and for the documentation."""

from collections.abc import Mapping

# In the order in which they are looked for: a row has the first that applies.
MEANINGS: Mapping[str, str] = {
    "line_too_long": "the line is longer than 16 MiB, so it is no line of calls",
    "not_utf8": "the line is not valid UTF-8",
    "not_json": "the line is no JSON object",
    "id_not_string": "an id is neither text nor a number",
    "event_not_string": "the name of the event is no text",
    "name_not_string": "the name of a page or screen is no text",
    "category_not_string": "the category of a page or screen is no text",
    "message_id_required": "there is no messageId",
    "message_id_too_long": "the messageId has more than 100 characters",
    "type_unknown": "the type is none of identify, track, page, screen, group, alias",
    "timestamp_invalid": "an instant is given that cannot be read",
    "timestamp_missing": "there is no instant, neither timestamp nor received_at",
    "timestamp_before_1970": "the instant lies before 1970",
    "received_after_2149": "it was received after 2149-06-06, so a clock was wrong",
    "no_user_anon_id": "there is neither a userId nor an anonymousId",
    "event_not_defined": "a Track call without the name of an event",
    "id_required": "a Group call without a groupId",
    "group_id_too_long": "the groupId has more than 500 characters",
    "properties_not_object": "properties are given that are no JSON object",
    "traits_not_object": "traits are given that are no JSON object",
    "context_not_object": "a context is given that is no JSON object",
    "too_many_properties": "there are more than 300 properties",
    "too_many_traits": "there are more than 299 traits",
    "group_id_empty": "context.groupId is an empty text",
}
