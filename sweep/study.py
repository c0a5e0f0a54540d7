"""`sweep.Study`: what a user declares, and runs from Python."""

from typing import Any

from sweep.errors import StudyError
from sweep.options import describe
from sweep.study_file import BaseStudy, home, is_loading


class Study(BaseStudy):
    """A search: what to train, over which trials, and what to keep.

    Args:
        train: an ordinary Optuna objective. It is given a trial and returns the trial's value, as `sweep.fit` gives it.
        objective: the metric that decides, by its name in Keras' logs, such as `val_loss`; a list for several
            objectives, which cannot be pruned.
        direction: `minimize` or `maximize`; a list for several objectives.
        trials: how many trials the study has in all; complete, pruned and failed ones count. By default 20, or as many
            as `budget_epochs` allows.
        repeats: with how many seeds each trial trains; its value is then the mean of what `train` returned each time.
            The first training is judged and may be paused, and the others follow only if it completes. By default one;
            a study keeps its own. See `sweep confirm` for repeats of the best runs alone.
        epochs: the epochs of a trial where `sweep.fit` is given none.
        timeout: seconds, or a text such as `"2h"`, after which the study is interrupted, as by Ctrl-C: running trials
            end at their next epoch, and continue when the study does.
        budget_epochs: no trial begins once the trials of the study have trained this many epochs together; running
            ones finish.
        stop_when: no trial begins once this holds, and running ones finish: `"no better in 20 trials"`, or a condition
            in the language of `--where` that a run fulfils, such as `"val_loss < 0.05"`; a list for several, of which
            one is enough.
        stall_timeout: seconds, or a text such as `"10m"`, after which a trial that reports nothing is FAIL.
        trial_timeout: the former name of `stall_timeout`.
        max_trial_time: seconds, or a text such as `"10m"`, that a trial may train, over all its attempts. Then the
            running `sweep.fit` returns at the end of its epoch, as if it were its last, and so does each further one.
            A `train` that has not returned a minute later is FAIL.
        name: the study's name; by default that of its file.
        sampler: proposes parameters, e.g. `"tpe"`, `"random"`, `"grid(lr=[0.1, 0.01])"`; see `sweep start --help`.
            One of Optuna's objects, such as `optuna.samplers.CmaEsSampler(popsize=8)`, is made anew in the coordinator
            from its arguments. A class of your own is named by its module, for the coordinator to import, which never
            imports the study file: `"mypackage.samplers:Mine(x=1)"`.
        pruner: pauses or stops poor runs, e.g. `"asha(rungs=[3, 9])"`, `"median(n_startup_trials=5)"`, `"nop"`; or an
            object or a class of your own, as for `sampler`. By default `"asha"`, or `"nop"` with several objectives; a
            study that has begun keeps its own.
        paused_limit: how many bytes the checkpoints of paused runs may take, or a text such as `"2GB"`; where they take
            more, the worst paused runs are pruned and lose theirs. By default there is no limit.
        unpruned: the share of the trials that the pruner leaves alone, such as `0.1` or `"10%"`; the seed draws them.
            `sweep simulate` has whole curves of a random sample by that. Findings stop them all the same.
        seed: makes sampling and each trial reproducible; by default drawn once and kept in the store.
        precision: `"auto"` rounds continuous parameters so that the short number in a run's name is the hyperparameter;
            None leaves them as they are, and names carry every digit.
        short: keys for run names by parameter, such as `{"learning_rate": "lr"}`; their order leads in names.
        result: which epoch's objective `sweep.fit` returns: its `"best"` (the default) or its `"last"`. What `train`
            returns is the trial's value, whether it is that number or another one.
        value: the former name of `result`.
        broken: what a severe finding does, such as a layer whose units are all alike or a loss that is stuck: `"prune"`
            stops the run after the second epoch that it holds, `"report"` only tells, `"ignore"` looks for none. A run
            whose objective is NaN or infinite is stopped anyway.
        workers: processes that train; by default one a core, or one a GPU. 0 trains in this process.
        enqueue: parameters to try first; those that are given twice are trained twice, with two seeds.

    Raises:
        StudyError: an argument is not as it must be.
    """

    def run(self, **overrides: Any) -> Any:
        """Run the sweep from a script or a notebook, as `sweep start` does; returns the study as Optuna has it.

        Workers load the study from the file that binds it to the name `study`; a script calls this under
        `if __name__ == "__main__":`, since they import it. A study that no file binds, as in a notebook, is trained in
        this process.

        Args:
            overrides: options of `sweep start` by their names in Python, which `help(sweep.Study.run)` lists.

        Raises:
            SweepError: an argument, the study or the database is not as it must be.
        """
        from sweep.running import run_study

        if is_loading():
            raise StudyError(
                "study.run() was called while the file was being imported, and workers import it too.",
                'Put the call under: if __name__ == "__main__":',
            )
        self.bind(home(self))
        return run_study(self, **overrides)


describe(Study.run)
