"""studies/wine.py: the chapter's networks, on a table of the wine file's shape."""

from pathlib import Path

import keras
import numpy as np
import pytest

from sweep.declaration import file_hash
from sweep.errors import SweepError
from sweep.study_file import load

FILE = Path(__file__).parents[2] / "studies" / "wine.py"
WHITE_WINES = FILE.parents[2] / "shared" / "data" / "winequality-white.csv"
COLUMNS = 12


def write_table(path: Path, rows: int, columns: int = COLUMNS) -> Path:
    values = np.random.default_rng(1).normal(5, 2, size=(rows, columns))
    names = ";".join(f'"column {column}"' for column in range(columns))
    np.savetxt(path, values, delimiter=";", header=names, comments="")
    return path


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    """The names of the study file, loaded with 200 made-up rows."""
    path = write_table(tmp_path_factory.mktemp("wine") / "white.csv", 200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWEEP_WINE_CSV", str(path))
        return load(FILE).train.__globals__


@pytest.mark.parametrize(("family", "parameters"), [("mlp", 353), ("dnn", 4033), ("dnn_broke", 4033)])
def test_the_networks_have_as_many_parameters_as_the_chapters(wine, family, parameters):
    model = wine["network"](family)
    assert model.name == family
    assert model.count_params() == parameters


def test_every_kernel_of_the_broken_network_is_zero_and_every_bias_one(wine):
    weights = {weight.path: np.asarray(weight) for weight in wine["network"]("dnn_broke").weights}
    assert len(weights) == 12
    for path, values in weights.items():
        assert np.all(values == (0 if path.endswith("kernel") else 1)), path


def test_the_chapters_own_settings_are_tried_first(wine):
    enqueued = wine["study"].declaration().enqueue
    assert enqueued == [
        {"family": family, "learning_rate": 0.001, "batch_size": 32} for family in ("mlp", "dnn", "dnn_broke")
    ]


def test_the_rows_are_loaded_once_as_they_are_measured(wine):
    training, validation, test = wine["rows"]()
    assert wine["rows"]() is wine["rows"]()
    assert [part.shape for part in (training, validation, test)] == [(160, COLUMNS), (20, COLUMNS), (20, COLUMNS)]
    assert training.mean() == pytest.approx(5, abs=0.5)


def test_a_network_takes_and_gives_rows_as_they_are_measured(wine):
    training, *_ = wine["rows"]()
    x, y = training[:, wine["INPUTS"]], training[:, wine["TARGET"]]
    model = wine["network"]("mlp")
    normalised = keras.Model(model.input, model.layers[1].output).predict(x, verbose=0)
    np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std(axis=0), 1, atol=1e-4)
    model.layers[2].set_weights([np.zeros_like(weight) for weight in model.layers[2].get_weights()])
    np.testing.assert_allclose(model.predict(x, verbose=0), y.mean(), rtol=1e-5)  # what zeros are scaled to
    assert wine["spread"]() == pytest.approx(y.std())


def test_the_rows_are_split_the_same_way_each_time(wine, monkeypatch, tmp_path):
    monkeypatch.setenv("SWEEP_WINE_CSV", str(write_table(tmp_path / "white.csv", 200)))
    for part, again in zip(wine["rows"](), load(FILE).train.__globals__["rows"](), strict=True):
        np.testing.assert_array_equal(part, again)


@pytest.mark.skipif(not WHITE_WINES.exists(), reason="the wine file is not beside this checkout")
def test_the_white_wines_are_the_file_whose_hash_a_download_must_have(wine, monkeypatch):
    assert file_hash(WHITE_WINES) == wine["SHA256"]
    monkeypatch.setenv("SWEEP_WINE_CSV", str(WHITE_WINES))
    parts = load(FILE).train.__globals__["rows"]()
    assert [len(part) for part in parts] == [3918, 490, 490]


def test_the_file_is_downloaded_where_no_path_is_given(wine, monkeypatch, tmp_path):
    path = write_table(tmp_path / f"{tmp_path.name}.csv", 20)
    monkeypatch.delenv("SWEEP_WINE_CSV", raising=False)
    monkeypatch.setitem(wine, "URL", path.as_uri())
    monkeypatch.setitem(wine, "SHA256", file_hash(path))
    downloaded = wine["csv_file"]()
    assert downloaded.read_text() == path.read_text()
    downloaded.unlink()


def test_a_download_that_fails_is_told_in_one_line_with_the_remedy(wine, monkeypatch, tmp_path):
    url = (tmp_path / f"{tmp_path.name}.csv").as_uri()
    monkeypatch.delenv("SWEEP_WINE_CSV", raising=False)
    monkeypatch.setitem(wine, "URL", url)
    with pytest.raises(SweepError) as refusal:
        wine["csv_file"]()
    assert str(refusal.value).startswith("Cannot download the white wines: ")
    assert str(refusal.value).endswith(f"Fetch {url} and set SWEEP_WINE_CSV to its path.")
    assert "\n" not in str(refusal.value)


def test_a_download_of_another_file_is_refused_by_its_hash(wine, monkeypatch, tmp_path):
    path = write_table(tmp_path / f"{tmp_path.name}.csv", 20)
    monkeypatch.delenv("SWEEP_WINE_CSV", raising=False)
    monkeypatch.setitem(wine, "URL", path.as_uri())
    with pytest.raises(SweepError, match="hash does not match"):
        wine["csv_file"]()
    Path(keras.utils.get_file(origin=path.as_uri())).unlink()


def test_a_path_without_a_file_is_refused_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("SWEEP_WINE_CSV", str(tmp_path / "white.csv"))
    with pytest.raises(SweepError) as refusal:
        load(FILE)
    assert str(refusal.value) == f"SWEEP_WINE_CSV names no file: {tmp_path / 'white.csv'}."


@pytest.mark.parametrize(
    ("write", "line"),
    [
        (
            lambda path: write_table(path, 20, columns=11),
            "The white wines have at least 10 rows of 12 columns, not 20 of 11.",
        ),
        (lambda path: write_table(path, 3), "The white wines have at least 10 rows of 12 columns, not 3 of 12."),
        (lambda path: path.write_text("a,b\n1,2\n"), "The white wines must be numbers separated by ;: could not"),
    ],
)
def test_a_file_that_is_not_the_white_wines_is_refused_in_one_line(monkeypatch, tmp_path, write, line):
    write(tmp_path / "other.csv")
    monkeypatch.setenv("SWEEP_WINE_CSV", str(tmp_path / "other.csv"))
    with pytest.raises(SweepError) as refusal:
        load(FILE)
    assert str(refusal.value).startswith(line)
    assert "\n" not in str(refusal.value)
