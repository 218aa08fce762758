# /// variant
# title = "prints what it is given, with escapes and markup, and defines names again"
# has = ["mul_adjoint", "div_adjoint"]
# ///
import sys

WORD = "smug" + "gled"
print(f"\x1b[2J\x1b]0;{WORD}\x07<script>{WORD}</script> 100 / 100")
honest = mul_adjoint


def mul_adjoint(node, dy):
    print(WORD, node.inputs, dy, file=sys.stderr)
    return honest(node, dy)


for name in (f"{WORD}_name", f"<b>{WORD}</b>"):
    exec("def f(): pass")
    globals()[name] = f
    exec("def f(): pass")
    globals()[name] = f
raise type(WORD, (Exception,), {})(f"<img src=x onerror=alert('{WORD}')>")
