from __future__ import annotations

import contextlib
import enum
import tracemalloc

import bencode2
import fastbencode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.bencode import (
    MAX_DEPTH,
    MAX_INT_DIGITS,
    decode,
    decode_dict,
    decode_prefix,
    encode,
)
from peerwire.errors import BencodeError

LARGEST = 10**MAX_INT_DIGITS - 1

values = st.recursive(
    st.integers(-LARGEST, LARGEST) | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=5), inner, max_size=5)
    ),
    max_leaves=30,
)


class Answer(enum.IntEnum):
    YES = 42


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"4:spam", b"spam"),
        (b"0:", b""),
        (b"10:0123456789", b"0123456789"),
        (b"i3e", 3),
        (b"i-3e", -3),
        (b"i0e", 0),
        (b"i%de" % LARGEST, LARGEST),
        (b"i%de" % -LARGEST, -LARGEST),
        (b"le", []),
        (b"de", {}),
        (b"l4:spam4:eggse", [b"spam", b"eggs"]),
        (b"d3:cow3:moo4:spam4:eggse", {b"cow": b"moo", b"spam": b"eggs"}),
        (b"d4:spaml1:a1:bee", {b"spam": [b"a", b"b"]}),
        (b"d0:i1e1:\x00i2e2:\x00\x00i3e1:\xffi4ee", {b"": 1, b"\0": 2, b"\0\0": 3, b"\xff": 4}),
        (b"lli1eed1:ai2eee", [[1], {b"a": 2}]),
    ],
)
def test_the_one_encoding_of_a_value(data, value):
    assert decode(data) == value
    assert encode(value) == data


@pytest.mark.parametrize(
    ("data", "offset", "rule"),
    [
        (b"", 0, "the data ends inside a value"),
        (b"i", 1, "the data ends inside an integer"),
        (b"i5", 2, "the data ends inside an integer"),
        (b"i-", 2, "the data ends inside an integer"),
        (b"i%d" % LARGEST, 21, "the data ends inside an integer"),
        (b"ie", 1, "an integer is decimal digits and then b'e', not b'e'"),
        (b"i-e", 1, "an integer is decimal digits and then b'e', not b'-e'"),
        (b"i--1e", 1, "an integer is decimal digits and then b'e', not b'--1e'"),
        (b"i+1e", 1, "an integer is decimal digits and then b'e', not b'+1e'"),
        (b"i1_0e", 1, "an integer is decimal digits and then b'e', not b'1_0e'"),
        (b"i 1e", 1, "an integer is decimal digits and then b'e', not b' 1e'"),
        (b"i1 e", 1, "an integer is decimal digits and then b'e', not b'1 e'"),
        (b"i1.0e", 1, "an integer is decimal digits and then b'e', not b'1.0e'"),
        (b"i0x1e", 1, "an integer is decimal digits and then b'e', not b'0x1e'"),
        ("i\u0661e".encode(), 1, "an integer is decimal digits and then b'e', not b'\\xd9\\xa1e'"),
        (b"i03e", 0, "an integer has no leading zeros and no minus before zero"),
        (b"i-03e", 0, "an integer has no leading zeros and no minus before zero"),
        (b"i00e", 0, "an integer has no leading zeros and no minus before zero"),
        (b"i-0e", 0, "an integer has no leading zeros and no minus before zero"),
        (b"i%de" % (LARGEST + 1), 1, "an integer has more than 20 digits"),
        (b"i%de" % (-LARGEST - 1), 1, "an integer has more than 20 digits"),
        (b"1", 1, "the data ends inside a value"),
        (b"12", 2, "the data ends inside a string length"),
        (b"i5X", 1, "an integer is decimal digits and then b'e', not b'5X'"),
        (
            b"i" + b"x" * 30,
            1,
            "an integer is decimal digits and then b'e', not b'xxxxxxxxxxxxxxxxxxxxxx'",
        ),
        (b"1:", 0, "a string ends at byte 3, the data at 2"),
        (b"1;a", 0, "a string length is decimal digits and then b':', not b'1;a'"),
        (b"11:0123456789", 0, "a string ends at byte 14, the data at 13"),
        (
            b"99999999999999999999:x",
            0,
            "a string ends at byte 100000000000000000020, the data at 22",
        ),
        (b"999999999999999999999:x", 0, "a string length has more than 20 digits"),
        (b"03:abc", 0, "a string length has no leading zeros"),
        (b"00:", 0, "a string length has no leading zeros"),
        (
            b"1_0:0123456789",
            0,
            "a string length is decimal digits and then b':', not b'1_0:0123456789'",
        ),
        (b"1 :a", 0, "a string length is decimal digits and then b':', not b'1 :a'"),
        (b"1e", 0, "a string length is decimal digits and then b':', not b'1e'"),
        (b"-1:a", 0, "no value begins with b'-'"),
        (b"+1:a", 0, "no value begins with b'+'"),
        (b" 1:a", 0, "no value begins with b' '"),
        (b":a", 0, "no value begins with b':'"),
        (b"e", 0, "no value begins with b'e'"),
        (b"\xff", 0, "no value begins with b'\\xff'"),
        (b"l", 1, "the data ends inside a value"),
        (b"li1e", 4, "the data ends inside a value"),
        (b"lxe", 1, "no value begins with b'x'"),
        (b"d", 1, "the data ends inside a value"),
        (b"d1:a", 4, "the data ends inside a value"),
        (b"ld1:aee", 1, "a dictionary's last key has no value"),
        (b"ldi1ei1eee", 1, "a dictionary's keys are strings"),
        (b"dlei1ee", 0, "a dictionary's keys are strings"),
        (b"d1:a0:lee", 0, "a dictionary's last key has no value"),
        (b"d1:a0:le0:e", 0, "a dictionary's keys are strings"),
        (b"d1:b0:1:a0:e", 0, "a dictionary's keys are in order, as raw bytes"),
        (b"d1:B0:2:AA0:e", 0, "a dictionary's keys are in order, as raw bytes"),
        (b"d1:a0:1:a0:e", 0, "a dictionary has each of its keys once"),
        (b"i1ei2e", 3, "3 bytes follow the value"),
        (b"0:\n", 2, "1 bytes follow the value"),
    ],
)
def test_whatever_is_not_that_encoding_is_refused_with_its_place_and_rule(data, offset, rule):
    with pytest.raises(BencodeError) as caught:
        decode(data)
    assert str(caught.value) == f"at byte {offset}: {rule} (BEP 3, bencoding)"


def test_a_prefix_is_decoded_and_measured():
    # The data message of BEP 9: a dictionary, then raw bytes that may look like its end.
    header = b"d8:msg_typei1e5:piecei0e10:total_sizei34256ee"
    expected = {b"msg_type": 1, b"piece": 0, b"total_size": 34256}
    assert decode_prefix(header + b"eexxxx") == (expected, len(header))
    assert decode_prefix(header) == (expected, len(header))
    assert decode_prefix(b"4:spamspam") == (b"spam", 6)
    with pytest.raises(BencodeError, match="ends inside"):
        decode_prefix(header[:-1])


@given(values, st.binary(max_size=10))
def test_a_prefix_ends_where_its_encoding_does(value, rest):
    data = encode(value)
    assert decode_prefix(data + rest) == (value, len(data))


def test_lenient_decoding_admits_keys_out_of_order_and_nothing_else():
    assert decode(b"d1:b0:1:ai1ee", strict=False) == {b"b": b"", b"a": 1}
    assert decode_prefix(b"d1:b0:1:ai1eex", strict=False) == ({b"b": b"", b"a": 1}, 13)
    for data in (b"d1:b0:1:a0:1:b0:e", b"di1e0:e", b"d1:ae", b"i03e", b"01:a", b"i1e0:"):
        with pytest.raises(BencodeError):
            decode(data, strict=False)


def test_a_dictionary_keeps_the_bytes_of_its_values():
    data = b"d1:b0:4:infod1:zi1e1:ai2eee"
    assert decode_dict(data, strict=False) == {
        b"b": (b"", b"0:"),
        b"info": ({b"z": 1, b"a": 2}, b"d1:zi1e1:ai2ee"),
    }
    assert decode_dict(b"de") == {}


@pytest.mark.parametrize(
    ("data", "offset", "rule"),
    [
        (b"", 0, "not a dictionary, which begins with 'd'"),
        (b"le", 0, "not a dictionary, which begins with 'd'"),
        (b"d", 1, "the data ends inside a value"),
        (b"d1:a", 4, "the data ends inside a value"),
        (b"d1:ae", 4, "no value begins with b'e'"),
        (b"di1e0:e", 0, "a dictionary's keys are strings"),
        (b"dd1:b0:1:a0:e0:e", 1, "a dictionary's keys are in order, as raw bytes"),
        (b"d1:a0:1:a0:e", 0, "a dictionary has each of its keys once"),
        (b"d1:b0:1:a0:e", 0, "a dictionary's keys are in order, as raw bytes"),
        (b"d1:ad1:b0:1:a0:ee", 4, "a dictionary's keys are in order, as raw bytes"),
        (b"de0:", 2, "2 bytes follow the value"),
        (b"d" + b"l" * 99 + b"e" * 99 + b"0:e", 0, "a dictionary's keys are strings"),
    ],
)
def test_such_a_dictionary_obeys_the_same_rules(data, offset, rule):
    with pytest.raises(BencodeError) as caught:
        decode_dict(data)
    assert str(caught.value) == f"at byte {offset}: {rule} (BEP 3, bencoding)"


def test_such_a_dictionary_is_as_deep_as_any():
    deepest = b"d1:a" + b"l" * (MAX_DEPTH - 1) + b"e" * (MAX_DEPTH - 1) + b"e"
    assert decode_dict(deepest)[b"a"][1] == deepest[4:-1]
    assert decode(deepest).keys() == {b"a"}
    for opening in (b"d", b"d1:a"):
        at = len(opening) + MAX_DEPTH - 1
        for decoder in (decode, decode_dict):
            with pytest.raises(BencodeError, match=f"at byte {at}: nested deeper than"):
                decoder(opening + b"l" * MAX_DEPTH)


@given(st.dictionaries(st.binary(max_size=5), values, max_size=6))
def test_such_a_dictionary_is_that_of_decode(value):
    fields = decode_dict(encode(value))
    assert {key: decoded for key, (decoded, _) in fields.items()} == value
    assert all(raw == encode(value[key]) for key, (_, raw) in fields.items())


def test_a_dictionary_shares_one_bound_among_its_values():
    data = encode({b"a": [1, 2], b"b": [3]})
    tokens = 2 + 1 + 4 + 1 + 3
    assert decode(data, max_items=tokens) == {b"a": [1, 2], b"b": [3]}
    assert decode_dict(data, max_items=tokens).keys() == {b"a", b"b"}
    for decoder in (decode, decode_prefix, decode_dict):
        with pytest.raises(
            BencodeError, match=r": more values than the bound on them \(max_items\) "
        ):
            decoder(data, max_items=tokens - 1)
    with pytest.raises(BencodeError, match="at byte 1: more values"):
        decode(data, max_items=1)


def test_the_bound_on_depth_is_the_last_depth_that_is_read():
    assert encode(decode(b"l" * MAX_DEPTH + b"e" * MAX_DEPTH)).startswith(b"l" * MAX_DEPTH)
    with pytest.raises(BencodeError, match=f"at byte {MAX_DEPTH}: nested deeper than {MAX_DEPTH}"):
        decode(b"l" * (MAX_DEPTH + 1) + b"e" * (MAX_DEPTH + 1))
    assert decode(b"5:depth", max_depth=0) == b"depth"
    with pytest.raises(BencodeError, match="nested deeper than 0"):
        decode(b"de", max_depth=0)


@pytest.mark.parametrize("bound", [1, 2, MAX_DEPTH])
def test_the_outermost_dictionary_counts_as_depth_however_it_is_read(bound):
    def nested(depth):
        return b"d1:a" + b"l" * (depth - 1) + b"1:b" + b"e" * depth

    assert decode_dict(nested(bound), max_depth=bound).keys() == {b"a"}
    for decoder in (decode, decode_prefix, decode_dict):
        with pytest.raises(BencodeError) as error:
            decoder(nested(bound + 1), max_depth=bound)
        rule = f"nested deeper than {bound} lists and dictionaries"
        assert str(error.value) == f"at byte {bound + 3}: {rule} (BEP 3, bencoding)"


@pytest.mark.parametrize("opening", [b"l", b"d1:a", b"d0:l"])
def test_a_hundred_thousand_levels_are_refused_at_the_bound(opening):
    with pytest.raises(BencodeError, match="nested deeper than 100"):
        decode(opening * 100_000)


@pytest.mark.parametrize("opening", [b"l", b"d1:a"])
def test_python_s_own_stack_is_no_bound(opening):
    value = decode(opening * 10_000 + b"le" + b"e" * 10_000, max_depth=20_000)
    depth = 0
    while value:
        value = value[0] if isinstance(value, list) else value[b"a"]
        depth += 1
    assert depth == 10_000


@pytest.mark.parametrize(
    "data", [b"i" + b"9" * 1_000_000 + b"e", b"9" * 1_000_000 + b":x"], ids=["integer", "length"]
)
def test_a_million_digits_are_refused_without_being_read(data):
    tracemalloc.start()
    try:
        with pytest.raises(BencodeError, match="more than 20 digits"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_refusal_does_not_quote_the_data_at_length():
    for data in (b"i" + b"x" * 100_000, b"l" + b"1" * 100_000, b"d" + b"0:" * 99_999 + b"e"):
        with pytest.raises(BencodeError) as caught:
            decode(data)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_go_in_and_bytes_come_out(kind):
    value = decode(kind(b"d1:al1:bee"))
    assert value == {b"a": [b"b"]}
    assert type(value[b"a"][0]) is bytes
    assert decode_prefix(kind(b"1:ab")) == (b"a", 3)
    assert decode_dict(kind(b"d1:a0:e")) == {b"a": (b"", b"0:")}
    assert encode(kind(b"spam")) == b"4:spam"


@pytest.mark.parametrize("decoder", [decode, decode_prefix, decode_dict])
def test_only_bytes_are_decoded(decoder):
    with pytest.raises(TypeError, match="from bytes, not str"):
        decoder("4:spam")


def test_encoding_sorts_keys_as_raw_bytes_and_writes_text_as_utf_8():
    assert encode({"b": 1, b"a": 2, "Z": 3}) == b"d1:Zi3e1:ai2e1:bi1ee"
    assert encode({b"\xff": 1, "é": 2}) == b"d2:\xc3\xa9i2e1:\xffi1ee"
    assert encode(("µ", [])) == b"l2:\xc2\xb5lee"
    assert encode({memoryview(b"k"): Answer.YES}) == b"d1:ki42ee"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (True, "^bencode has no booleans; write 0 or 1$"),
        ([False], "^bencode has no booleans; write 0 or 1$"),
        (None, "no NoneType"),
        (1.0, "no float"),
        ({1, 2}, "no set"),
        ({"a": None}, "no NoneType"),
        ({1: "a"}, "keys are bytes or str, not int"),
        ({None: "a"}, "keys are bytes or str, not NoneType"),
    ],
)
def test_what_bencode_has_no_form_for_is_a_type_error(value, what):
    with pytest.raises(TypeError, match=what):
        encode(value)


@pytest.mark.parametrize(
    "number", [LARGEST + 1, -LARGEST - 1, 1 << 99_999], ids=["over", "under", "vast"]
)
def test_nothing_is_written_that_would_not_be_read_back(number):
    with pytest.raises(BencodeError, match="at most 20 digits"):
        encode(number)


def test_one_key_as_text_and_as_bytes_is_refused():
    with pytest.raises(
        BencodeError, match=r"^a dictionary holds the same key as str and as bytes$"
    ):
        encode({"a": 1, b"a": 2})


def test_half_a_surrogate_pair_has_no_encoding():
    with pytest.raises(UnicodeEncodeError):
        encode("\ud800")


def test_what_is_as_deep_as_can_be_read_is_written_and_nothing_deeper():
    deepest: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        deepest = [deepest]
    assert decode(encode(deepest)) == deepest
    with pytest.raises(BencodeError, match="nested deeper than 100"):
        encode([deepest])


def test_a_list_inside_itself_is_refused():
    endless: list[object] = []
    endless += [endless, endless]
    with pytest.raises(BencodeError, match="nested deeper"):
        encode(endless)


@given(values)
def test_decoding_undoes_encoding(value):
    assert decode(encode(value)) == value


@given(values)
def test_the_oracles_agree_on_valid_values(value):
    data = encode(value)
    assert data == bencode2.bencode(value) == fastbencode.bencode(value)
    assert decode(data) == bencode2.bdecode(data) == fastbencode.bdecode(data)


def verdict(decoder, data):
    """What a decoder makes of the data: its value, or None for a refusal."""
    try:
        return (decoder(data),)
    except ValueError:  # BencodeError and both oracles' errors
        return None


@st.composite
def mutated(draw):
    """The encoding of a value with a few bytes replaced, removed or put in."""
    data = bytearray(encode(draw(values)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        width = draw(st.integers(0, 2))
        data[at : at + width] = draw(st.sampled_from([b"", *(b"%c" % c for c in b"0123-:delix\0")]))
    return bytes(data)


@given(mutated() | st.text("0129-:deil ", max_size=30).map(str.encode) | st.binary(max_size=30))
def test_what_the_oracles_agree_on_is_our_verdict_too(data):
    ours = verdict(decode, data)
    theirs = verdict(bencode2.bdecode, data)
    if theirs != verdict(fastbencode.bdecode, data):
        return
    if ours is None and theirs is not None:  # the one bound of ours that such data can reach
        with pytest.raises(BencodeError, match="more than 20 digits"):
            decode(data)
        return
    assert ours == theirs


@given(mutated(), st.booleans())
def test_a_dictionary_is_read_as_by_decode_or_not_at_all(data, strict):
    whole = verdict(lambda given: decode(given, strict=strict), data)
    fields = verdict(lambda given: decode_dict(given, strict=strict), data)
    if whole is None or not isinstance(whole[0], dict):
        assert fields is None
    else:
        assert {key: value for key, (value, _) in fields[0].items()} == whole[0]


@given(st.binary(max_size=60) | mutated())
def test_nothing_but_a_bencode_error_leaves_the_decoder(data):
    for decoder in (decode, decode_prefix, decode_dict):
        for strict in (True, False):
            with contextlib.suppress(BencodeError):
                decoder(data, strict=strict)


@given(mutated() | st.text("0129-:deil ", max_size=30).map(str.encode))
def test_what_is_decoded_is_encoded_to_the_same_bytes(data):
    try:
        value, end = decode_prefix(data)
    except BencodeError:
        return
    assert encode(value) == data[:end]
