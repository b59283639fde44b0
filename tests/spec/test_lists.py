"""Lists: any element of an array (`$`), and lists compared and counted by their elements."""

import json

import pytest

from populace.expressions import lists
from tests.spec.evaluating import members, trait_values

ORDERS = """
    profile | timestamp | p.items:json                                                | p.sku | p.price
    1       | d-3       | [{"sku":"A","price":10},{"sku":"B"},3,{"sku":null}]         | B     | 10
    1       | d-1       | [{"sku":"C","price":"2.5"},{"price":12}]                    | C     | 11
    2       | d-2       | []                                                          | A     | 1
    3       | d-2       | [{"sku":["A"]},{"sku":{"A":1}}]                             | A     | 1
    4       | d-2       | "A"                                                         | A     | 1
    5       | d-2       |                                                             | A     | 1
    6       | d-2       | {}                                                          | A     | 1
"""

TAGS = """
    profile | timestamp | p.tags:json       | p.tag
    1       | d-1       | ["a","b"]         | b
    2       | d-1       | ["ab",5,"7"]      | 5
    3       | d-1       | "ab"              | ab
    4       | d-1       | []                | a
    5       | d-1       |                   | a
    6       | d-1       | [["a"],{"b":"c"}] | a
    7       | d-1       | 5                 | 5
    8       | d-1       | [null,"null"]     | a
    9       | d-1       | ["2024-03-30",true] | true
"""


def kept(condition, rows=ORDERS):
    """The profiles with an event that the condition keeps."""
    return sorted(trait_values(f"event('E').where({condition}).count()", rows))


def of_e(call, rows=ORDERS):
    return trait_values(f"event('E').{call}", rows)


def person(condition, **traits):
    """Whether somebody with these custom traits is a member."""
    rows = "".join(f"1|{name}|{value}|d-1\n" for name, value in traits.items())
    return bool(members(condition, custom=f"profile|name|value|timestamp\n{rows}"))


# --- any element ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ("= 'A'", [1]),
        ("= 'X'", []),
        ("!= 'A'", [1, 3]),
        ("> 'B'", [1]),
        (".contains('C', 'x')", [1]),
        (".starts_with('B')", [1]),
        (".ends_with('Z')", []),
        (".one_of('B', 'x')", [1]),
        (".none_of('A', 'B', 'C')", [3]),
        (".exists()", [1, 3]),
        (".absent()", [2, 4, 5, 6]),
        (".omits('C')", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a14_a_comparison_holds_if_it_holds_for_any_one_element(comparison, expected):
    text = f"property('items.$.sku'){comparison}" if comparison[0] == "." else f"property('items.$.sku') {comparison}"
    assert kept(text) == expected


def test_a14_not_is_the_plain_opposite():
    assert of_e("where(NOT property('items.$.sku') = 'A').count()") == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1}
    assert of_e("where(NOT property('items.$.sku').exists()).count()") == {2: 1, 4: 1, 5: 1, 6: 1}


def test_a14_two_conditions_need_not_meet_in_one_element():
    both = "property('items.$.sku') = 'B' AND property('items.$.price') = 10"
    assert kept(both) == [1]
    assert kept("property('items.$.sku') = 'C' AND property('items.$.price') = 10") == []


def test_a14_elements_that_are_lists_or_objects_exist_and_equal_nothing():
    assert kept("property('items.$').exists()") == [1, 3]
    assert kept("property('items.$') = 3") == [1]
    assert kept("property('items.$.sku').contains('A')") == [1]
    assert kept("property('items.$.sku').one_of('A')") == [1]
    assert kept("property('items.$.sku.A') = 1") == [3]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("property('sku') = property('items.$.sku')", {1: 2}),
        ("property('items.$.sku') = property('sku')", {1: 2}),
        ("property('price') < property('items.$.price')", {1: 1}),
        ("property('items.$.price') < property('items.$.price')", {1: 1}),
        ("property('items.$.sku') != property('items.$.sku')", {1: 1, 3: 1}),
        ("property('sku').one_of('X', property('items.$.sku'))", {1: 2}),
        ("property('sku').none_of('X', property('items.$.sku'))", {2: 1, 3: 1, 4: 1, 5: 1, 6: 1}),
        ("literal('sku B').ends_with(property('items.$.sku'))", {1: 1}),
        ("literal('ABC').contains('x', property('items.$.sku'))", {1: 2}),
    ],
)
def test_a14_the_other_side_may_be_anything(condition, expected):
    assert of_e(f"where({condition}).count()") == expected


def test_a14_dates_are_those_of_any_element():
    rows = 'profile|timestamp|p.d:json\n1|d-1|["soon","2024-03-30"]\n2|d-1|["2023-01-01"]\n3|d-1|"2024-03-30"\n'
    assert kept("property('d.$').after_date(2024-01-01)", rows) == [1]
    assert kept("property('d.$').within_last(1 day)", rows) == [1]
    assert kept("property('d.$').before_last(9 days)", rows) == [2]
    assert kept("property('d.$') = 2024-03-30", rows) == [1]


def test_a14_elements_stand_beside_traits():
    text = "event('E').where(property('items.$.sku') = trait('favourite')).count() >= 1"
    custom = 'profile|name|value|timestamp\n1|favourite|"B"|d-1\n'
    assert members(text, {"E": ORDERS}, custom=custom) == [1]
    assert members(text.replace("=", "!=", 1), {"E": ORDERS}, custom=custom) == [1]
    assert members(text, {"E": ORDERS}, custom=custom.replace('"B"', '["B"]')) == []


def test_a55_elements_of_the_parent():
    viewed = "profile|timestamp|p.sku\n1|d-2|B\n2|d-1|A\n"
    inner = "event('V').where(property('sku') = property(parent: 'items.$.sku')).count() >= 1"
    text = f"event('E').where({inner}).count() >= 1"
    people_of_two = "profile | has_known_id\n 1 | true \n 2 | true"
    assert members(text, {"E": ORDERS, "V": viewed}, profiles=people_of_two) == [1]


def test_a14_several_wildcards_nest():
    rows = (
        'profile|timestamp|p.o:json\n1|d-1|[{"t":["a",["b"]]},{"t":"c"},{"t":[]},{"t":[1]}]\n2|d-1|[["x",null],"y"]\n'
    )
    assert of_e("unique(property('o.$.t.$'))", rows) == {1: ["1", "a"]}
    assert of_e("unique(property('o.$.t.$.$'))", rows) == {1: ["b"]}
    assert of_e("unique(property('o.$.$'))", rows) == {2: ["x"]}
    assert kept("property('o.$.t.$') = 'a' AND property('o.$.t.$') = 1", rows) == [1]


def test_a14_literal_dots_belong_to_names():
    rows = 'profile|timestamp|p.o:json|p.a\\.$:json\n1|d-1|[{"a.b":1,"a":{"b":2},"":3}]|[4]\n'
    assert of_e(r"sum(property('o.$.a\.b'))", rows) == {1: 1.0}
    assert of_e("sum(property('o.$.a.b'))", rows) == {1: 2.0}
    assert of_e(r"sum(property('a\.$.$'))", rows) == {1: 4.0}
    assert kept(r"property('a\.$').contains(4)", rows) == [1]


def test_a14_names_lead_through_objects_only():
    rows = 'profile|timestamp|p.o:json\n1|d-1|[{"0":"a"},["b"],{"0":{"0":"c"}},[["d"]]]\n'
    assert of_e("unique(property('o.$.0'))", rows) == {1: ["a"]}
    assert of_e("unique(property('o.$.0.0'))", rows) == {1: ["c"]}


# --- reducers of elements ---------------------------------------------------------------------------


def test_a14_numbers_of_all_elements_are_added():
    assert of_e("sum(property('items.$.price'))") == {1: 24.5}
    assert of_e("avg(property('items.$.price'))") == {1: 8.166667}
    assert of_e("min(property('items.$.price'))") == {1: 2.5}
    assert of_e("max(property('items.$.price'))") == {1: 12.0}
    assert of_e("max(property('items.$.sku') as string)") == {1: "C"}


def test_e27_first_and_last_go_by_event_and_then_by_position():
    assert of_e("first(property('items.$.sku'))") == {1: "A", 3: '["A"]'}
    assert of_e("last(property('items.$.price'))") == {1: "12"}
    rows = 'profile|timestamp|p.t:json\n1|d-3|[null,"c","a"]\n1|d-2|["b","d","a"]\n1|d-1|[null]\n1|d-0.5|[]\n'
    assert of_e("first(property('t.$'))", rows) == {1: "c"}
    assert of_e("last(property('t.$'))", rows) == {1: "a"}


def test_t15_unique_and_mode_look_at_elements():
    rows = 'profile|timestamp|p.t:json\n1|d-3|["b","a",null]\n1|d-2|["b",10.0,true]\n1|d-1|["c",[1],{"d":1}]\n'
    assert of_e("unique(property('t.$'))", rows) == {1: ["10", "a", "b", "c", "true"]}
    assert of_e("unique(property('t.$')).count()", rows) == {1: 5}
    assert of_e("mode(property('t.$'), 2)", rows) == {1: "b"}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("unique(property('t'))", {1: ["10", "a", "b"], 2: ["a"]}),
        ("unique(property('t')).count()", {1: 3, 2: 1}),
        ("mode(property('t'), 2)", {1: "a", 2: "a"}),
        ("mode(property('t') as number, 3)", {1: "a"}),
        ("min(property('t') as string)", {1: "10", 2: "a"}),
        ("sum(property('t'))", {1: 10.0}),
    ],
)
def test_t15_lists_without_a_wildcard_count_by_element_beside_single_values(call, expected):
    rows = """
        profile | timestamp | p.t:json
        1       | d-4       | ["a","b"]
        1       | d-3       | "a"
        1       | d-2       | [["x"],"a",null]
        1       | d-1       | 10
        2       | d-2       | "a"
        2       | d-1       | "a"
        3       | d-1       | [{}]
    """
    assert of_e(call, rows) == expected


def test_t15_an_element_counts_as_often_as_it_stands_there():
    assert of_e("mode(property('t'), 2)", 'profile|timestamp|p.t:json\n1|d-1|["b","b","a"]\n') == {1: "b"}


ARRAYS = """
    profile | timestamp | p.t:json
    1       | d-4       | ["b","a"]
    1       | d-3       | ["a"]
    1       | d-2       | ["b","a"]
    1       | d-1       | "a"
    2       | d-3       | [2,"x"]
    2       | d-2       | ["2","x"]
    3       | d-3       | ["b"]
    3       | d-2       | ["a",10.0,[1],{"c":true}]
    4       | d-1       | []
"""


@pytest.mark.parametrize("path", ["t", "t.$"])
def test_n73_a_whole_array_is_one_value(path):
    assert of_e(f"mode(property('{path}') as array, 2)", ARRAYS) == {1: ["b", "a"]}
    everyone = {1: ["b", "a"], 2: ["2", "x"], 3: ["a", "10", "[1]", '{"c":true}'], 4: []}
    assert of_e(f"mode(property('{path}') as array, 1)", ARRAYS) == everyone


def test_n73_the_array_of_what_stands_below():
    assert of_e("mode(property('items.$.sku') as array, 1)") == {1: ["A", "B"], 2: [], 3: ['["A"]', '{"A":1}']}


def test_n73_is_a_trait_and_a_list_in_conditions():
    text = "event('E').mode(property('t') as array, 2).contains('a')"
    assert members(text, {"E": ARRAYS}) == [1]
    assert members(
        "trait('usual').one_of('x', 'b')",
        {"E": ARRAYS},
        computed={"usual": "event('E').mode(property('t') as array, 2)"},
    ) == [1]
    assert of_e("mode(property('never') as array, 1)", ARRAYS) == {}


# --- lists compared ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (".contains('a')", [1, 3, 6]),  # an element, a part of the text, a part of the JSON of objects
        (".contains('x', 'b')", [1, 3, 6]),
        (".contains('5')", [2]),
        (".contains(7)", [2]),
        (".contains('7.0')", []),
        (".contains(7.0)", [2]),
        (".contains('null')", [8]),
        (".contains('true')", [9]),
        (".contains(2024-03-30)", [9]),
        ('.contains(\'{"b":"c"}\')', [6]),
        (".contains('')", [3, 6]),
        (".contains(property('tag'))", [1, 2, 3, 6, 9]),
        (".omits('a')", [2, 4, 5, 7, 8, 9]),
        (".one_of('a', 'x')", [1]),
        (".one_of(5, 'b')", [1, 2, 7]),
        (".none_of(5, 'b')", [3, 4, 6, 8, 9]),
        (".exists()", [1, 2, 3, 4, 6, 7, 8, 9]),
        (".starts_with('a')", [3]),
        (" = 'a'", []),
        (" != 'a'", [1, 2, 3, 4, 6, 7, 8, 9]),
        (" >= ''", [3]),
    ],
)
def test_a12_and_a21_lists_are_asked_for_an_element(condition, expected):
    assert kept(f"property('tags'){condition}", TAGS) == expected


def test_a12_on_a_list_it_is_equality_and_on_text_a_part():
    assert person("trait('t').contains('a')", t='"banana"')
    assert not person("trait('t').contains('a')", t='["banana"]')
    assert person("trait('t').contains('banana')", t='["x","banana"]')


@pytest.mark.parametrize("value", ['["a","b,c]",5,"\\"q\\""]', '[ "a" , "b,c]" , 5 , "\\"q\\"" ]'])
def test_a12_every_element_is_found_whatever_it_holds(value):
    for part in ("a", "b,c]", "5", '"q"'):
        assert person(f"trait('t').contains('{part}')", t=value)
    for part in ("b", "c]", "q", "a,b", ""):
        assert not person(f"trait('t').contains('{part}')", t=value)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (".contains('a')", True),
        (".contains('b')", False),
        (".contains(5)", True),
        (".one_of('x', 'a')", True),
        (".none_of('x')", True),
        (" = '[\"a\",5]'", False),
        (" != 'a'", True),
        (".starts_with('[')", False),
    ],
)
def test_a21_lists_inside_objects(condition, holds):
    assert person(f"trait('address.tags'){condition}", address='{"tags":["a",5]}') is holds


def test_a21_text_inside_objects_stays_text_though_it_looks_like_a_list():
    for written in ("[1]", "[]", "[", '["a"]'):
        assert person(f"trait('o.t') = '{written}'", o=json.dumps({"t": written}))
        assert not person("trait('o.t').contains(1)", o=json.dumps({"t": ["[1]"]}))
    assert person("trait('o.t').contains('[')", o='{"t":"[]"}')
    assert not person("trait('o.t').contains('[')", o='{"t":[]}')
    assert person("trait('o.t').exists()", o='{"t":[]}')
    assert person(r"trait('o.it\'s.t').contains('a')", o='{"it\'s":{"t":["a"]}}')


def test_a12_computed_lists_contain_their_elements():
    rows = {"E": 'profile|timestamp|p.c:json\n1|d-2|"ab"\n1|d-1|[5,"c"]\n'}
    computed = {"all": "event('E').unique(property('c'))", "newest": "event('E').last(property('c'))"}
    for condition in ("all').contains('ab')", "all').contains(5)", "all').one_of('x', 'c')", "newest').contains('5')"):
        assert members(f"trait('{condition}", rows, computed=computed) == [1]
    for condition in ("all').contains('a')", "all').none_of('c')", "all') = 'c'", "newest').contains('ab')"):
        assert members(f"trait('{condition}", rows, computed=computed) == []


def test_a12_a_list_inside_where_may_be_the_persons_or_another_reducer():
    known = 'profile|name|value|timestamp\n1|liked|["B","Z"]|d-1\n'
    assert members(
        "event('E').where(trait('liked').contains(property('sku'))).count() = 1", {"E": ORDERS}, custom=known
    ) == [1]
    bought = "event('E').where(event('E').last(property('items.$.sku')).one_of('C')).count() = 2"
    assert members(bought, {"E": ORDERS}) == [1]


def test_t4_only_string_operators_work_on_arrays_of_objects():
    items = '[{"sku":"A"},{"sku":"B"}]'
    assert person("trait('items').contains('\"sku\":\"A\"', 'x')", items=items)
    assert person("trait('items').omits('C')", items=items)
    assert not person('trait(\'items\').one_of(\'A\', \'[{"sku":"A"},{"sku":"B"}]\')', items=items)
    assert person("trait('items').none_of('A')", items=items)
    assert not person("trait('items').starts_with('[')", items=items)


def test_t4_one_list_or_object_among_scalars_makes_it_text():
    assert person("trait('t').contains('a')", t='["ab",[]]')
    assert not person("trait('t').one_of('ab')", t='["ab",[]]')
    assert not person("trait('t').contains('a')", t='["ab"]')


def test_long_lists_beside_each_other():
    many = json.dumps(list(range(300)))
    rows = f"profile|timestamp|p.a:json|p.b:json\n1|d-1|{many}|{many}\n2|d-1|[1]|[300]\n"
    assert kept("property('a.$') = property('b.$')", rows) == [1]
    assert kept("property('a.$') < property('b.$')", rows) == [1, 2]


def test_very_many_lists_are_all_looked_at(monkeypatch):
    monkeypatch.setattr(lists, "TOGETHER", 2)
    many = range(300)
    profiles = "profile|has_known_id\n" + "".join(f"{number}|true\n" for number in many)
    custom = "profile|name|value|timestamp\n" + "".join(f"{number}|t|[1]|d-1\n" for number in many)
    assert members("trait('t').contains(1)", profiles=profiles, custom=custom) == list(many)
