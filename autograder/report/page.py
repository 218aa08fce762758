"""The frame of every page we write: one file, no script, no outside resource. Layer: report.

Everything that comes from a student passes ``text``, which escapes it and makes control characters
visible; the content-security policy is the second lock, not the first.
"""

from __future__ import annotations

import html

from autograder.grading.rebuild import clean
from autograder.outcome import State

__all__ = ["EXPLAINED", "badge", "page", "points", "text", "words"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'"

EXPLAINED = {
    State.PASSED: "right",
    State.FAILED: "gave a wrong result",
    State.ERROR: "raised an exception",
    State.TIMEOUT: "took too long and was stopped",
    State.OUT_OF_MEMORY: "used too much memory and was stopped",
    State.CRASHED: "ended its process",
    State.MALFORMED: "did not return a valid answer",
    State.NOT_IMPLEMENTED: "is not implemented yet",
    State.GRADER_ERROR: "could not be judged; your instructor will look at it",
}

_STYLE = """
:root { --ink: #1d2433; --soft: #5b6577; --line: #e3e7ee; --paper: #fff; --tint: #f6f8fb;
  --good: #187a4b; --goodbg: #e4f5ec; --bad: #b3302b; --badbg: #fcebea; --warn: #8a5a00;
  --warnbg: #fdf3dc; --none: #5b6577; --nonebg: #eef1f5; --blue: #2756c5; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--tint); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
main.wide { max-width: 92rem; }
h1 { font-size: 1.45rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0; }
section, header { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 1rem 1.2rem; margin: 0 0 1rem; }
.row { display: flex; gap: .8rem; align-items: baseline; justify-content: space-between;
  flex-wrap: wrap; }
.soft { color: var(--soft); } .small { font-size: .86rem; } .num { text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.total { font-size: 1.9rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.bar { height: 8px; border-radius: 4px; background: var(--nonebg); overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--good); }
.badge { display: inline-block; padding: .08rem .5rem; border-radius: 999px; font-size: .8rem;
  font-weight: 600; white-space: nowrap; background: var(--nonebg); color: var(--none); }
.passed { background: var(--goodbg); color: var(--good); }
.failed, .error, .crashed, .malformed { background: var(--badbg); color: var(--bad); }
.timeout, .out_of_memory, .grader_error { background: var(--warnbg); color: var(--warn); }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-size: .8rem;
  color: var(--soft); font-weight: 600; } th, td { padding: .32rem .5rem; vertical-align: top;
  border-bottom: 1px solid var(--line); } tr:last-child td { border-bottom: 0; }
ul { margin: .4rem 0; padding-left: 1.2rem; }
.hint { border-left: 3px solid var(--blue); padding: .1rem .7rem; margin: .25rem 0; }
.note { background: var(--warnbg); border-radius: 8px; padding: .6rem .9rem; margin: .7rem 0 0; }
details { margin-top: .7rem; } summary { cursor: pointer; color: var(--blue); font-size: .9rem; }
pre { background: #f4f6fa; border: 1px solid var(--line); border-radius: 8px; padding: .7rem;
  margin: .5rem 0 0; overflow: auto; max-height: 26rem; line-height: 1.4;
  font: 12.5px/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.k, .kn, .kc, .ow { color: #8430ce; } .nf, .nc, .nd { color: #1a56b0; } .c1, .sd { color: #66707f; }
.s1, .s2, .sa, .si { color: #14713d; } .mi, .mf { color: #a34e00; }
.three { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .8rem; }
iframe { width: 100%; height: 44rem; border: 1px solid var(--line); border-radius: 10px;
  background: var(--tint); } figure { margin: 0; } svg { max-width: 100%; height: auto; }
.three > div { display: flex; flex-direction: column; gap: .3rem; }
.three p { margin: 0; } .three iframe { margin-top: auto; }
.scroll { max-height: 36rem; overflow: auto; } .scroll thead th { position: sticky; top: 0;
  background: var(--paper); } .test { margin: .1rem 0; }
@media (max-width: 60rem) { .three { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } pre, .scroll { max-height: none; } }
"""


def text(value: str, limit: int = 2_000) -> str:
    """Escape ``value`` for HTML, control characters made visible, at most ``limit`` characters."""
    return html.escape(clean(value, limit))


def words(name: str) -> str:
    """A bucket or task name as words: "second_derivatives" -> "second derivatives"."""
    return text(name.replace("_", " ").replace("-", " "))


def points(value: float | None) -> str:
    """Points without trailing zeros; "held" where a human must decide."""
    return "held" if value is None else f"{round(value, 4):g}"


def badge(state: State) -> str:
    """A coloured label of a state."""
    return f'<span class="badge {state}">{words(state)}</span>'


def page(title: str, body: str, *, wide: bool = False) -> str:
    """A complete document around ``body``, which must be escaped already."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>"
        f'<body><main class="{"wide" if wide else "page"}">{body}</main></body></html>\n'
    )
