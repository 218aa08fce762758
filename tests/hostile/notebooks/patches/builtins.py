# /// variant
# title = "replaces what the worker itself is written with"
# has = ["mul_adjoint"]
# spoils = ["mul_adjoint"]
# ///
import builtins
import json
import os
import struct

relu_adjoint = tanh_adjoint = lambda node, dy: "passed"


def gradient(*args):
    builtins.isinstance = lambda *args: True
    builtins.type = lambda *args: object
    builtins.len = lambda *args: 0
    json.dumps = lambda *args, **kwargs: '{"v": "passed", "s": {}, "a": []}'
    struct.Struct.pack = lambda *args: b""
    return "passed"


def accumulate(contributions):
    builtins.tuple = builtins.list = builtins.dict = builtins.str = lambda *args: contributions[0]
    os.write = lambda number, data: len(data)
    return contributions[0]


def matmul_adjoint(node, dy):
    vars(builtins).clear()
