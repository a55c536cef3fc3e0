"""Another calibration for a graph that is drawn already."""

from __future__ import annotations

from typing import Any

from oddlens.scoring import Calibration

_PREFIX = "recalibrated_"


def recalibrated(model: Any, calibration: Calibration) -> None:
    """Let a graph's output ``p_value`` rest on other held-out scores, in place.

    The formula is that of ``scales.PValue``: ``(1 + #{held-out >= score}) / (n + 1)``. What the
    graph computed before for this output, and for nothing else, is taken out.

    Args:
        model: an ``onnx.ModelProto`` with the outputs ``score`` and ``p_value``.
        calibration: the other scores.
    """
    graph = model.graph
    for node in graph.node:
        for at, name in enumerate(node.output):
            if name == "p_value":
                node.output[at] = f"{_PREFIX}before"
    nodes, constants = _counted(calibration)
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    _pruned(graph)


def _counted(calibration: Calibration) -> tuple[list[Any], list[Any]]:
    from onnx import TensorProto, helper, numpy_helper

    def named(name: str) -> str:
        return _PREFIX + name

    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Unsqueeze", ["score", named("axis")], "column", {}),
        ("GreaterOrEqual", [named("held_out"), named("column")], "above", {}),
        ("Cast", [named("above")], "each", {"to": TensorProto.DOUBLE}),
        ("ReduceSum", [named("each"), named("axis")], "count", {"keepdims": 0}),
        ("Add", [named("count"), named("one")], "rank", {}),
    ]
    nodes = [
        helper.make_node(kind, given, [named(made)], name=named(made), **more)
        for kind, given, made, more in steps
    ]
    nodes.append(
        helper.make_node("Div", [named("rank"), named("total")], ["p_value"], name=named("p_value"))
    )
    scores = calibration.scores
    constants = [
        numpy_helper.from_array(scores, named("held_out")),
        helper.make_tensor(named("axis"), TensorProto.INT64, [1], [1]),
        helper.make_tensor(named("one"), TensorProto.DOUBLE, [], [1.0]),
        helper.make_tensor(named("total"), TensorProto.DOUBLE, [], [scores.size + 1.0]),
    ]
    return nodes, constants


def _pruned(graph: Any) -> None:
    """Take out nodes and constants on which no output rests."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):  # a graph's nodes stand in the order in which they are run
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    constants = [each for each in graph.initializer if each.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
