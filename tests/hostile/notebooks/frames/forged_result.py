# /// variant
# title = "writes a result of its own under the right nonce, then returns the real one"
# has = ["mul_adjoint"]
# spoils = ["mul_adjoint"]
# states = { mul_adjoint = ["malformed"] }
# ///
import gc
import json
import os
import struct

RESULT = 3
link = next(thing for thing in gc.get_objects() if type(thing).__name__ == "_Link")
honest = mul_adjoint


def mul_adjoint(node, dy):
    text = json.dumps({"v": "passed", "s": {}, "a": []}).encode()
    os.write(3, struct.pack("<4sIQQB3x", b"TFK1", len(text), 0, link.nonce, RESULT) + text)
    return honest(node, dy)
