# /// variant
# title = "frames of noise, without end, too long, or half"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["malformed"], relu_adjoint = ["malformed"], tanh_adjoint = ["timeout"], pow_adjoint = ["malformed"] }
# limits = { call_s = 2.0 }
# ///
import os
import struct
import time


def mul_adjoint(node, dy):
    while True:
        os.write(3, os.urandom(1 << 16))


def relu_adjoint(node, dy):
    os.write(3, struct.pack("<4sIQQB3x", b"TFK1", (1 << 32) - 1, (1 << 64) - 1, 0, 3))


def tanh_adjoint(node, dy):
    os.write(3, b"TFK1")
    time.sleep(1000)


def pow_adjoint(node, dy):
    os.write(3, struct.pack("<4sIQQB3x", b"TFK1", 2, 0, 0, 255) + b"{}")
