"""Run names: encodings decoded back, malformed names refused, then properties of any search space."""

import math
import re
from enum import Enum
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sweep.errors import RunNameError, StudyError
from sweep.names import (
    MAX_BYTES,
    KeyTable,
    Value,
    check_choices,
    decode,
    encode,
    encode_repeat,
    format_value,
    is_run_name,
    is_same,
    parse_value,
    session_group,
    short_number,
)
from sweep.names.parts import parts
from tests import strategies
from tests.strategies import typed

VALUES: list[tuple[Value, str]] = [
    (None, "none"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-5, "-5"),
    (2**70, "1180591620717411303424"),
    (0.00118, "0.00118"),
    (0.0000214, "0.0000214"),
    (32.0, "32.0"),
    (-0.0, "-0.0"),
    (0.1 + 0.2, "0.30000000000000004"),
    (1e-6, "0.000001"),
    (9.99e-7, "9.99e-7"),
    (1e15, "1000000000000000.0"),
    (2e15, "2e15"),
    (1e300, "1e300"),
    (-1.5e-320, "-1.5e-320"),
    (5e-324, "5e-324"),
    (math.nan, "nan"),
    (math.inf, "inf"),
    (-math.inf, "-inf"),
    ("", ""),
    ("bert-base-uncased", "bert-base-uncased"),
    ("3x3", "3x3"),
    ("None", "None"),
    ("none", "~6eone"),
    ("true", "~74rue"),
    ("nan", "~6ean"),
    ("-inf", "~2dinf"),
    ("0.5", "~30.5"),
    ("007", "~3007"),
    ("1E5", "~31E5"),
    ("-.5", "~2d.5"),
    ("5.", "~35."),
    ("a=b", "a~3db"),
    ("a b~c", "a~20b~7ec"),
    ("größe", "gr~c3~b6~c3~9fe"),
    ("a-b-~01234567", "a-b~2d~7e01234567"),
    ("--/", "~2d~2d~2f"),
    ("\ud800", "~ed~a0~80"),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_a_value_has_one_text_and_reads_back_with_its_type(value: Value, text: str) -> None:
    assert format_value(value) == text
    assert typed({"p": parse_value(text)}) == typed({"p": value})


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("0.10", "Write 0.1."),
        ("1e-3", "Write 0.001."),
        ("0.0000001", "Write 1e-7."),
        ("1e+300", "Write 1e300."),
        ("+5", "Write 5."),
        ("-0", "Write 0."),
        ("007", "Write 7."),
        (".5", "Write 0.5."),
        ("1e999", "Write inf."),
        ("~41dam", "Write Adam."),
        ("a-~3d", "Write a~2d~3d."),
    ],
)
def test_a_value_written_in_another_way_is_refused_with_the_right_one(text: str, hint: str) -> None:
    with pytest.raises(RunNameError, match=re.escape(f"'{text}' is not the way sweep writes this value. {hint}")):
        parse_value(text)


@pytest.mark.parametrize("text", ["a~", "a~4", "a~3D", "~zz", "a=b", "a b", "é", "a\n", "~ff", "~c3", "~c0~80"])
def test_a_value_that_is_not_escaped_well_is_refused(text: str) -> None:
    with pytest.raises(RunNameError):
        parse_value(text)


def test_numbers_and_strings_of_other_libraries_are_written_as_what_they_are() -> None:
    class Optimizer(str, Enum):  # noqa: UP042 - the older way to write it has a `str()` that is not its value
        ADAM = "adam"

    assert format_value(np.float64(0.1)) == "0.1"
    assert format_value(Optimizer.ADAM) == "adam"


@pytest.mark.parametrize("value", [[1, 2], (1,), b"adam", np.float32(0.1), 1j, {"a": 1}])
def test_a_value_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(RunNameError, match=re.escape(type(value).__name__)):
        format_value(value)


def test_an_int_that_python_does_not_write_is_refused() -> None:
    with pytest.raises(RunNameError, match="thousands of digits"):
        format_value(10**5000)
    with pytest.raises(RunNameError, match="thousands of digits"):
        parse_value("1" * 5000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001184, "0.001184"),
        (53.2345, "53.23"),
        (12345.678, "12346"),
        (0.1 + 0.2, "0.3"),
        (32, "32"),
        (-0.0, "0"),
        (1e-9, "1e-9"),
        (1.23456e300, "1.235e300"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (1e15, "1000000000000000"),
    ],
)
def test_a_number_for_display_has_four_digits(value: float, text: str) -> None:
    assert short_number(value) == text


# The design's examples, with the study's key table as it stands after them.
NAMES: list[tuple[str, dict[str, Value], dict[str, Any]]] = [
    (
        "dnn-4x32_16-lr=0.00118-bs=32-t0017",
        {"batch_size": 32, "learning_rate": 0.00118},
        {"family": "dnn", "architecture": "4x32_16", "number": 17},
    ),
    (
        "cnn-2xc32_2xc64_128-lr=0.00118-bs=64-filt=32-blocks=2-drop=0.313-aug=true-opt=adam-t0031",
        {
            "filters": 32,
            "blocks": 2,
            "dropout": 0.313,
            "augment": True,
            "optimizer": "adam",
            "learning_rate": 0.00118,
            "batch_size": 64,
        },
        {"family": "cnn", "architecture": "2xc32_2xc64_128", "number": 31},
    ),
    (
        "head-256_3-lr=0.0000214-bs=16-base=bert-base-uncased-warm=0.0612-t0021",
        {"learning_rate": 2.14e-5, "batch_size": 16, "base": "bert-base-uncased", "warmup_ratio": 0.0612},
        {"family": "head", "architecture": "256_3", "number": 21},
    ),
    ("mlp-t0000", {}, {"family": "mlp", "number": 0}),
    ("mlp-t9999", {}, {"family": "mlp", "number": 9999}),
    ("mlp-t10000", {}, {"family": "mlp", "number": 10000}),
    ("mlp-32-t0000", {}, {"family": "mlp", "architecture": "32", "number": 0}),
    ("~-t0001", {}, {"family": "", "number": 1}),
    ("my~2dnet~3dgr~c3~bcn-t0001", {}, {"family": "my-net=grün", "number": 1}),
    ("~2e.hidden-t0001", {}, {"family": "..hidden", "number": 1}),
    ("a~2fb-t0001", {}, {"family": "a/b", "number": 1}),
    ("a-act=-opt=--t0001", {"activation": "", "optimizer": "-"}, {"family": "a", "number": 1}),
    ("a-act=x-t0017-opt=-lr~3d3-t0001", {"activation": "x-t0017", "optimizer": "-lr=3"}, {"family": "a", "number": 1}),
    ("a-act=-2.5-opt=~2d2.5-t0001", {"activation": -2.5, "optimizer": "-2.5"}, {"family": "a", "number": 1}),
]


@pytest.mark.parametrize(("name", "params", "rest"), NAMES)
def test_an_encoded_name_decodes_to_what_it_was_made_of(
    name: str, params: dict[str, Value], rest: dict[str, Any]
) -> None:
    keys = KeyTable()
    assert encode(params, **rest, keys=keys) == name
    run = decode(name, keys)
    assert typed(run.params) == typed(params)
    assert (run.family, run.architecture, run.number) == (rest["family"], rest.get("architecture"), rest["number"])
    assert run.digest is None


MALFORMED = [
    ("", "A run name ends with `-t` and a trial number of at least 4 digits, at character 1 of '': ''."),
    ("dnn", "ends with `-t` and a trial number of at least 4 digits, at character 4 of 'dnn': ''."),
    ("dnn-t17", "at least 4 digits"),
    ("dnn-t00017", "at least 4 digits"),
    ("dnn-t0017\n", "A run name consists of [A-Za-z0-9._+=~-], at character 10 of 'dnn-t0017\\n': '\\n'."),
    ("dnn-t00\u06617", "A run name consists of"),
    ("wine/dnn-t0017", "at character 5 of 'wine/dnn-t0017': '/'."),
    ("/dnn-t0017", "at character 1 of '/dnn-t0017': '/'."),
    ("-t0017", "begins with a family"),
    ("-lr=1-t0017", "begins with a family"),
    (".a-t0017", "begins with a family, escaped the way sweep escapes it, at character 1 of '.a-t0017': '.a'."),
    ("~64nn-t0017", "begins with a family, escaped the way sweep escapes it"),
    ("dn~n-t0017", "must be escaped as `~` and two digits 0-9a-f for each byte: 'dn~n', at character 1"),
    ("dnn=3-t0017", "at character 1 of 'dnn=3-t0017': 'dnn=3'."),
    ("~~~-t0017", "`~` and two digits"),
    ("dnn--lr=1-t0017", "Only an architecture can follow the family, at character 5 of 'dnn--lr=1-t0017': ''."),
    ("dnn-a~2db-lr=1-t0017", "Only an architecture can follow the family"),
    ("dnn-32-bs-lr=1-t0017", "Only `key=value` can follow the family and the architecture, at character 8"),
    ("dnn-=1-t0017", "A key consists of at most 18 of [A-Za-z0-9_.] and begins with a letter or `_`, at character 5"),
    ("dnn-9x=1-t0017", "begins with a letter or `_`, at character 5 of 'dnn-9x=1-t0017': '9x'."),
    (f"dnn-{'k' * 19}=1-t0017", "A key consists of at most 18"),
    ("dnn-lr=1=2-t0017", "at character 8 of 'dnn-lr=1=2-t0017': '1=2'."),
    ("dnn-lr=0.10-t0017", "at character 8 of 'dnn-lr=0.10-t0017': '0.10'. Write 0.1."),
    ("dnn-opt=a~ff-t0017", "The escaped bytes are not UTF-8: 'a~ff', at character 9"),
    ("dnn-lr=1-lr=2-t0017", "A run name has each key once, at character 10 of 'dnn-lr=1-lr=2-t0017': 'lr'."),
    ("dnn-opt=a-~3fa94c2-t0017", "not the way sweep writes this value"),
    ("dnn-32-lr=1-~3fa94c21-t0017", "A shortened run name has no architecture"),
    ("dnn-family=mlp-t0017", "whose value is text is written as the family, and only there, at character 4"),
    ("dnn~-family=3-t0017", "A family ends with `~` only where the trial has no"),
    ("a" * 135 + "-t0017", f"A run name has at most 140 bytes, at character 141 of '{'a' * 135}-t001...': '7'."),
    ("a" * 134 + "-t017", f"at least 4 digits, at character 140 of '{'a' * 134}-t017': ''."),
    ("a" * 135 + "-t017", f"at least 4 digits, at character 141 of '{'a' * 135}-t017': ''."),
]


@pytest.mark.parametrize(("text", "message"), MALFORMED)
def test_a_malformed_name_is_refused_with_place_and_rule(text: str, message: str) -> None:
    with pytest.raises(RunNameError, match=re.escape(message)):
        decode(text)
    assert is_run_name(text) is False


def test_a_name_with_a_key_of_another_study_is_refused_with_the_keys_there_are() -> None:
    keys = KeyTable(table={"learning_rate": "lr", "batch_size": "bs"})
    with pytest.raises(RunNameError, match=r"has the key 'drop', at character 10 of .* Its keys are lr, bs\."):
        decode("dnn-lr=1-drop=0.5-t0001", keys)


def test_without_a_key_table_keys_stand_for_names() -> None:
    run = decode("dnn-4x32_16-lr=0.00118-bs=32-t0017")
    assert (run.family, run.params) == ("dnn", {"lr": 0.00118, "bs": 32})


@pytest.mark.parametrize("number", [-1, 10**19])
def test_a_trial_number_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(RunNameError, match="A trial number must"):
        encode({}, number=number, family="dnn", keys=KeyTable())


@pytest.mark.parametrize("architecture", ["", "4-32", "a=b", "32~", "3 2"])
def test_an_architecture_that_would_not_read_back_is_refused(architecture: str) -> None:
    with pytest.raises(RunNameError, match="An architecture must consist of"):
        encode({}, number=0, family="dnn", keys=KeyTable(), architecture=architecture)


def test_a_value_that_cannot_be_encoded_is_refused_with_its_parameter() -> None:
    with pytest.raises(RunNameError, match=r"Parameter `layers`: .* not \[32, 16\] \(list\)"):
        encode({"layers": [32, 16]}, number=0, family="dnn", keys=KeyTable())  # type: ignore[dict-item]


class TestTheParameterCalledFamily:
    def test_is_left_out_and_comes_back(self) -> None:
        keys = KeyTable()
        name = encode({"family": "mlp", "lr": 0.1}, number=3, family="wine", keys=keys)
        assert name == "mlp-lr=0.1-t0003"
        assert decode(name, keys).params == {"family": "mlp", "lr": 0.1}
        assert decode(name, KeyTable(table=keys.as_dict())).params == {"family": "mlp", "lr": 0.1}

    def test_is_marked_as_missing_in_a_trial_that_did_not_suggest_it(self) -> None:
        keys = KeyTable()
        encode({"family": "mlp"}, number=0, family="wine", keys=keys)
        name = encode({"lr": 0.1}, number=1, family="wine", keys=keys)
        assert name == "wine~-lr=0.1-t0001"
        assert (decode(name, keys).family, decode(name, keys).params) == ("wine", {"lr": 0.1})
        nameless = encode({}, number=2, family="", keys=keys)
        assert nameless == "~~-t0002"
        assert (decode(nameless, keys).family, decode(nameless, keys).params) == ("", {})

    def test_is_written_out_where_it_appears_after_names_were_made(self) -> None:
        keys = KeyTable()
        early = encode({"lr": 0.1}, number=0, family="wine", keys=keys)
        late = encode({"lr": 0.1, "family": "mlp"}, number=1, family="wine", keys=keys)
        assert (early, late) == ("wine-lr=0.1-t0000", "mlp-lr=0.1-family=mlp-t0001")
        assert decode(early, keys).params == {"lr": 0.1}
        assert decode(late, keys).params == {"lr": 0.1, "family": "mlp"}

    def test_is_written_out_where_a_kept_table_may_have_made_names(self) -> None:
        keys = KeyTable(table={"lr": "lr"})
        assert encode({"family": "mlp"}, number=1, family="wine", keys=keys) == "mlp-family=mlp-t0001"

    def test_is_written_out_where_it_is_no_string(self) -> None:
        keys = KeyTable()
        name = encode({"family": 3}, number=1, family="wine", keys=keys)
        assert name == "wine-family=3-t0001"
        assert decode(name, keys).params == {"family": 3}

    def test_stands_once(self) -> None:
        keys = KeyTable()
        keys.assign("family")
        with pytest.raises(RunNameError, match="and only there"):
            decode("mlp-family=mlp-t0001", keys)

    def test_is_not_known_to_be_missing_where_the_study_has_none(self) -> None:
        with pytest.raises(RunNameError, match="only where the trial has no"):
            decode("mlp~-t0001", KeyTable(table={"lr": "lr"}))


WIDE: dict[str, Value] = {f"parameter_{letter}": 0.123456789012345 for letter in "abcdefgh"}


class TestALongName:
    def test_loses_its_architecture_first(self) -> None:
        params = {"note": "x" * 110}
        keys = KeyTable()
        assert "-4x32_16-" in encode(params, number=1, family="dnn", keys=keys, architecture="4x32_16")
        params = {"note": "x" * 122}
        name = encode(params, number=1, family="dnn", keys=keys, architecture="4x32_16")
        assert decode(name, keys).params == params
        assert decode(name, keys).architecture is None

    def test_then_ends_with_a_digest_of_all_its_parameters(self) -> None:
        keys = KeyTable()
        name = encode(WIDE, number=1, family="dnn", keys=keys, architecture="4x32_16")
        assert re.fullmatch(r"dnn-pa=0\.123456789012345-pb=.*-~[0-9a-f]{8}-t0001", name)
        assert len(name) <= MAX_BYTES
        run = decode(name, keys)
        assert run.digest
        assert run.digest in name
        assert run.params.items() < WIDE.items()
        other = encode(WIDE | {"parameter_h": 0.5}, number=1, family="dnn", keys=keys)
        assert other != name

    def test_keeps_what_fits_after_a_parameter_that_does_not(self) -> None:
        keys = KeyTable()
        name = encode({"prompt": "x" * 500, "lr": 0.1, "units": 32}, number=1, family="dnn", keys=keys)
        assert re.fullmatch(r"dnn-lr=0\.1-units=32-~[0-9a-f]{8}-t0001", name)

    def test_uses_all_the_room_there_is(self) -> None:
        def shortened(length: int) -> str:
            params: dict[str, Value] = {"note": "x" * length, "pad": "y" * 50}
            return encode(params, number=1, family="dnn", keys=KeyTable())

        assert re.fullmatch(r"dnn-note=x{115}-~[0-9a-f]{8}-t0001", shortened(115))
        assert len(shortened(115)) == MAX_BYTES
        assert re.fullmatch(r"dnn-pad=y{50}-~[0-9a-f]{8}-t0001", shortened(116))

    def test_is_the_same_in_every_version(self) -> None:
        name = encode({"note": "x" * 200, "lr": 0.1}, number=1, family="dnn", keys=KeyTable())
        assert name == "dnn-lr=0.1-~93447795-t0001"

    def test_keeps_as_much_of_its_family_as_fits(self) -> None:
        keys = KeyTable()
        name = encode({"family": "ä" * 100}, number=1, family="dnn", keys=keys)
        assert len(name) <= MAX_BYTES
        run = decode(name, keys)
        assert run.family == "ä" * 20
        assert run.params == {}
        assert len(encode({"family": "y" * 200}, number=1, family="dnn", keys=KeyTable())) == MAX_BYTES

    @pytest.mark.parametrize("length", range(105, 150))
    def test_of_any_length_is_whole_or_says_that_it_is_not(self, length: int) -> None:
        keys = KeyTable()
        for params in ({"note": "x" * length}, {"family": "y" * length}):
            name = encode(params, number=1, family="dnn", keys=keys)
            assert len(name) <= MAX_BYTES
            assert (decode(name, keys).params == params) is (decode(name, keys).digest is None)


class TestAKeyTable:
    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("lr", "lr"),
            ("width", "width"),
            ("blocks", "blocks"),
            ("_x", "_x"),
            ("learning_rate", "lr"),
            ("learningRate", "lr"),
            ("optimizer/learning rate", "olr"),
            ("batch_size", "bs"),
            ("dropout", "drop"),
            ("dropout_2", "drop2"),
            ("units_0", "units0"),
            ("n_units_l0", "units0"),
            ("adam_beta_1", "b1"),
            ("weight_decay", "wd"),
            ("activation", "act"),
            ("label_noise_rate", "lnr"),
            ("alternative", "alte"),
            ("2nd_units", "p2nu"),
            ("3d", "p3d"),
            ("größe des netzes", "gdn"),
            ("学习率", "p"),
            ("", "p"),
            ("x" * 200, "xxxx"),
            ("_".join("abcdefghijklmnopqrstuvwxyz"), "abcdefghijklmnopqr"),
            ("_".join("abcdefghijklmnopqrstuvwxyz") + "_3", "abcdefghijklmnopq3"),
        ],
    )
    def test_gives_a_parameter_a_key_that_a_person_would(self, name: str, key: str) -> None:
        keys = KeyTable()
        assert keys.assign(name) == key
        assert keys.name(key) == name

    def test_makes_a_key_longer_until_no_other_parameter_has_it(self) -> None:
        keys = KeyTable()
        names = [
            "dropout",
            "dropout_rate",
            "drop_rate",
            "drop",
            "LR",
            "lr",
            "lR",
            "学习率",
            "批量",
            "alternative",
            "alternate",
        ]
        assert [keys.assign(name) for name in names] == [
            *("drop", "dr", "drra", "drop_2", "LR", "lr_2", "l_r", "p", "p_2", "alte", "alter")
        ]
        assert [keys.name(keys.key(name)) for name in names] == names

    def test_puts_learning_rate_and_batch_size_first_and_then_the_order_of_suggestion(self) -> None:
        keys = KeyTable()
        for name in ["width", "batch_size", "activation", "learning_rate"]:
            keys.assign(name)
        assert keys.order(["activation", "batch_size", "learning_rate", "width"]) == [
            *("learning_rate", "batch_size", "width", "activation")
        ]

    def test_follows_the_users_keys_and_their_order(self) -> None:
        keys = KeyTable(short={"width": "w", "learning_rate": "eta"})
        name = encode({"learning_rate": 0.1, "batch_size": 8, "width": 32}, number=1, family="dnn", keys=keys)
        assert name == "dnn-w=32-eta=0.1-bs=8-t0001"

    def test_keeps_the_users_keys_for_parameters_that_come_later(self) -> None:
        keys = KeyTable(short={"late": "width"})
        assert keys.assign("width") == "widt"
        assert keys.assign("late") == "width"

    def test_survives_being_kept(self) -> None:
        keys = KeyTable()
        for name in ["width", "family", "dropout", "dropout_rate"]:
            keys.assign(name)
        kept = KeyTable(table=keys.as_dict())
        assert kept.as_dict() == keys.as_dict()
        assert kept.assign("drop") == keys.assign("drop")

    @pytest.mark.parametrize("key", ["", "9x", "a-b", "a=b", "a~b", "größe", "a b", "x" * 19, "family", "Family", 3])
    def test_refuses_a_malformed_key_of_the_users(self, key: Any) -> None:
        with pytest.raises(
            RunNameError,
            match=re.escape(f"`width` cannot have {key!r}") + "|" + re.escape(f"`width` cannot have the key {key!r}"),
        ):
            KeyTable(short={"width": key})

    @pytest.mark.parametrize(
        ("short", "table", "message"),
        [
            ({"width": "w", "depth": "W"}, {}, "The key 'W' stands for two parameters, `width` and `depth`."),
            ({"family": "f"}, {}, "`family` cannot have the short key"),
            (
                {"width": "w"},
                {"width": "width"},
                "Cannot change the key of `width` to 'w': this study's run names have 'width'.",
            ),
            ({"width": "w"}, {"weight": "w"}, "stands for two parameters"),
            ({}, {"width": "w", "weight": "w"}, "stands for two parameters"),
            ({}, {"width": ""}, "A key consists of at most 18"),
        ],
    )
    def test_refuses_keys_that_contradict_each_other(
        self, short: dict[str, str], table: dict[str, str], message: str
    ) -> None:
        with pytest.raises(RunNameError, match=re.escape(message)):
            KeyTable(short=short, table=table)

    def test_refuses_what_it_does_not_have(self) -> None:
        keys = KeyTable(table={"learning_rate": "lr"})
        with pytest.raises(RunNameError, match="Parameter 'width' has no key yet"):
            keys.key("width")
        with pytest.raises(RunNameError, match=r"has the key 'LR'. Its keys are lr."):
            keys.name("LR")


# People type these keys into filters and conditions, so a change here changes what finds their runs.
USUAL = """
    act: activation activation_function hidden_activation activation_fn
    arch: architecture
    aug: augment augmentation augmentations data_augmentation use_augmentation
    b1: beta_1 adam_beta_1
    b2: beta_2 adam_beta_2
    bias: use_bias
    bidi: bidirectional
    blocks: n_blocks num_blocks
    bn: batch_norm use_batch_norm batch_normalization use_batch_normalization
    bs: batch_size train_batch_size minibatch_size
    clip: clipnorm clip_norm clipvalue clip_value grad_clip gradient_clip gradient_clipping max_grad_norm
    decay: decay_rate
    depth: max_depth
    drop: dropout dropout_rate dropout_prob drop_rate
    emb: embedding embedding_dim embedding_size embed_dim
    ep: n_epochs num_epochs
    eps: epsilon adam_epsilon
    filt: filters n_filters num_filters conv_filters
    grow: growth_rate
    heads: n_heads num_heads attention_heads n_attention_heads num_attention_heads
    hid: hidden hidden_dim hidden_size hidden_units n_hidden num_hidden
    init: initializer kernel_initializer weight_init
    ks: kernel_size conv_kernel_size
    l1: l1_regularization l1_reg l1_penalty
    l2: l2_regularization l2_reg l2_penalty
    layers: n_layers num_layers hidden_layers n_hidden_layers num_hidden_layers
    len: max_len max_length sequence_length seq_len seq_length
    ln: layer_norm use_layer_norm layer_normalization use_layer_normalization
    loss: loss_function
    lr: learning_rate initial_learning_rate base_learning_rate max_learning_rate
    lrdec: learning_rate_decay lr_decay
    ls: label_smoothing
    model: model_name model_type
    mom: momentum sgd_momentum
    nest: nesterov use_nesterov
    noise: noise_std noise_stddev gaussian_noise
    norm: normalization
    opt: optimizer optimizer_name
    pad: padding
    pat: patience early_stopping_patience
    pool: pooling pool_size pooling_type
    rdrop: recurrent_dropout
    reg: regularizer regularization kernel_regularizer
    res: resolution image_size img_size
    rho: rmsprop_rho
    sched: scheduler schedule lr_schedule lr_scheduler learning_rate_schedule
    skip: skip_connections use_skip_connections residual
    temp: temperature
    units: n_units num_units dense_units hidden_layer_size
    vocab: vocab_size vocabulary_size max_tokens
    warm: warmup warmup_steps warmup_epochs warmup_ratio warmup_proportion
    wd: weight_decay
    wmul: width_multiplier
"""


@pytest.mark.parametrize("line", USUAL.strip().splitlines())
def test_a_parameter_that_is_usual_in_the_field_has_its_usual_key(line: str) -> None:
    key, names = line.strip().split(": ")
    for name in names.split():
        assert KeyTable().assign(name) == (name if len(name) <= 6 else key)
        assert KeyTable().assign(f"{name}_2") == f"{key}2"


class TestChoices:
    @pytest.mark.parametrize("choices", [["a", "b"], [None, True, "1", 2], ["a", "a"], [math.nan, "nan"], [0.5, 1]])
    def test_that_optuna_can_tell_apart_are_taken(self, choices: list[Value]) -> None:
        check_choices("opt", choices)

    @pytest.mark.parametrize("choices", [[1, True], [1, 1.0], [0, "a", False], [0.0, -0.0], [2**53, float(2**53)]])
    def test_that_optuna_cannot_tell_apart_are_refused(self, choices: list[Value]) -> None:
        with pytest.raises(StudyError, match="Optuna cannot tell the choices") as refused:
            check_choices("opt", choices)
        assert all(repr(choice) in str(refused.value) for choice in choices if choice != "a")

    @pytest.mark.parametrize("choice", [(32, 16), [1], b"a", np.float32(0.5), len])
    def test_of_another_type_are_refused(self, choice: object) -> None:
        with pytest.raises(StudyError, match="Each choice of `opt` must be None, a bool, an int, a float or a string"):
            check_choices("opt", ["a", choice])
        advice = "Suggest its name as a string"
        with pytest.raises(StudyError, match=re.escape(f"not {choice!r} ({type(choice).__name__}). {advice}")):
            check_choices("opt", ["a", choice])


@given(strategies.values)
def test_any_value_reads_back(value: Value) -> None:
    assert typed({"p": parse_value(format_value(value))}) == typed({"p": value})


@given(st.data())
def test_any_search_space_decodes_to_what_was_encoded(data: st.DataObject) -> None:
    study = data.draw(strategies.trials())
    keys = KeyTable()
    names = []
    for number, params in enumerate(study):
        family, architecture = data.draw(strategies.strings), data.draw(st.sampled_from([None, "4x32_16", "186kp"]))
        names.append(encode(params, number=number, family=family, keys=keys, architecture=architecture))
    # The table has grown since the first of them was made, and has been kept.
    keys = KeyTable(table=keys.as_dict())
    for number, (name, params) in enumerate(zip(names, study, strict=True)):
        assert re.fullmatch(r"[A-Za-z0-9._+=~-]{1,140}", name)
        run = decode(name, keys)
        assert run.number == number
        whole, written = typed(params), typed(run.params)
        assert written.items() <= whole.items() if run.digest else written == whole


@given(st.data(), st.integers(0, 10**19 - 1), st.integers(0, 10**19 - 1))
def test_names_of_different_trials_differ(data: st.DataObject, first: int, second: int) -> None:
    assume(first != second)
    keys = KeyTable()
    study = [data.draw(strategies.trials(most=1))[0] for _ in range(2)]
    names = {
        encode(params, number=number, family="dnn", keys=keys).lower()
        for params, number in zip(study, (first, second), strict=True)
    }
    assert len(names) == 2


# Texts near run names: valid ones with something put in, and pieces of names joined at random.
near_names = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(["dnn", "-", "=", "~", "lr", "t0017", "-t0017", "32", "0.1", "~3d", "-~01234567", "1e5"])
    ).map("".join),
    st.builds(
        lambda at, put: "dnn-4x32-lr=0.1-opt=a-b-t0017"[:at] + put + "dnn-4x32-lr=0.1-opt=a-b-t0017"[at:],
        st.integers(0, 29),
        st.text(max_size=3),
    ),
)


@given(near_names)
def test_any_text_is_refused_or_is_the_one_name_of_what_it_says(text: str) -> None:
    if not is_run_name(text):
        with pytest.raises(RunNameError, match=r"(?s:.*), at character \d+ of "):
            decode(text)
        return
    run = decode(text)
    assume(run.digest is None)
    keys = KeyTable(table={key: key for key in run.params})
    head = text.partition("-")[0]
    if head.endswith("~") and head != "~":
        keys = KeyTable(table={"family": "", **keys.as_dict()})
    params, rest = run.params, {"family": run.family, "architecture": run.architecture, "number": run.number}
    assert encode(params, **rest, keys=keys) == text  # type: ignore[arg-type]


def test_initials_that_are_the_usual_key_of_another_parameter_are_passed_over():
    keys = KeyTable()
    assert keys.assign("l1_ratio") == "l1ra"
    assert keys.assign("learning_rate") == "lr"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (True, True, True),
        (True, 1, False),
        (0.0, False, False),
        (math.nan, math.nan, True),
        (math.nan, 0.0, False),
        ("1", 1, False),
        (None, None, True),
        (None, False, False),
    ],
)
def test_two_values_of_a_parameter_are_one_or_not(one, other, same):
    assert is_same(one, other) is same
    assert is_same(other, one) is same


@pytest.mark.parametrize("repeat", [1, 2, 99, 9999])
def test_a_repeat_is_named_after_its_run(repeat):
    name = encode({"lr": 0.1, "base": "a-b"}, number=12, family="dnn", keys=KeyTable())
    repeated = encode_repeat(name, repeat)
    assert repeated == f"{name}r{repeat}"
    decoded = decode(repeated)
    assert (decoded.number, decoded.repeat, decoded.params) == (12, repeat, decode(name).params)
    assert decode(name).repeat is None
    assert "-".join(part.text for part in parts(repeated)) == repeated


def test_the_repeats_of_a_run_are_one_session_group_apart_from_the_run():
    name = encode({"lr": 0.1}, number=12, family="dnn", keys=KeyTable())
    groups = {session_group(encode_repeat(name, repeat)) for repeat in (1, 2, 34)}
    assert groups == {f"{name}r"}
    assert session_group(name) == name


def test_the_longest_name_can_be_repeated():
    name = encode({"text": "y" * 200}, number=12, family="dnn", keys=KeyTable())
    assert decode(encode_repeat(name, 9999)).digest == decode(name).digest


@pytest.mark.parametrize("repeat", [0, -1, 10_000])
def test_a_repeat_has_a_number_of_one_to_four_digits(repeat):
    with pytest.raises(RunNameError, match="counted from 1 to 9999"):
        encode_repeat("dnn-t0012", repeat)


def test_a_repeat_is_not_repeated():
    with pytest.raises(RunNameError, match="have none themselves"):
        encode_repeat("dnn-t0012r2", 1)
