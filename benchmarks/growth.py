"""How the time to build, differentiate, plan and emit grows with the size of a network.

Two networks of N operations, trained by SGD: a chain of N / 2 layers ``tanh(h @ w)``, and N / 2
such layers side by side, added up. Each step is timed at N = 10, 100, 1,000, 10,000, in seconds of
this process's own time, which other load does not change much. The exponent is that between the
last two: 1 is linear, N log N is 1.13 there, 2 is quadratic. A step whose exponent is above 1.4
(the cost of caches that overflow included) is marked. Every pass of ``cpu fusion`` and of
``cpu checkpoint`` is a step of its own; so are verification between passes, lowering with emission,
and the planned bytes. Python's collection of cycles is off meanwhile: it would add a whole second
to whatever step happens to trigger it.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from rich.progress import Progress
from rich.table import Table

import tinyflow as tf
from benchmarks.report import Row, console, number, verdict
from tinyflow.ir import Graph
from tinyflow.passes import STANDARD, Pipeline, with_options

__all__ = ["NETWORKS", "exponent", "measure", "rows_of", "run"]

SIZES = (10, 100, 1_000, 10_000)
LIMIT = 1.4
NOISE_SECONDS = 0.02  # what takes less at the largest size is not judged
WIDTH, BATCH = 8, 4


def chain(x: tf.Tensor, count: int) -> tf.Tensor:
    """Layers one after the other, two operations each."""
    for _ in range(count // 2):
        x = tf.tanh(tf.matmul(x, _weight()))
    return tf.reduce_mean(x * x)


def wide(x: tf.Tensor, count: int) -> tf.Tensor:
    """Layers side by side on the same x, two operations each, added up."""
    layers = [tf.tanh(tf.matmul(x, _weight())) for _ in range(count // 2)]
    return tf.reduce_mean(tf.add_n(layers))


def _weight() -> tf.Variable:
    return tf.Variable(tf.ones([WIDTH, WIDTH]) * 0.1)


NETWORKS = {"chain": chain, "wide": wide}


class Clock:
    """Adds up seconds by the name of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, work: Callable[[], object]) -> object:
        """Do the work and note what it took."""
        began = time.process_time()
        result = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began
        return result

    def watch(self, pipeline: Pipeline) -> Pipeline:
        """The same pipeline with a clock around each pass."""

        def watched(name: str, run: Callable[[Graph], Graph]) -> Callable[[Graph], Graph]:
            return lambda graph: self.timed(f"pass {name}", lambda: run(graph))  # type: ignore

        stages = (replace(stage, run=watched(stage.name, stage.run)) for stage in pipeline.passes)
        return Pipeline(tuple(stages))


def measure(network: str, count: int, option: str) -> dict[str, float]:
    """Seconds of each step by name, and ``planned bytes``, for one network of ``count`` ops."""
    gc.collect()
    gc.disable()
    try:
        return _measure(Clock(), network, count, option)
    finally:
        gc.enable()


def _measure(clock: Clock, network: str, count: int, option: str) -> dict[str, float]:
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [BATCH, WIDTH])
        loss = clock.timed("build", lambda: NETWORKS[network](x, count))
        rule = tf.train.GradientDescentOptimizer(0.1)
        train = clock.timed("gradient", lambda: rule.minimize(loss))
        start = tf.Session("cpu")
        clock.timed("initialise", lambda: start.run(tf.initialize_all_variables()))
        session = tf.Session("cpu", pipeline=clock.watch(with_options(STANDARD, [option])))
        session.resume(start.checkpoint())
        began, before = time.process_time(), sum(clock.seconds.values())
        session.run([loss, train], {x: np.ones((BATCH, WIDTH), np.float32)})
        first_run = time.process_time() - began
    in_passes = sum(clock.seconds.values()) - before
    clock.seconds["verify, lower, emit, run once"] = first_run - in_passes
    return clock.seconds | {"planned bytes": float(session.memory_plan().arena_bytes)}


def exponent(small: float, large: float, factor: float) -> float:
    """k of large = small * factor ** k."""
    return math.log(large / small) / math.log(factor) if small > 0 and large > 0 else 0.0


def run(sizes: Sequence[int] = SIZES) -> list[Row]:
    """Measure and print the rows."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    screen = console()
    runs = [(network, option) for network in NETWORKS for option in ("fusion", "checkpoint")]
    with Progress(console=screen, transient=True) as bar:
        task = bar.add_task("growth", total=len(runs) * len(sizes))
        for network, option in runs:
            found = []
            for count in sizes:
                bar.update(task, advance=1, description=f"{network}, {option}, N = {count:,}")
                found.append(measure(network, count, option))
            part = rows_of(f"{network}, cpu {option}", found, sizes)
            screen.print(_table(f"{network}, cpu {option}", part, sizes))
            rows += part
    return rows


def rows_of(title: str, found: Sequence[dict[str, float]], sizes: Sequence[int]) -> list[Row]:
    """A row for each step: its exponent between the last two sizes."""
    rows = []
    for name, last in found[-1].items():
        values = [one.get(name, 0.0) for one in found]
        slope = exponent(values[-2], last, sizes[-1] / sizes[-2])
        judged = name == "planned bytes" or last > NOISE_SECONDS
        limit = LIMIT if judged else None
        rows.append(Row("growth", f"{title}: {name}", slope, limit, more={"values": values}))
    return rows


def _table(title: str, rows: Sequence[Row], sizes: Sequence[int]) -> Table:
    table = Table(title=f"Growth of a training step: {title} (seconds; bytes in the last row)")
    for heading in ("step", *(f"N = {count:,}" for count in sizes), "exponent", ""):
        table.add_column(heading, justify="left" if heading == "step" else "right", no_wrap=True)
    for row in rows:
        values = [_small(value) for value in row.more["values"]]
        mark = "[bold red]worse than N log N[/]" if row.misses else ""
        table.add_row(row.name.split(": ")[1], *values, verdict(row), mark)
    return table


def _small(value: float) -> str:
    return f"{value:.4f}" if value < 1 else number(value) if value < 1e6 else f"{value:,.0f}"
