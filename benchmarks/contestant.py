"""One contestant in a process of its own: ``python -m benchmarks.contestant NAME``.

Reads commands on standard input, answers one JSON line each: ``build W1`` -> seconds to the first
loss and the first losses; ``run N`` -> seconds of each of N steps.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"  # before numpy and torch are imported

from benchmarks.workloads import WORKLOADS, Workload  # noqa: E402 - after the thread settings

Step = Callable[[], float]


def tinyflow_step(work: Workload) -> Step:
    """This project: placeholders, variables, minimize, one session.run per step."""
    import torch

    torch.set_num_threads(1)
    import tinyflow as tf

    images, labels = work.batch()
    x = tf.placeholder(tf.float32, [None, work.sizes[0]], name="x")
    y = tf.placeholder(tf.float32 if work.dense_labels else tf.int64, name="y")
    variables = {name: tf.Variable(value, name=name) for name, value in work.parameters().items()}
    h = x
    for layer in range(1, len(work.sizes) - 1):
        h = tf.nn.relu(tf.nn.linear(h, variables[f"w{layer}"], variables[f"b{layer}"]))
    logits = tf.nn.linear(h, variables[f"w{len(work.sizes) - 1}"])
    if work.dense_labels:
        p = tf.nn.softmax(logits)
        loss = tf.reduce_mean(-tf.reduce_sum(y * tf.log(p), reduction_indices=[1]))
    else:
        loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, y)
    train = tf.train.GradientDescentOptimizer(work.learning_rate).minimize(loss)
    session = tf.Session("cpu fusion")
    session.run(tf.initialize_all_variables())
    return lambda: float(session.run([loss, train], {x: images, y: labels})[0])


def torch_step(work: Workload, compiled: bool) -> Step:
    """PyTorch: autograd and torch.optim.SGD; with torch.compile on loss and optimizer if asked."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    images, labels = work.batch()
    p = {k: torch.from_numpy(v).requires_grad_() for k, v in work.parameters().items()}
    optimizer = torch.optim.SGD(p.values(), lr=work.learning_rate)

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for layer in range(1, len(work.sizes) - 1):
            x = F.relu(F.linear(x, p[f"w{layer}"], p[f"b{layer}"]))
        logits = F.linear(x, p[f"w{len(work.sizes) - 1}"])
        if work.dense_labels:
            return -(y * torch.softmax(logits, 1).log()).sum(1).mean()
        return F.cross_entropy(logits, y)

    update = optimizer.step
    if compiled:
        loss_of, update = torch.compile(loss_of), torch.compile(lambda: optimizer.step())

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(torch.from_numpy(images), torch.from_numpy(labels))
        loss.backward()
        update()
        return float(loss.detach())

    return step


CONTESTANTS: dict[str, Callable[[Workload], Step]] = {
    "tinyflow": tinyflow_step,
    "torch eager": lambda work: torch_step(work, compiled=False),
    "torch.compile": lambda work: torch_step(work, compiled=True),
}


def serve(name: str) -> None:
    """Answer commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a framework prints must not mix with the answers
    step: Step = lambda: 0.0  # noqa: E731 - replaced by the first build
    for line in sys.stdin:
        command, argument = line.split()
        began = time.perf_counter()
        if command == "build":
            try:
                step = CONTESTANTS[name](WORKLOADS[argument])
                losses = [step()]
                seconds = time.perf_counter() - began
                losses += [step(), step()]
                answer: dict[str, object] = {"seconds": seconds, "losses": losses}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        else:
            seconds_of = []
            for _ in range(int(argument)):
                began = time.perf_counter()
                step()
                seconds_of.append(time.perf_counter() - began)
            answer = {"seconds": seconds_of}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    serve(sys.argv[1])
