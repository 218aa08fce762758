"""Symbol files: NNVM's JSON as MXNet 1.x writes it, and older ones. Layer: frontend.

Attributes are text and stand under "attrs" since MXNet 1.0, under "attr" in 0.9 to 0.12 and under
"param" before, where an entry has no version and BatchNorm does not list its auxiliary states.
Source: MXNet, src/nnvm/legacy_json_util.cc.
"""

from __future__ import annotations

import ast
import json
from typing import Any

from tinyflow.errors import GraphError
from tinyflow.frontend.mx.layers import DIALECT, NULL
from tinyflow.ir import Graph, from_json, to_json
from tinyflow.ir.op import Op

__all__ = ["IGNORED", "read", "write"]

IGNORED = frozenset({"workspace", "cudnn_tune", "cudnn_off", "ctx_group", "force_mirroring"})
_BROKEN = (ValueError, KeyError, TypeError, IndexError, AttributeError)
_ALIASES = {name.lower(): name for name in ("Flatten", "Reshape", "Concat")}
_ALIASES |= {"Softmax": "SoftmaxOutput"}  # before 0.7
_ALIASES |= {f"{name}_v1": name for name in ("BatchNorm", "Convolution", "Pooling")}
for _old, _new in (("Plus", "add"), ("Minus", "sub"), ("Mul", "mul"), ("Div", "div")):
    _ALIASES |= {f"_{_old}": f"elemwise_{_new}", f"_{_old.lower()}": f"elemwise_{_new}"}
    _ALIASES |= {f"_{_old}Scalar": f"_{_old.lower()}_scalar"}


def write(graph: Graph) -> str:
    """A graph of MXNet's operators as text; attributes equal to their default are left out."""
    document = json.loads(to_json(graph))
    for node, row in zip(graph.nodes, document["nodes"]):
        given = {k: v for k, v in node.attrs.items() if v != node.op.attributes[k].default}
        if "shape" in given and node.op is NULL:
            given = {"__shape__": tuple(size or 0 for size in given["shape"])}
        row["attrs"] = {key: str(value) for key, value in given.items()}
        if not given:
            del row["attrs"]
    return json.dumps({**document, "attrs": {"mxnet_version": ["int", 10900]}}, indent=2)


def read(source: str) -> Graph:
    """The graph in a symbol file. What speaks to optimizers and devices (lr_mult) is dropped.

    Raises GraphError: not such a file, an operator or attribute that is not supported, naming the
    node, a reference to no earlier node.
    """
    rows: list[dict[str, Any]] = []
    places: list[int] = []  # of the nodes in the file among the rows
    try:
        document = json.loads(source)
        for row in document["nodes"]:
            inputs = [[_at(places, entry[0]), *entry[1:]] for entry in row["inputs"]]
            op = _operator(row["op"], row["name"])
            for slot in op.inputs[len(inputs) :] if op.mutates else ():
                inputs.append([len(rows), 0, 0])
                rows.append({"op": "null", "name": f"{row['name']}_{slot}", "inputs": []})
            attrs = {**row.get("param", {}), **row.get("attr", {}), **row.get("attrs", {})}
            attrs = {k: text for k, text in attrs.items() if text != "None"}  # the default
            texts = {k: _text(op, k, v) for k, v in attrs.items() if not _is_hint(op, k)}
            if op is NULL and "__shape__" in attrs:
                sizes = ast.literal_eval(attrs["__shape__"])
                texts["shape"] = json.dumps([size or None for size in sizes])
            places.append(len(rows))
            rows.append({"op": op.name, "name": row["name"], "attrs": texts, "inputs": inputs})
        heads = [[_at(places, entry[0]), *entry[1:]] for entry in document["heads"]]
    except (*_BROKEN, SyntaxError, RecursionError) as error:
        got = f"node {len(places)}: {type(error).__name__}: {error}"
        raise GraphError("not a symbol file of MXNet", got=got[:120]) from None
    return from_json(json.dumps({"nodes": rows, "heads": heads}), {**DIALECT, "null": NULL})


def _at(places: list[int], index: Any) -> Any:
    known = type(index) is int and 0 <= index < len(places)
    return places[index] if known else f"{index}"  # refused by from_json, which says where


def _operator(kind: str, name: str) -> Op:
    op = NULL if kind == "null" else DIALECT.get(_ALIASES.get(kind, kind))
    if op is None:
        fix = "A graph of the engine's own ops is read by tinyflow.ir.from_json."
        place, expected = f"{kind} '{name}'", ", ".join(DIALECT)
        raise GraphError("operator is not supported", node=place, expected=expected, fix=fix)
    return op


def _is_hint(op: Op, key: str) -> bool:
    """Attributes for optimizers, devices and speed, not of the operator."""
    hint = key in IGNORED or key.startswith("__") or key.endswith(("lr_mult", "wd_mult"))
    return hint and key not in op.attributes


def _text(op: Op, key: str, text: str) -> str:
    """An attribute as ``tinyflow.ir`` writes it; one that the operator lacks it will refuse."""
    kind = op.attributes[key].kind if key in op.attributes else ""
    if kind in ("int", "ints"):
        text = text.replace("L", "")  # from Python 2
    if kind == "ints":
        numbers = ast.literal_eval(text)
        return json.dumps([numbers] if isinstance(numbers, int) else list(numbers))
    bools = {"0": "false", "1": "true"}
    decoded = {"str": json.dumps(text), "bool": bools.get(text, text.lower())}
    return decoded.get(kind, text)
