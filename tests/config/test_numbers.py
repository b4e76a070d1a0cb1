import pytest

from ganjax.config import numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("1e6", 1_000_000),
        ("1_000_000", 1_000_000),
        ("50e3", 50_000),
        (" 2.5e3 ", 2500),
        ("-1", -1),
        ("4.0", 4),
    ],
)
def test_whole_numbers_as_people_write_them(text, value):
    result = numbers.parse_int(text)
    assert result == value and type(result) is int


@pytest.mark.parametrize(
    "text", ["", "x", "1.5", "1e-3", "inf", "nan", "1e999999999", "9" * 5000, "0x10", "1,000", "1e50"]
)
def test_other_texts_are_no_whole_number(text):
    with pytest.raises(ValueError) as error:
        numbers.parse_int(text)
    assert len(str(error.value)) < 100


def test_booleans():
    assert [numbers.parse_bool(text) for text in ("true", "Yes", "on", "1")] == [True] * 4
    assert [numbers.parse_bool(text) for text in ("False", "no", "OFF", "0")] == [False] * 4
    with pytest.raises(ValueError, match="maybe is neither"):
        numbers.parse_bool("maybe")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ()),
        ("None", ()),
        ("()", ()),
        ("swd", ("swd",)),
        ("swd, colour,", ("swd", "colour")),
        ("('swd',)", ("swd",)),
        ("['a', 'b']", ("a", "b")),
        ("64,128", (64, 128)),
        ("(64, 1.5)", (64, 1.5)),
    ],
)
def test_lists(text, value):
    assert numbers.parse_tuple(text) == value


@pytest.mark.parametrize("text", ["('a', 1)", "(1", "True", "{'a': 1}", "[[1]]", "(" * 9000, "1," * 9000 + "x('"])
def test_what_is_no_list(text):
    with pytest.raises(ValueError):
        numbers.parse_tuple(text)
