"""NNVM's operators in the words of MXNet. Layer: frontend.

NNVM has operators of its own beside MXNet's: the same layers under other names, with other names of
attributes and other defaults. Where both use one name, as ``relu``, they mean the same.

Source: NNVM, include/nnvm/top/nn.h and tensor.h, src/top/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyflow.errors import GraphError

__all__ = ["NNVM", "in_words_of_mxnet"]


@dataclass(frozen=True, slots=True)
class Row:
    """An operator of NNVM.

    Attributes:
        kind: MXNet's name for it.
        words: MXNet's name for each attribute; ``not no_bias``: with the opposite truth value.
        usual: what MXNet is told where NNVM says nothing, as text.
        only: attributes that MXNet lacks, and the one value of each that is supported.
    """

    kind: str
    words: Mapping[str, str] = field(default_factory=dict)
    usual: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, str] = field(default_factory=dict)


_WINDOW = {"strides": "stride", "padding": "pad", "layout": "layout"}
_POOL = {"pool_size": "kernel", **_WINDOW}
_FLOOR = {"ceil_mode": "false"}
_CONV = {"channels": "num_filter", "kernel_size": "kernel", "dilation": "dilate"}
_CONV |= {"groups": "num_group", "use_bias": "not no_bias", **_WINDOW}
_NORM = {"epsilon": "eps", "momentum": "momentum", "axis": "axis", "scale": "not fix_gamma"}
_TURNED = {"transpose_a": "transpose_a", "transpose_b": "transpose_b"}
_SIGNS = {"add": "plus", "sub": "minus", "mul": "mul", "div": "div", "pow": "power"}

NNVM: Mapping[str, Row] = {
    "dense": Row("FullyConnected", {"units": "num_hidden", "use_bias": "not no_bias"}),
    "conv2d": Row(
        "Convolution",
        _CONV,
        only={"kernel_layout": "oihw", "out_layout": "__undef__", "out_dtype": "same"},
    ),
    "max_pool2d": Row("Pooling", _POOL, only=_FLOOR),
    "avg_pool2d": Row(
        "Pooling",
        {**_POOL, "count_include_pad": "count_include_pad"},
        {"pool_type": "avg", "count_include_pad": "False"},
        _FLOOR,
    ),
    "global_max_pool2d": Row("Pooling", {"layout": "layout"}, {"global_pool": "True"}),
    "global_avg_pool2d": Row(
        "Pooling", {"layout": "layout"}, {"global_pool": "True", "pool_type": "avg"}
    ),
    "batch_norm": Row(
        "BatchNorm", _NORM, {"eps": "1e-5", "fix_gamma": "False"}, {"center": "true"}
    ),
    "dropout": Row("Dropout", {"rate": "p"}),
    "concatenate": Row("Concat", {"axis": "dim"}),
    "matmul": Row("dot", _TURNED),
    "elemwise_pow": Row("broadcast_power"),
    "broadcast_pow": Row("broadcast_power"),
    "block_grad": Row("BlockGrad"),
    "copy": Row("_copy"),
    "identity": Row("_copy"),
    **{f"__{n}_scalar__": Row(f"_{s}_scalar", {"scalar": "scalar"}) for n, s in _SIGNS.items()},
    **{
        f"__r{name}_scalar__": Row(f"_r{_SIGNS[name]}_scalar", {"scalar": "scalar"})
        for name in ("sub", "div", "pow")
    },
    **{f"__{name}_symbol__": Row(f"elemwise_{name}") for name in ("add", "sub", "mul", "div")},
}


def in_words_of_mxnet(kind: str, attrs: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The name and attributes of an operator of NNVM as MXNet writes them; any other as it is.

    Raises GraphError for an attribute that the operator lacks, or a value that is not supported.
    """
    if kind not in NNVM:
        return kind, dict(attrs)
    row = NNVM[kind]
    made = dict(row.usual)
    for key, text in attrs.items():
        word, truth = row.words.get(key, ""), {"1": "true", "0": "false"}.get(text, text.lower())
        if not word and key not in row.only:
            expected = ", ".join((*row.words, *row.only)) or "none"
            raise GraphError("unknown attribute", got=key, expected=expected)
        if key in row.only and truth != row.only[key]:
            what = f"attribute '{key}': this value is not supported"
            raise GraphError(what, got=text, expected=row.only[key])
        if word.startswith("not "):
            made[word.removeprefix("not ")] = {"true": "False", "false": "True"}.get(truth, text)
        elif word:
            made[word] = text
    return row.kind, made
