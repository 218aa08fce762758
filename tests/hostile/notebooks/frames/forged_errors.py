# /// variant
# title = "describes its own failure: with states, lines, names and text of its choice"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["error", "crashed"], relu_adjoint = ["malformed"], tanh_adjoint = ["not_implemented", "crashed"] }
# ///
import gc
import json
import os
import struct

link = next(thing for thing in gc.get_objects() if type(thing).__name__ == "_Link")
WORD = "smug" + "gled"


def say(**reply):
    body = {"$d": list(map(list, reply.items()))}
    text = json.dumps({"v": body, "s": {}, "a": []}).encode()
    os.write(3, struct.pack("<4sIQQB3x", b"TFK1", len(text), 0, link.nonce, 4) + text)
    os._exit(0)


def mul_adjoint(node, dy):
    say(fault="error", name=f"<b>{WORD}</b>", line=f"cell 1, line 2 {WORD}", detail=WORD)


def relu_adjoint(node, dy):
    say(fault="passed", name="State", line=None, detail=WORD)


def tanh_adjoint(node, dy):
    say(fault="not_implemented", name=WORD, line=WORD, detail="\x1b[2J" + WORD)
