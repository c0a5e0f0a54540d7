"""Tables that fit the terminal."""

from sweep.cli.grid import Column, Grid


def test_a_grid_that_fits_stays_whole():
    grid = Grid([Column("a", ["1"]), Column("b", ["22"], right=True)])
    assert grid.fit(5) == (grid, [])
    assert grid.plain() == "a   b\n1  22\n"


def test_the_least_important_columns_go_first():
    grid = Grid([Column("run", ["t0001"]), Column("time", ["3s"], keep=10), Column("lr", ["0.001"], keep=50)])
    assert grid.fit(12)[1] == ["time"]
    assert grid.fit(11)[1] == ["time", "lr"]
    assert grid.fit(1)[1] == ["time", "lr"]


def test_a_column_that_may_shrink_is_cut_before_others_go():
    grid = Grid([Column("run", ["t0001"]), Column("reason", ["worse than the median"], keep=10, shrink=8)])
    fitted, left_out = grid.fit(20)
    assert (fitted.columns[1].cells, left_out) == (["worse than t…"], [])
    assert grid.fit(14)[1] == ["reason"]
