# /// variant
# title = "answers a question of before, to come first with the next"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["malformed"], relu_adjoint = ["malformed"] }
# ///
import os
import struct


def frame(nonce, kind):
    text = b'{"v":"passed","s":{},"a":[]}'
    return struct.pack("<4sIQQB3x", b"TFK1", len(text), 0, nonce, kind) + text


def mul_adjoint(node, dy):
    os.write(3, frame(0, 3) * 100)


def relu_adjoint(node, dy):
    os.write(3, frame(0, 1) + frame(0, 7))
