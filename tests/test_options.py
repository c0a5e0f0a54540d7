"""The table of options: what each takes, the same refusal in every way, and that nothing is left out of a view of it.

That options take effect in what runs is seen in `tests/serve/test_five_ways.py`.
"""

import inspect
import re
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as some

import sweep
from sweep.cli import run as command
from sweep.cli.start import again
from sweep.errors import SweepError
from sweep.options import (
    BROKEN,
    CLUSTER,
    FORMER,
    OPTIONS,
    Cluster,
    Settings,
    command_line,
    from_command_line,
    from_keywords,
    of_way,
    words,
)
from sweep.options import given as what_was_given
from sweep.serve.launcher import arguments
from tests.refusals import refusal_of
from tests.serve.asking import Client
from tests.store_builder import build_store

UNUSUAL = {
    "trials": 7,
    "timeout": 5400.0,
    "budget_epochs": 900,
    "stop_when": ("no better in 20 trials", "val_loss < 0.05 and lr > 1e-3"),
    "repeats": 3,
    "epochs": 3,
    "sampler": "grid(lr=[0.1, 0.01])",
    "pruner": "patient(median, patience=4)",
    "paused_limit": 1_500_000,
    "unpruned": 0.25,
    "broken": "ignore",
    "seed": 4294967295,
    "name": "a.b-c",
    "fixed": {"lr": 0.001, "opt": "a b=c,d", "aug": True, "none": None, "n": 3, "-x": -1e-9, "inf": float("inf")},
    "enqueue": ({"x": 0.25, "opt": "sgd"}, "dnn-lr=0.1-t0003"),
    "best_of": ("old:best:3", "older:best:1", "oldest:all"),
    "yes": True,
    "workers": 0,
    "gpus": ("2", "GPU-abc"),
    "per_gpu": 3,
    "retries": 2,
    "stall_timeout": 0.5,
    "max_trial_time": 600.0,
    "trial_seed": 5,
    "keep": "best:2",
    "logdir": "-logs of mine",
    "storage": "sqlite:///other place.db",
    "cluster": Cluster("head:6379", 0.5, 0.25, {"large": 2.0, "disk": 0.125}, shared=True),
    "names": True,
    "quiet": True,
    "verbose": True,
    "log_format": "json",
    "detach": True,
    "notify": 'mail -s "$SWEEP_MESSAGE" me',
    "server": "http://127.0.0.1:8080",
}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    for option in command_line():
        if option.envvar is not None:
            monkeypatch.delenv(option.envvar, raising=False)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    (folder / "studies").mkdir()
    (folder / "studies" / "broken.py").write_text("def (:\n")
    (folder / "studies" / "fine.py").write_text('study = sweep.Study(train, trials=13, broken="report", name="mine")\n')
    store = build_store(folder)
    client = Client(store, folder, studies=folder / "studies")
    yield client
    client.close()
    store.close()


def test_every_option_has_an_unusual_value_here():
    assert UNUSUAL.keys() == OPTIONS.keys()
    for name, value in UNUSUAL.items():
        assert OPTIONS[name].check(value) == value != OPTIONS[name].default


def typed(settings, names):
    """Options as a command line gives them, by flag: what typer makes of it."""
    found = {}
    many = {option.flag for option in command_line() if option.values.many}
    for flag, text in words(settings, names):
        found[flag] = [*found.get(flag, []), text] if flag in many else True if text is None else text
    return found


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if "cli" in option.ways])
def test_what_is_printed_as_a_command_is_read_as_the_same_option(name):
    settings = Settings(**{name: UNUSUAL[name]})
    if name == "enqueue":  # `=` and `,` are between names and values here; a file holds what has them
        settings = Settings(enqueue=({"x": 0.25, "opt": "sgd"}, "dnn-lr=0.1-t0003"))
    assert from_command_line(typed(settings, [name])) == settings


@given(some.floats(min_value=1e-6, max_value=1e9))
def test_a_time_is_printed_without_loss(seconds):
    assert from_command_line(typed(Settings(timeout=seconds), ["timeout"])).timeout == seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("2d", 172800.0)]
)
def test_a_time_is_seconds_or_a_number_with_its_unit(text, expected):
    assert Settings(timeout=text).timeout == from_command_line({"--timeout": text}).timeout == expected


@pytest.mark.parametrize("text", ["", "m", "-1", "0", "1x", "nan", "inf", "1 2", "1e99", True, [], 10**400])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(SweepError, match=r"^timeout must be a time above 0, such as 90"):
        Settings(timeout=text)


def test_an_option_that_has_another_name_by_now_is_taken_by_its_former_one(client, capsys):
    assert FORMER == {"trial_timeout": "stall_timeout"}
    assert from_keywords({"trial_timeout": "2m"}) == Settings(stall_timeout=120.0)
    with pytest.raises(SweepError, match="trial_timeout is the former name of stall_timeout, so both cannot be given"):
        from_keywords({"trial_timeout": 1, "stall_timeout": 2})
    said = client.post("/api/starts", file="fine.py", trial_timeout="soon").json()["detail"]
    assert said.startswith("stall_timeout must be a time above 0")
    assert command(["start", "fine.py", "--trial-timeout", "soon"]) == 2
    assert "--stall-timeout must be a time above 0" in capsys.readouterr().err
    study = sweep.Study(lambda _: 0.0, objective="loss", direction="minimize", trial_timeout="1m", max_trial_time="2h")
    assert (study.declaration().stall_timeout, study.declaration().max_trial_time) == (60.0, 7200.0)


def test_python_takes_a_sampler_and_a_pruner_as_objects_too():
    sampler, pruner = optuna.samplers.TPESampler(n_startup_trials=3), optuna.pruners.NopPruner()
    found = from_keywords({"sampler": sampler, "pruner": pruner})
    assert found == Settings(sampler="tpe(n_startup_trials=3)", pruner="nop")
    with pytest.raises(SweepError, match=r"^A study's pruner must be text, or one of Optuna's pruners, not 3\."):
        from_keywords({"pruner": 3})


def test_numbers_of_numpy_are_numbers():
    settings = Settings(trials=np.int64(5), timeout=np.float32(2.0), fixed={"n": np.int32(3), "x": np.float64(0.5)})
    assert settings == Settings(trials=5, timeout=2.0, fixed={"n": 3, "x": 0.5})
    assert [type(value) for value in (settings.trials, settings.timeout, *settings.fixed.values())] == [
        int, float, int, float,
    ]  # fmt: skip


REFUSED = [
    ("trials", 0, "must be a whole number of at least 1, not 0."),
    ("trials", "many", "must be a whole number of at least 1, not 'many'."),
    ("repeats", 0, "must be a whole number from 1 to 100, not 0."),
    ("epochs", -1, "must be a whole number of at least 1, not -1."),
    ("workers", -1, "must be a whole number from 0 to 100000, not -1."),
    ("seed", 2**32, "must be a whole number from 0 to 4294967295, not 4294967296."),
    ("timeout", "soon", "must be a time above 0, such as 90 (seconds), 10m, 2h or 1d, not 'soon'."),
    ("max_trial_time", "long", "must be a time above 0, such as 90 (seconds), 10m, 2h or 1d, not 'long'."),
    ("stall_timeout", "0", "must be a time above 0, such as 90 (seconds), 10m, 2h or 1d, not '0'."),
    ("paused_limit", "much", "must be a size of at least 1 byte, such as 500MB, 2GB or 1.5GiB, not 'much'."),
    ("paused_limit", "0", "must be a size of at least 1 byte, such as 500MB, 2GB or 1.5GiB, not '0'."),
    ("unpruned", "0", "must be a share above 0 and up to 1, such as 0.1 or 10%, not '0'."),
    ("unpruned", "120%", "must be a share above 0 and up to 1, such as 0.1 or 10%, not '120%'."),
    ("unpruned", "some", "must be a share above 0 and up to 1, such as 0.1 or 10%, not 'some'."),
    ("broken", "raport", "must be prune, report or ignore, not 'raport'. Did you mean report?"),
    ("broken", "Prune", "must be prune, report or ignore, not 'Prune'. Did you mean prune?"),
    ("broken", "stop", "must be prune, report or ignore, not 'stop'."),
    ("retries", -1, "must be a whole number from 0 to 1000, not -1."),
    ("keep", "best:0", "must be all, none or best:N, not 'best:0'."),
    ("name", "a/b", "not 'a/b'."),
    ("sampler", "tpee", "No such sampler: tpee. Did you mean tpe?"),
    ("pruner", "medan", "No such pruner: medan. Did you mean median?"),
    ("best_of", ["diabetes"], "must be STUDY:best:N or STUDY:all, such as diabetes:best:5, not 'diabetes'."),
    ("best_of", ["diabetes:all:3"], "not 'diabetes:all:3'."),
    ("budget_epochs", 0, "must be a whole number of at least 1, not 0."),
    ("stop_when", ["no better in 5"], "'val_loss < 0.05', not 'no better in 5'. Expected a number of trials"),
    ("stop_when", ["val_loss <"], "not 'val_loss <'. Expected a name or a value after `<` at character 11"),
    ("enqueue", ["lr"], "must be parameters such as lr=0.01,bs=32, or run names, not 'lr'."),
]


@pytest.mark.parametrize(
    ("text", "size"),
    [("500", 500), ("500MB", 500_000_000), ("2 GB", 2_000_000_000), ("1.5GiB", 1_610_612_736), ("10k", 10_000)],
)
def test_a_size_is_read_in_powers_of_1000_or_with_an_i_of_1024(text, size):
    assert from_keywords({"paused_limit": text}).paused_limit == size


@pytest.mark.parametrize(("name", "value", "message"), REFUSED)
def test_a_wrong_value_is_refused_with_the_same_words_in_every_way(client, name, value, message):
    """As the person gave the option a name: `--trials` on a command line, `trials` in Python and JSON."""
    option = OPTIONS[name]
    with pytest.raises(SweepError) as by_python:
        from_keywords({name: value})
    with pytest.raises(SweepError) as by_command_line:
        from_command_line({option.flag: value if option.values.many else str(value)})
    answer = client.post("/api/starts", file="fine.py", **{name: value})
    assert answer.status_code == 422
    said = [str(by_python.value), answer.json()["detail"], str(by_command_line.value).replace(option.flag, name)]
    assert len(set(said)) == 1
    assert message in said[0]
    assert str(by_command_line.value).startswith((f"{option.flag} must", "No such"))
    if option.declares and "No such" not in message:  # which needs Optuna: a study file's is read when it starts
        with pytest.raises(SweepError) as by_study:
            sweep.Study(lambda trial: 0.0, objective="loss", direction="minimize", **{name: value})
        assert str(by_study.value) == said[0]


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_takes_each_of_its_words_in_every_way(broken):
    assert from_command_line({"--broken": broken}).broken == from_keywords({"broken": broken}).broken == broken
    assert arguments(Settings(broken=broken)) == [f"--broken={broken}"]


def test_an_option_that_is_none_is_refused_with_the_nearest(client, capsys):
    with pytest.raises(SweepError, match=r"^No such option: trails\. Did you mean trials\?$"):
        from_keywords({"trails": 5})
    answer = client.post("/api/starts", file="fine.py", trails=5).json()
    assert answer["detail"] == "No such option: trails. Did you mean trials?"
    assert command(["start", "fine.py", "--trails", "5"]) == 2
    assert "--trials" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if "python" not in option.ways])
def test_python_says_what_is_for_the_command_line_alone(name):
    with pytest.raises(SweepError, match=f"^{name} applies only to `sweep start`, not to study.run"):
        from_keywords({name: UNUSUAL[name]})


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if "api" not in option.ways])
def test_a_service_says_what_it_cannot_be_told(client, name):
    said = client.post("/api/starts", file="fine.py", **{name: 1}).json()["detail"]
    assert said == " ".join(filter(None, [f"{name} cannot be set at a service.", OPTIONS[name].why]))


@pytest.mark.parametrize(
    "option",
    [option for option in command_line() if option.flag != "--server" and "api" not in option.ways],
    ids=lambda option: option.flag,
)
def test_the_command_line_says_what_it_cannot_tell_a_service(monkeypatch, capsys, option):
    monkeypatch.setenv("SWEEP_SERVER", "http://127.0.0.1:1")
    monkeypatch.setenv("SWEEP_STORAGE", "sqlite:///fine.db")  # which is for other commands
    value = {"--on": "ray", "--resource": "a=1", "--log-format": "json"}.get(option.flag, "1")
    line = [option.flag] if option in flags() else [option.flag, value]
    if option in CLUSTER.values():
        line += ["--on", "ray"]
    assert command(["start", "fine.py", *line]) == 2
    said = refusal_of(capsys.readouterr().err)
    assert re.match(rf"sweep: ({option.flag}|--on) cannot be combined with --server\. [A-Z]", said), said


def flags():
    """The options without a text."""
    return [option for option in command_line() if type(option.values).__name__ == "Flag"]


def test_the_command_that_continues_a_study_has_every_option_but_those_of_one_start():
    gone = {name for name, option in OPTIONS.items() if option.again == "never"}
    assert gone == {"enqueue", "best_of", "yes", "server"}
    apart = {"workers", "gpus", "per_gpu", "trial_seed", *gone}  # the first three do not go with a cluster
    line = again("studies/x.py", Settings(**{name: value for name, value in UNUSUAL.items() if name not in apart}))
    expected = {OPTIONS[name].flag for name in OPTIONS if name not in apart}
    expected |= {option.flag for option in CLUSTER.values()} - {"--dashboard"}
    assert {word.partition("=")[0] for word in line.split() if word.startswith("--")} == expected
    line = again("studies/x.py", Settings(workers=3, gpus="2,3", per_gpu=2))
    assert line == "sweep start studies/x.py --workers 3 --gpus 2,3 --per-gpu 2"


def test_what_was_given_is_what_is_not_a_default():
    assert what_was_given(Settings()) == {}
    assert what_was_given(Settings(trials=3, keep="all", fixed={})) == {"trials": 3}
    assert what_was_given(Settings(trials=3, gpus="1"), "api") == {"trials": 3}


def test_the_help_lists_every_option_under_its_heading(capsys):
    assert command(["start", "--help"]) == 0
    said = capsys.readouterr().out
    for option in command_line():
        flags = ", ".join(filter(None, (option.short, option.flag)))
        assert f"\n  {flags} " in said.partition(f"\n{option.group}:")[2]
        assert option.help.endswith(".")
    assert max(map(len, said.splitlines())) <= 120


def test_study_run_shows_every_option_with_its_default():
    shown = inspect.signature(sweep.Study.run).parameters
    assert {name: shown[name].default for name in of_way("python")} == {
        name: option.default for name, option in of_way("python").items()
    }
    assert all(f"{name}: {option.help}" in sweep.Study.run.__doc__ for name, option in of_way("python").items())


def test_the_api_describes_every_option_by_the_table(client):
    document = client.app.openapi()
    described = document["components"]["schemas"]["Starting"]["properties"]
    assert described.keys() == {"file", *of_way("api")}
    for name, option in of_way("api").items():
        assert described[name]["description"] == option.help
        assert described[name]["anyOf"] == [option.values.schema(), {"type": "null"}]


def test_the_start_page_has_a_field_for_every_option_with_what_holds_where_it_is_empty(client):
    page = client.get("/start", file="fine.py").text
    fields = {name: re.search(rf'<(input|select|textarea) name="{name}"[^>]*>', page) for name in of_way("api")}
    assert [name for name, found in fields.items() if found is None] == ["fixed"]  # beside the search space
    assert 'min="1" max="1000000000"' in fields["trials"][0]
    for name, empty in (("trials", "13"), ("workers", "1 per core"), ("name", "mine"), ("keep", "all")):
        assert f'placeholder="{empty}"' in fields[name][0]
    assert '<option value="">report</option>' in page


def test_the_documents_name_no_option_that_is_none():
    root = Path(__file__).parent.parent
    known = {option.flag for option in command_line()} | {"--help"}
    for document in (root / "README.md", *(root / "docs").glob("*.md")):
        for line in document.read_text().splitlines():
            started = line.partition("sweep start ")[2].partition("`")[0]
            assert set(re.findall(r"--[a-z][a-z-]+", started)) <= known, f"{document.name}: {line}"
