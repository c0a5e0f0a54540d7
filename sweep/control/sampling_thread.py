"""The thread that has Optuna's study: it samples, names and ends trials in the order in which the core asks for it."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import TrialState

from sweep.control.domains import check_text
from sweep.control.hands import Hands
from sweep.control.open_study import OpenStudy
from sweep.control.run_files import checkpoint_size, has_checkpoint
from sweep.control.search import Search, UnfitValue
from sweep.core import events as ev
from sweep.declaration import Declaration
from sweep.errors import SweepError
from sweep.rundir import CHECKPOINTS
from sweep.snapshot import Snapshot
from sweep.wire.messages import Done, NoValue, Suggestion

Asked = (
    ev.Open
    | ev.Sample
    | ev.Propose
    | ev.Name
    | ev.Forget
    | ev.Enter
    | ev.Judgement
    | ev.SetAttribute
    | ev.Tell
    | ev.Requeue
    | ev.Pause
    | ev.Teach
    | ev.Revive
    | ev.Learn
)


class SamplingThread:
    """Does what the core asks of Optuna's study. A slow sampler delays nothing but what is asked for after it.

    Args:
        open_study: opens the study that a worker declares.
        post: takes the events.
        failed: called with what is raised otherwise than as a `SweepError`.
    """

    def __init__(
        self,
        open_study: Callable[[Declaration, Snapshot | None], OpenStudy],
        post: Callable[[ev.Event], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.opened: OpenStudy | None = None
        self._open_study = open_study
        self._post = post
        self._trials: dict[int, optuna.Trial] = {}  # those that are with a worker
        self._values: list[ev.Enter] = []  # which nobody waits for, so that they do not wake the thread
        self._hands = Hands("sampling", failed)

    def start(self) -> None:
        """Begin."""
        self._hands.start()

    @property
    def fallen(self) -> BaseException | None:
        """What the thread has died of; None while it lives."""
        return self._hands.fallen

    def put(self, effect: Asked) -> None:
        """Have something done, after what was asked for before. Values are entered with what follows, or at `flush`."""
        if isinstance(effect, ev.Enter):
            self._values.append(effect)
            return
        self.flush()
        self._hands.put(lambda: self._perform(effect))

    def flush(self) -> None:
        """Have the values entered that were put by now."""
        if self._values:
            values, self._values = self._values, []
            self._hands.put(lambda: self._enter(values))

    def stop(self, seconds: float | None = None) -> None:
        """Stop after what was asked for by now, and wait for it."""
        self._hands.stop(seconds)

    @property
    def _search(self) -> Search:
        if self.opened is None:
            raise RuntimeError("no worker has declared the study yet")
        return self.opened.search

    def _perform(self, effect: Asked) -> None:
        try:
            _ACTIONS[type(effect)](self, effect)
        except SweepError as error:
            self._post(ev.Refused(error, getattr(effect, "worker", None)))

    def _open(self, effect: ev.Open) -> None:
        self.opened = self._open_study(effect.declaration, effect.snapshot)
        self._post(self.opened.opened)

    def _sample(self, effect: ev.Sample) -> None:
        search, fresh = self._search, effect.number is None
        try:
            asked = self._asked(effect)
        except BaseException:
            self._post(ev.Sampled(None, exhausted=search.exhausted))
            raise
        if not asked:  # nothing before one that runs has ended
            self._post(ev.Sampled(None, exhausted=search.exhausted))
        own = effect.directory is not None and (Path(effect.directory) / CHECKPOINTS).is_dir()
        for trial in asked:
            self._trials[trial.number] = trial
            seed, more = search.seed(trial.number), trial is not asked[-1]
            revives, scheduled = search.revives(trial), search.is_scheduled(trial)
            self._post(ev.Sampled(trial.number, seed, fresh, revives, scheduled, own, search.exhausted, more))

    def _asked(self, effect: ev.Sample) -> list[optuna.Trial]:
        if effect.continues is not None:
            return [self._search.continued(effect.continues)]
        return self._search.ask_several(effect.most) if effect.number is None else [self._search.again(effect.number)]

    def _propose(self, effect: ev.Propose) -> None:
        trial = self._trials[effect.number]
        try:
            value = self._search.suggest(trial, effect.name, _domain(effect.distribution))
        except UnfitValue as error:
            self._post(ev.Answered(effect.worker, NoValue(str(error))))
        else:
            self._post(ev.Answered(effect.worker, Suggestion(value)))

    def _name(self, effect: ev.Name) -> None:
        search = self._search
        frozen = search.frozen(self._trials[effect.number])
        if effect.complete:
            search.check_complete(frozen.params)
        name = effect.name or search.name(frozen, effect.family, effect.architecture)
        hopeless = search.hopeless(frozen)
        said = search.earlier.settle(search.space) if effect.complete else None
        if said is not None:
            self._post(ev.Troubled(said))
        keys = {parameter: search.keys.key(parameter) for parameter in frozen.params}
        self._post(ev.Named(effect.worker, effect.number, name, effect.family, dict(frozen.params), hopeless, keys))

    def _forget(self, effect: ev.Forget) -> None:
        self._search.storage.forget(self._trials[effect.number]._trial_id)

    def _enter(self, values: Sequence[ev.Enter]) -> None:
        for effect in values:
            trial = self._trials[effect.number]
            self._search.report(trial, effect.step, effect.value)
            if effect.judged:
                self._search.note_rung(trial, effect.step, effect.value)

    def _judge(self, effect: ev.Judgement) -> None:
        search = self._search
        verdict = search.pruning.verdict(search.frozen(self._trials[effect.number]), effect.step, effect.value)
        self._post(ev.Judged(effect.worker, effect.number, verdict))

    def _set_attribute(self, effect: ev.SetAttribute) -> None:
        check_text("An attribute's key", effect.key)
        trial, storage = self._trials[effect.number], self._search.storage
        if effect.kind == "constraint":
            trial.set_constraint(effect.key, effect.value)
        elif effect.kind == "user":
            storage.set_trial_user_attr(trial._trial_id, effect.key, effect.value)
        else:
            storage.set_trial_system_attr(trial._trial_id, effect.key, effect.value)
        if effect.kind != "user":
            self._post(ev.Constrained(effect.number, dict(storage.get_trial(trial._trial_id).constraints)))
        self._post(ev.Answered(effect.worker, Done()))

    def _tell(self, effect: ev.Tell) -> None:
        search = self._search
        trial = self._trials.pop(effect.number, None) or search.storage.get_trial(effect.number)  # it was paused
        frozen = search.tell(trial, TrialState[effect.state], effect.values, hopeless=effect.hopeless)
        ended = ev.Told(
            number=frozen.number,
            state=frozen.state.name,
            values=frozen.values,
            params=dict(frozen.params),
            constraints=dict(frozen.constraints),
            exhausted=search.exhausted,
        )
        self._post(ended)

    def _requeue(self, effect: ev.Requeue) -> None:
        self._search.storage.wait(self._trials.pop(effect.number)._trial_id)
        self._post(ev.PutBack(effect.number))

    def _pause(self, effect: ev.Pause) -> None:
        del self._trials[effect.number]
        self._search.storage.pause(effect.number)
        self._post(ev.Paused(effect.number, checkpoint_size(effect.directory)))

    def _teach(self, effect: ev.Teach) -> None:
        self._search.teach(effect.number)

    def _revive(self, effect: ev.Revive) -> None:
        if self._search.revived(effect.number):
            return
        if not has_checkpoint(effect.directory):
            self._post(ev.Revived(effect.number, "its checkpoint is gone"))
            return
        self._search.revive(effect.number)
        self._post(ev.Revived(effect.number))

    def _learn(self, effect: ev.Learn) -> None:
        self._post(ev.Added(self._search.learn(effect.numbers)))


@lru_cache(maxsize=256)
def _domain(text: str) -> BaseDistribution:
    """What Optuna's JSON describes; nothing changes a domain."""
    return json_to_distribution(text)


_ACTIONS: dict[type, Callable[..., None]] = {
    ev.Open: SamplingThread._open,
    ev.Sample: SamplingThread._sample,
    ev.Propose: SamplingThread._propose,
    ev.Name: SamplingThread._name,
    ev.Forget: SamplingThread._forget,
    ev.Judgement: SamplingThread._judge,
    ev.SetAttribute: SamplingThread._set_attribute,
    ev.Tell: SamplingThread._tell,
    ev.Requeue: SamplingThread._requeue,
    ev.Pause: SamplingThread._pause,
    ev.Teach: SamplingThread._teach,
    ev.Revive: SamplingThread._revive,
    ev.Learn: SamplingThread._learn,
}
