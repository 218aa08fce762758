# /// variant
# title = "JSON that readers disagree about, under the right nonce"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["malformed"] }
# ///
import gc
import os
import struct
import time

link = next(thing for thing in gc.get_objects() if type(thing).__name__ == "_Link")
TEXTS = [
    '{"v": NaN, "s": {}, "a": []}',
    '{"v": 1, "v": 2, "s": {}, "a": []}',
    '{"v": {"$d": [[{"$t": [1, 2]}, 1]]}, "s": {}, "a": []}',
    '{"v": {"$a": 0}, "s": {}, "a": [["object", [1]]]}',
    '{"v": {"$a": 0}, "s": {}, "a": [["float64", [1099511627775, 1099511627775]]]}',
    '{"v": {"$g": ["v", -1, 0, 0]}, "s": {"$g": [["__import__", [], {}, null, [], null]]}, "a": []}',
    '{"v": {"$c": 0}, "s": {}, "a": []}',
    "[" * 100_000,
    '{"v": 1' + "0" * 100_000 + ', "s": {}, "a": []}',
    '{"v": "\\ud800", "s": {}, "a": []}',
]
count = iter(range(10**6))


def mul_adjoint(node, dy):
    text = TEXTS[next(count) % len(TEXTS)].encode()
    os.write(3, struct.pack("<4sIQQB3x", b"TFK1", len(text), 0, link.nonce, 3) + text)
    time.sleep(1000)
