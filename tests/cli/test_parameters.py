"""`--set`, `--enqueue` and `--from`, read over a search space."""

import json

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json

from sweep.cli.parameters import choose
from sweep.control.preview import Preview
from sweep.errors import SweepError
from sweep.options import Settings, from_command_line
from tests import store_builder

SPACE = {
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "batch_size": CategoricalDistribution([8, 16, 32]),
    "family": CategoricalDistribution(["mlp", "dnn"]),
    "width": IntDistribution(4, 64, log=True),
    "warmup": CategoricalDistribution([None, True, 0.5]),
}
KEYS = {"learning_rate": "lr", "batch_size": "bs", "family": "", "width": "width", "warmup": "warmup"}
SEEN = Preview("study", keys=KEYS, space={name: [distribution_to_json(domain)] for name, domain in SPACE.items()})


def read(seen=SEEN, *, fixed=(), enqueue=(), best_of=(), storage="sqlite:///none.db"):
    """The options of a command line read over `SPACE`."""
    given = {"--set": fixed, "--enqueue": enqueue, "--from": best_of}
    settings = from_command_line({flag: list(texts) for flag, texts in given.items() if texts} | {"--storage": storage})
    return choose(settings, lambda: seen)


def test_nothing_said_needs_no_preview():
    def never():
        raise AssertionError("previewed")

    assert choose(Settings(), never) == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate=0.01", {"learning_rate": 0.01}),
        ("lr=0.01", {"learning_rate": 0.01}),
        ("width=16", {"width": 16}),
        ("family=dnn", {"family": "dnn"}),
        ("batch_size = 16", {"batch_size": 16}),
        ("warmup=none", {"warmup": None}),
        ("warmup=true", {"warmup": True}),
    ],
)
def test_a_parameter_is_fixed_by_its_name_or_key_with_the_type_its_domain_has(text, expected):
    fixed = read(fixed=[text]).fixed
    assert fixed == expected
    assert {name: type(value) for name, value in fixed.items()} == {
        name: type(value) for name, value in expected.items()
    }


def test_an_integer_for_a_continuous_parameter_is_a_float():
    seen = Preview("study", keys={"x": "x"}, space={"x": [distribution_to_json(FloatDistribution(0.0, 2.0))]})
    value = read(seen, fixed=["x=1"]).fixed["x"]
    assert (value, type(value)) == (1.0, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widht=3", "The study has no parameter 'widht'. Did you mean width?"),
        ("zzz=3", "no parameter 'zzz'. Its parameters are learning_rate, batch_size, family, width, warmup."),
        ("width=300", "width cannot be 300. It must be one of [4, 64] log."),
        ("width=8.5", "width cannot be 8.5. It must be one of [4, 64] log."),
        ("batch_size=7", "batch_size cannot be 7. It must be one of 8, 16, 32."),
        ("warmup=1", "warmup cannot be 1. It must be one of none, true, 0.5."),
        ("width", "--set must be parameters by name, such as learning_rate=0.01, not 'width'."),
    ],
)
def test_what_cannot_be_fixed_is_refused_in_one_line(text, message):
    with pytest.raises(SweepError) as refused:
        read(fixed=[text])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_each_enqueue_is_one_parameter_set():
    assert list(read(enqueue=["lr=0.01,bs=8", "width=5"]).enqueue) == [
        {"learning_rate": 0.01, "batch_size": 8},
        {"width": 5},
    ]


def test_a_run_name_is_enqueued_with_all_its_parameters():
    name = "dnn-4x32_16-lr=0.00118-bs=32-width=32-warmup=none-t0017"
    assert list(read(enqueue=[name]).enqueue) == [
        {"learning_rate": 0.00118, "batch_size": 32, "width": 32, "warmup": None, "family": "dnn"}
    ]


def test_a_json_file_holds_a_parameter_set_or_a_list_or_what_sweep_runs_prints(tmp_path):
    path = tmp_path / "good.json"
    for held, expected in (
        ({"width": 5}, [{"width": 5}]),
        ([{"width": 5}, {"lr": 0.01}], [{"width": 5}, {"learning_rate": 0.01}]),
        ([{"number": 3, "params": {"width": 9}}], [{"width": 9}]),
    ):
        path.write_text(json.dumps(held))
        assert list(read(enqueue=[f"@{path}"]).enqueue) == expected


@pytest.mark.parametrize("text", ["", "[1, 2]", "3", "{"])
def test_a_json_file_that_holds_something_else_is_refused(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(SweepError, match="must hold a JSON object of parameters, or a list of them"):
        read(enqueue=[f"@{path}"])


def test_the_best_runs_of_another_study_come_first_best(tmp_path):
    store = store_builder.build_store(tmp_path)
    runs = [
        store_builder.run(number, best, params={"learning_rate": rate, "gone": 3})
        for number, (best, rate) in enumerate([(0.5, 0.01), (0.2, 0.02), (0.9, 0.03), (0.1, 7.0)])
    ]
    store_builder.add_study(store, "old", runs)
    store.close()
    storage = f"sqlite:///{tmp_path / 'sweep.db'}"
    # The best has a learning rate outside the present domain, and `gone` is no parameter any more.
    assert list(read(best_of=["old:best:3"], storage=storage).enqueue) == [
        {"learning_rate": 0.02},
        {"learning_rate": 0.01},
    ]


@pytest.mark.parametrize("text", ["old", "old:best", "old:best:0", "old:worst:3", "old:best:x"])
def test_what_is_not_study_best_n_is_refused(text):
    with pytest.raises(SweepError, match=r"^--from must be STUDY:best:N or STUDY:all, such as diabetes:best:5, not"):
        read(best_of=[text])
