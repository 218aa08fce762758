"""Symbol files: NNVM's JSON as MXNet 1.x writes it, older ones, and NNVM's own. Layer: frontend.

Attributes are text and stand under "attrs" since MXNet 1.0, under "attr" in 0.9 to 0.12 and under
"param" before, where an entry has no version and BatchNorm does not list its auxiliary states.
NNVM writes attributes of the whole graph behind the nodes, such as the shape of each result.
Source: MXNet, src/nnvm/legacy_json_util.cc; NNVM, src/pass/saveload_json.cc.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from tinyflow.errors import GraphError
from tinyflow.frontend.mx.layers import DIALECT, NULL
from tinyflow.frontend.mx.nnvm import NNVM, in_words_of_mxnet
from tinyflow.ir import Graph, from_json, to_json
from tinyflow.ir.op import Op

__all__ = ["IGNORED", "read", "write"]

IGNORED = frozenset({"workspace", "cudnn_tune", "cudnn_off", "ctx_group", "force_mirroring"})
_BROKEN = (
    *(ValueError, KeyError, TypeError, IndexError, AttributeError),
    *(SyntaxError, RecursionError, MemoryError),  # literal_eval, of text nested too deep
)
_ALIASES = {name.lower(): name for name in ("Flatten", "Reshape", "Concat")}
_ALIASES |= {"Softmax": "SoftmaxOutput"}  # before 0.7
_ALIASES |= {f"{name}_v1": name for name in ("BatchNorm", "Convolution", "Pooling")}
for _old, _new in (("Plus", "add"), ("Minus", "sub"), ("Mul", "mul"), ("Div", "div")):
    _ALIASES |= {f"_{_old}": f"elemwise_{_new}", f"_{_old.lower()}": f"elemwise_{_new}"}
    _ALIASES |= {f"_{_old}Scalar": f"_{_old.lower()}_scalar"}
_CODES = {"0": "float32", "1": "float64", "2": "float16", "4": "int32", "6": "int64"}


def write(graph: Graph) -> str:
    """A graph of MXNet's operators as text; attributes equal to their default are left out."""
    document = json.loads(to_json(graph))
    for node, row in zip(graph.nodes, document["nodes"]):
        given = {k: v for k, v in node.attrs.items() if v != node.op.attributes[k].default}
        if "shape" in given and node.op is NULL:
            given["__shape__"] = tuple(size or 0 for size in given.pop("shape"))
        if "dtype" in given:
            names = {name: code for code, name in _CODES.items()}
            given["__dtype__"] = names[str(given.pop("dtype"))]
        row["attrs"] = {key: str(value) for key, value in given.items()}
        if not given:
            del row["attrs"]
    return json.dumps({**document, "attrs": {"mxnet_version": ["int", 10900]}}, indent=2)


def read(source: str) -> Graph:
    """The graph in a symbol file. What speaks to optimizers and devices (lr_mult) is dropped.

    Raises GraphError: not such a file, an operator or attribute that is not supported, naming the
    node, a reference to no earlier node, no heads, ``arg_nodes`` that are not the variables.
    """
    rows: list[dict[str, Any]] = []
    places: list[int] = []  # of the nodes in the file among the rows
    try:
        document = json.loads(source)
        facts = _facts(document)
        for row in document["nodes"]:
            inputs = [[_at(places, entry[0]), *entry[1:]] for entry in row["inputs"]]
            given = {**row.get("param", {}), **row.get("attr", {}), **row.get("attrs", {})}
            given = {k: text for k, text in given.items() if text != "None"}  # the default
            op, attrs = _operator(row["op"], row["name"], given)
            for slot in op.inputs[len(inputs) :] if op.mutates else ():
                inputs.append([len(rows), 0, 0])
                rows.append({"op": "null", "name": f"{row['name']}_{slot}", "inputs": []})
            texts = {k: _text(op, k, v) for k, v in attrs.items()}
            if op is NULL:
                texts |= _leaf({**facts.get(len(places), {}), **given}, row["name"])
            if op.variadic:
                texts["num_args"] = f"{len(inputs)}"
            places.append(len(rows))
            rows.append({"op": op.name, "name": row["name"], "attrs": texts, "inputs": inputs})
        heads = [[_at(places, entry[0]), *entry[1:]] for entry in document["heads"]]
        _check_ends(document)
    except _BROKEN as error:
        got = f"node {len(places)}: {type(error).__name__}: {error}"[:120]
        what, expected = "not a symbol file of MXNet", "nodes and heads as MXNet writes them"
        raise GraphError(what, got=got, expected=expected, fix="Save the symbol again.") from None
    return from_json(json.dumps({"nodes": rows, "heads": heads}), {**DIALECT, "null": NULL})


def _check_ends(document: Mapping[str, Any]) -> None:
    """There is a result, and ``arg_nodes``, if given, are the variables."""
    if not document["heads"]:
        fix = "Name the results of the network as [node, index, version]."
        raise GraphError("the file has no heads", got="[]", expected="one or more", fix=fix)
    variables = [place for place, row in enumerate(document["nodes"]) if row["op"] == "null"]
    got = document.get("arg_nodes", variables)
    if got != variables:
        what, fix = (
            "arg_nodes are not the variables",
            "List the nodes with op null, or leave it out.",
        )
        raise GraphError(what, got=f"{got}"[:80], expected=f"{variables}"[:80], fix=fix)


def _at(places: list[int], index: Any) -> Any:
    known = type(index) is int and 0 <= index < len(places)
    return places[index] if known else f"{index}"  # refused by from_json, which says where


def _operator(kind: str, name: str, attrs: Mapping[str, str]) -> tuple[Op, dict[str, str]]:
    """The operator of the dialect and its attributes, without those of variables and hints."""
    place, own = f"{kind} '{name}'", {k: v for k, v in attrs.items() if not _is_hint(k)}
    try:
        word, own = in_words_of_mxnet(kind, own)
    except GraphError as error:
        raise error.at(place) from None
    if kind == "null":
        return NULL, {k: v for k, v in own.items() if k not in NULL.attributes}
    op = DIALECT.get(_ALIASES.get(word, word))
    if op is None:
        fix = "Make it of these; tinyflow.ir.from_json reads graphs of the engine's own ops."
        expected = f"MXNet's {', '.join(DIALECT)} or NNVM's {', '.join(NNVM)}"
        raise GraphError("operator is not supported", node=place, expected=expected, fix=fix)
    return op, own


def _is_hint(key: str) -> bool:
    """Attributes for optimizers, devices and speed, not of the operator."""
    return key in IGNORED or key.startswith("__") or key.endswith(("lr_mult", "wd_mult"))


def _facts(document: Mapping[str, Any]) -> dict[int, dict[str, str]]:
    """What the attributes of the graph say of the first result of each node: shape and dtype."""
    attrs, rows = document.get("attrs", {}), document.get("node_row_ptr", ())
    lists = {key: attrs[key][1] for key in ("shape", "dtype") if key in attrs}
    if "dltype" in attrs:  # by name
        lists["dtype"] = attrs["dltype"][1]
    pairs = enumerate(rows[:-1])
    return {node: {key: f"{found[row]}" for key, found in lists.items()} for node, row in pairs}


def _leaf(attrs: Mapping[str, str], name: str) -> dict[str, str]:
    """Shape and dtype of a variable, as ``tinyflow.ir`` writes them; () and -1 are not known."""
    made = {}
    shape = ast.literal_eval(attrs.get("__shape__", attrs.get("shape", "()")))
    if shape:
        made["shape"] = json.dumps([size or None for size in shape])
    code = attrs.get("__dtype__", attrs.get("dtype", "-1"))
    if code not in ("-1", *_CODES, *_CODES.values()):
        expected = ", ".join(f"{code} ({dtype})" for code, dtype in _CODES.items())
        raise GraphError("unknown dtype", node=f"null '{name}'", got=code, expected=expected)
    if code != "-1":
        made["dtype"] = _CODES.get(code, code)
    return made


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
