"""Which recorded configuration is tried next."""

import optuna

from sweep.control.storage import WriteBehindStorage
from sweep.simulate.proposals import Proposals
from tests.simulate.banks import SPACE, bank_of


class Fixed(optuna.samplers.BaseSampler):
    """Proposes the same values again and again."""

    def __init__(self, **values):
        self.values = values

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self.values[param_name]


def proposals(bank, *, recorded=False, **values):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=WriteBehindStorage(), sampler=Fixed(**values))
    return Proposals(bank, study, recorded=recorded), study


def test_a_proposal_is_taken_to_the_nearest_configuration_that_is_left():
    bank = bank_of(*[[0.5]] * 6)  # rates from 1 downwards, mlp and cnn in turn
    taken, _ = proposals(bank, rate=0.9, kind="mlp")
    assert [taken.next()[1] for _ in range(6)] == [0, 2, 4, 1, 3, 5]
    assert len(taken) == 0


def test_samplers_see_the_configuration_and_not_what_they_proposed():
    bank = bank_of(*[[0.5]] * 4)
    taken, study = proposals(bank, rate=0.9, kind="cnn")
    number, place = taken.next()
    trial = study.get_trials()[number]
    assert (place, trial.params) == (1, bank.curves[1].params)
    assert trial.distributions == SPACE


def test_the_recorded_order_asks_nobody():
    taken, _ = proposals(bank_of(*[[0.5]] * 4), recorded=True)
    assert [taken.next() for _ in range(4)] == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_a_configuration_is_compared_by_the_parameters_that_it_has():
    bank = bank_of(*[[0.5]] * 4)
    del bank.curves[3].params["rate"]
    taken, study = proposals(bank, rate=1e-4, kind="cnn")
    assert taken.next()[1] == 3
    assert study.get_trials()[0].params == {"kind": "cnn"}
