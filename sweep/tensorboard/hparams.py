"""TensorBoard's HParams records: a run's parameters at its start, its status at its end. Built and parsed here alone.

Records stand in the plugin metadata of a summary with an empty tensor; the first of a run and tag wins, so a status
RUNNING would never become another. No experiment record is written: TensorBoard then shows every parameter of every
run, those of conditional branches included. Source: `tensorboard/plugins/hparams/metadata.py` and `summary_v2.py`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from sweep.names import Value, format_value

START_TAG = metadata.SESSION_START_INFO_TAG
END_TAG = metadata.SESSION_END_INFO_TAG

_STATUS = {"COMPLETE": api_pb2.STATUS_SUCCESS, "PRUNED": api_pb2.STATUS_FAILURE, "FAIL": api_pb2.STATUS_FAILURE}


def build_start(
    params: Mapping[str, Value], distributions: Mapping[str, BaseDistribution], group: str, start_time: float
) -> Summary:
    """The record of a run's parameters.

    A column of TensorBoard has one type, or it cannot be sorted: a choice between values of several kinds is text in
    every run. NaN and infinity are text as well.

    Args:
        params: the values by parameter.
        distributions: their domains, which say the type; a parameter without one has its value's.
        group: the session group, see `sweep.names.session_group`: runs with equal parameters would be merged without
            one of their own.
        start_time: Unix seconds.
    """
    info = plugin_data_pb2.SessionStartInfo(group_name=group, start_time_secs=start_time)
    for name, value in params.items():
        given = typed(value, distributions.get(name))
        field = info.hparams[_unicode(name)]
        if isinstance(given, bool):  # first: a bool is an int
            field.bool_value = given
        elif isinstance(given, int | float):
            field.number_value = given
        else:
            field.string_value = _unicode(given)
    return _summary(START_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=info))


def build_end(state: str, end_time: float) -> Summary:
    """The record of a run's end, `state` being COMPLETE, PRUNED or FAIL and `end_time` Unix seconds."""
    info = plugin_data_pb2.SessionEndInfo(status=_STATUS[state], end_time_secs=end_time)
    return _summary(END_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=info))


def typed(value: Value, distribution: BaseDistribution | None) -> bool | float | str:
    """A parameter's value with the type that its column has."""
    domain = _domain(value, distribution)
    kinds = {_kind(member) for member in domain}
    if kinds == {"bool"}:
        return bool(value)
    if kinds == {"number"} and isinstance(value, int | float):
        return float(value)
    # As in run names, where the text `1` is not written like the number.
    return value if isinstance(value, str) and kinds == {"text"} else format_value(value)


def _unicode(text: str) -> str:
    """Text that a message can hold: half a surrogate pair, which a Python string may have, is written as an escape."""
    return text.encode(errors="backslashreplace").decode()


def _domain(value: Value, distribution: BaseDistribution | None) -> tuple[Any, ...]:
    """Values that stand for all that a parameter may have."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return (distribution.low, distribution.high)
    return (value,)


def _kind(value: Any) -> str:
    """What a value can be to TensorBoard: it drops NaN, and fails on infinity and on what float64 cannot hold."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "text"
    try:
        return "number" if isinstance(value, int | float) and math.isfinite(value) else "other"
    except OverflowError:
        return "other"


def parse_start(summary: Summary) -> tuple[str, dict[str, bool | float | str]] | None:
    """The session group and parameters of a start record; None for any other summary."""
    info = _content(summary, START_TAG)
    if info is None:
        return None
    start = info.session_start_info
    return start.group_name, {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}


def parse_end(summary: Summary) -> str | None:
    """`SUCCESS` or `FAILURE` of an end record; None for any other summary."""
    info = _content(summary, END_TAG)
    return None if info is None else api_pb2.Status.Name(info.session_end_info.status).removeprefix("STATUS_")


@dataclass(frozen=True)
class SessionStart:
    """A start record, as any writer makes it: the parameters of a session and when it began, in Unix seconds."""

    params: dict[str, Value]
    started: float


@dataclass(frozen=True)
class Experiment:
    """An experiment record: which metrics count, and what is known of the parameters.

    Attributes:
        metrics: each as the folder below the session's that it is in (empty for its own) and its tag.
        params: the names of the parameters, in the experiment's order.
        numbers: of each numeric parameter whose domain is known the numbers that describe it.
    """

    metrics: list[tuple[str, str]]
    params: list[str]
    numbers: dict[str, list[float]]


def parse_session(summary: Summary) -> SessionStart | None:
    """The start record of a session of any writer; None for any other summary. Lists and structures are JSON.

    The parameters are in the order of their names: a record is a map, whose order is another one in each process.
    """
    info = _content(summary, START_TAG)
    if info is None:
        return None
    start = info.session_start_info
    params = {name: _plain(start.hparams[name]) for name in sorted(start.hparams)}
    return SessionStart(params, start.start_time_secs)


def _plain(value: Any) -> Value:
    """A `google.protobuf.Value` as a parameter's value."""
    found = _content_of(value)
    return json.dumps(found) if isinstance(found, list | dict) else found


def _content_of(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_content_of(one) for one in value.list_value.values]
    if kind == "struct_value":
        return {name: _content_of(one) for name, one in value.struct_value.fields.items()}
    return None if kind in (None, "null_value") else getattr(value, kind)


def parse_experiment(summary: Summary) -> Experiment | None:
    """The record of an experiment; None for any other summary."""
    info = _content(summary, metadata.EXPERIMENT_TAG)
    if info is None:
        return None
    numbers = {}
    for one in info.experiment.hparam_infos:
        if one.HasField("domain_interval"):
            numbers[one.name] = [one.domain_interval.min_value, one.domain_interval.max_value]
        elif one.HasField("domain_discrete"):
            choices = [value.number_value for value in one.domain_discrete.values if value.HasField("number_value")]
            numbers[one.name] = choices
    metrics = [(one.name.group, one.name.tag) for one in info.experiment.metric_infos]
    return Experiment(metrics, [one.name for one in info.experiment.hparam_infos], numbers)


def _content(summary: Summary, tag: str) -> Any:
    for value in summary.value:
        if value.tag == tag:
            return plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
    return None


def _summary(tag: str, data: plugin_data_pb2.HParamsPluginData) -> Summary:
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
