"""Whether two traced functions are one and the same graph, whatever TensorFlow has called their operations."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_NUMBERS = ("_gradient_op_type", "forward_function_name", "backward_function_name", "_user_specified_name")
"""Attributes that hold nothing but what something is called in its process."""


def digest(function: Any, taken: Sequence[int]) -> str:
    """A digest over all that a concrete function computes: operations in their order, inputs, attributes, constants.

    So are those of every function within. Names, which TensorFlow numbers by process, are left out.

    Args:
        function: a concrete function.
        taken: which variables its captured inputs are, in the order of these inputs.

    Raises:
        KeyError: it calls a function that is not part of its graph.
    """
    graph = function.graph.as_graph_def()
    library = {known.signature.name: known for known in graph.library.function}
    numbers: dict[str, int] = {}
    places = _Places(node.name for node in graph.node)
    outputs = [places.of(output.name) for output in function.graph.outputs]
    waited = sorted(places.of(operation.name) for operation in function.graph.control_outputs)
    parts: list[Any] = [list(taken), outputs, waited, *_described(graph.node, places, library, numbers)]
    done = 0
    while done < len(numbers):
        known = library[list(numbers)[done]]
        arguments = known.signature.input_arg
        places = _Places(called.name for called in [*arguments, *known.node_def])
        parts += [[argument.type, argument.number_attr, argument.type_list_attr] for argument in arguments]
        parts += [[output.type, places.of(known.ret[output.name])] for output in known.signature.output_arg]
        parts += [sorted(places.of(name) for name in known.control_ret.values())]
        parts += [_attributes(known.arg_attr[place].attr) for place in sorted(known.arg_attr)]
        parts += [_attributes(known.attr), *_described(known.node_def, places, library, numbers)]
        done += 1
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class _Places:
    """Tensors and operations of one graph by the places of their operations, in the place of their names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}

    def of(self, tensor: str) -> tuple[Any, ...]:
        """The tensor `name:output:0` or `name:0`, or the operation `name` or, as what is waited for, `^name`."""
        name, *which = tensor.removeprefix("^").split(":")
        return tensor.startswith("^"), self._places[name], *which


def _described(
    nodes: Iterable[Any], places: _Places, library: Mapping[str, Any], numbers: dict[str, int]
) -> Iterator[Any]:
    """Each operation; the functions that they call are numbered in the order in which they are met."""
    for node in nodes:
        for called in _functions(node):
            if called.name not in library:
                raise KeyError(called.name)
            called.name = str(numbers.setdefault(called.name, len(numbers)))
        kind = numbers.setdefault(node.op, len(numbers)) if node.op in library else node.op
        yield kind, node.device, [places.of(tensor) for tensor in node.input], _attributes(node.attr)


def _functions(node: Any) -> Iterator[Any]:
    for name in sorted(node.attr):
        attribute = node.attr[name]
        if attribute.HasField("func"):
            yield attribute.func
        yield from attribute.list.func


def _attributes(attributes: Mapping[str, Any]) -> list[Any]:
    names = sorted(name for name in attributes if name not in _NUMBERS)
    return [(name, attributes[name].SerializeToString(deterministic=True)) for name in names]
