"""Lists and their elements, as the manual shows them; `test_lists` goes on."""

from tests.spec.evaluating import members, trait_values

ORDER = """
    profile | timestamp | p.items:json
    1       | d-2       | [{"sku":"A","price":5},{"sku":"B","price":20}]
    1       | d-1       | [{"sku":"B","price":20}]
"""
READ = 'profile|timestamp|p.tags:json\n1|d-3|["news","sport"]\n1|d-2|["sport"]\n1|d-1|"film"\n'


def ordered(call):
    return trait_values(f"event('Ordered').{call}", ORDER, event="Ordered")


def read(call):
    return trait_values(f"event('Read').{call}", READ, event="Read")


def liking(condition):
    return members(condition, custom='profile|name|value|timestamp\n1|likes|["tea",5]|d-1\n')


def test_a14_any_element():
    """Lists: `$` is any element of the array before it: a comparison holds if it holds for one of them."""
    assert ordered("where(property('items.$.sku') = 'A').count()") == {1: 1}
    assert ordered("where(property('items.$.price') > 10).count()") == {1: 2}


def test_a14_another_element_is_different():
    """Lists: …Also `!=`: something else was in it. `NOT` says that it was not in it."""
    assert ordered("where(property('items.$.sku') != 'A').count()") == {1: 2}
    assert ordered("where(NOT property('items.$.sku') = 'A').count()") == {1: 1}


def test_a14_two_comparisons_of_one_list():
    """Lists: …Two comparisons need not meet in one element."""
    assert ordered("where(property('items.$.sku') = 'A' AND property('items.$.price') = 20).count()") == {1: 1}


def test_a14_both_sides_may_have_elements():
    """Lists: …Both sides may have a `$`, and then any pair will do; among the choices of `one_of` it is all of them."""
    rows = 'profile|timestamp|p.bought:json|p.wished:json\n1|d-1|["A","B"]|["B","C"]\n'
    for condition in (
        "property('bought.$') = property('wished.$')",
        "property('bought.$').one_of(property('wished.$'))",
    ):
        assert trait_values(f"event('Ordered').where({condition}).count()", rows, event="Ordered") == {1: 1}


def test_a14_lists_in_lists():
    """Lists: Several `$` nest. What is no array has no elements, and an element without the name is no value."""
    rows = 'profile|timestamp|p.carts:json\n1|d-2|[{"items":[{"sku":"A"},{"sku":"B"}]},{"items":[{}]}]\n1|d-1|"none"\n'
    call = "unique(property('carts.$.items.$.sku')).count()"
    assert trait_values(f"event('Left').{call}", rows, event="Left") == {1: 2}
    exists = "where(property('carts.$').exists()).count()"
    assert trait_values(f"event('Left').{exists}", rows, event="Left") == {1: 1}


def test_a14_elements_are_reduced():
    """Lists: In a reducer each element is a value of its own, in the order of its event, then of its position."""
    assert ordered("sum(property('items.$.price'))") == {1: 45.0}
    assert ordered("unique(property('items.$.sku'))") == {1: ["A", "B"]}
    assert ordered("first(property('items.$.sku'))") == {1: "A"}
    assert ordered("mode(property('items.$.sku'), 2)") == {1: "B"}


def test_a12_a_list_contains_its_elements():
    """Lists: Without `$`, `contains` and `one_of` ask whether a list has an element that equals one of the values."""
    assert liking("trait('likes').contains('tea')") == [1]
    assert liking("trait('likes').contains('te')") == []
    assert liking("trait('likes').one_of(5, 6)") == [1]
    assert liking("trait('likes').none_of('tea')") == []


def test_a21_nothing_else_looks_into_a_list():
    """Lists: …Nothing else looks into it."""
    assert liking("trait('likes') = 'tea'") == []
    assert liking("trait('likes').exists()") == [1]


def test_t4_a_list_of_objects_is_text():
    """Lists: To `contains` a list that holds objects or lists is its JSON text."""
    assert ordered("""where(property('items').contains('"sku":"A"')).count()""") == {1: 1}


def test_t15_elements_are_counted():
    """Lists: `unique` and `mode` count each element of a list, and single values beside lists."""
    assert read("unique(property('tags'))") == {1: ["film", "news", "sport"]}
    assert read("mode(property('tags'), 2)") == {1: "sport"}


def test_n73_whole_arrays_are_counted():
    """Lists: `as array` takes a list as one value."""
    assert read("mode(property('tags') as array, 1)") == {1: ["news", "sport"]}
