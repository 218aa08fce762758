"""PyTorch as a contestant: eager, compiled, and the whole step compiled as one graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.workloads import Array, Workload

__all__ = ["build", "build_compiled", "build_whole"]

Step = Callable[[], float]
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def words(parameters: Mapping[str, Array], moving: bool = True) -> SimpleNamespace:
    """The vocabulary of ``benchmarks.nets``; with ``moving``, batch statistics are averaged."""
    means = {
        name.removesuffix("_gamma"): (torch.zeros(len(value)), torch.ones(len(value)))
        for name, value in parameters.items()
        if moving and name.endswith("_gamma")
    }
    return SimpleNamespace(
        linear=F.linear, matmul=torch.matmul, relu=F.relu, tanh=torch.tanh, exp=torch.exp,
        log=torch.log, gelu=F.gelu, mean=torch.mean, reshape=torch.reshape,
        transpose=torch.permute, cross_entropy=F.cross_entropy,
        conv=lambda x, w, b=None, pad=0: F.conv2d(x, w, b, padding=pad),
        matmul_nt=lambda a, b: a @ b.transpose(-1, -2),
        max_pool=lambda x: F.max_pool2d(x, 2),
        avg_pool=lambda x: F.avg_pool2d(x, 4, 2, padding=1),
        batch_norm=lambda x, gamma, beta, name: F.batch_norm(
            x, *means.get(name, (None, None)), gamma, beta, training=True
        ),
        layer_norm=lambda x, gamma, beta: F.layer_norm(x, gamma.shape, gamma, beta),
        softmax=lambda x: torch.softmax(x, -1),
        sum_rows=lambda x: x.sum(1),
        flatten=lambda x: x.flatten(1),
        split3=lambda x: x.chunk(3, -1),
        first=lambda x: x[0],
    )  # fmt: skip


def build(
    work: Workload,
    parameters: Mapping[str, Array],
    batch: tuple[Array, ...],
    compiled: bool = False,
) -> Step:
    """Autograd and torch.optim; ``compiled`` puts torch.compile on loss and on update."""
    F = words(parameters)
    p = {name: torch.from_numpy(value.copy()) for name, value in parameters.items()}
    loss_of: Callable[..., Any] = lambda *inputs: work.net(F, p, *inputs)  # noqa: E731
    if not work.rate:
        loss_of = torch.no_grad()(torch.compile(loss_of) if compiled else loss_of)
        return lambda: float(loss_of(*map(torch.from_numpy, batch)))
    rule: torch.optim.Optimizer = torch.optim.SGD(
        [value.requires_grad_() for value in p.values()], lr=work.rate
    )
    if work.adam:
        rule = torch.optim.Adam(p.values(), lr=work.rate, betas=(BETA1, BETA2), eps=EPSILON)
    update: Callable[[], Any] = rule.step
    if compiled:
        loss_of, update = torch.compile(loss_of), torch.compile(lambda: rule.step())

    def step() -> float:
        loss = loss_of(*map(torch.from_numpy, batch))
        loss.backward()
        update()
        rule.zero_grad(set_to_none=True)  # at the end, so that nothing waits for the next step
        return float(loss.detach())

    return step


def build_compiled(
    work: Workload, parameters: Mapping[str, Array], batch: tuple[Array, ...]
) -> Step:
    """torch.compile on the loss and on the update."""
    return build(work, parameters, batch, compiled=True)


def build_whole(work: Workload, parameters: Mapping[str, Array], batch: tuple[Array, ...]) -> Step:
    """torch.compile on forward, backward and update as one graph; moving statistics left out."""
    F = words(parameters, moving=False)
    p = {name: torch.from_numpy(value.copy()) for name, value in parameters.items()}
    first = {name: torch.zeros_like(value) for name, value in p.items()}
    second = {name: torch.zeros_like(value) for name, value in p.items()}
    count = torch.zeros(())

    def step(*inputs: torch.Tensor) -> torch.Tensor:
        if not work.rate:
            return work.net(F, p, *inputs)
        slopes, loss = torch.func.grad_and_value(lambda p: work.net(F, p, *inputs))(p)
        if not work.adam:
            for name in p:
                p[name].sub_(slopes[name], alpha=work.rate)
            return loss
        count.add_(1)
        rate, root = work.rate / (1 - BETA1**count), torch.sqrt(1 - BETA2**count)
        for name, slope in slopes.items():
            m = first[name].mul_(BETA1).add_(slope, alpha=1 - BETA1)
            v = second[name].mul_(BETA2).addcmul_(slope, slope, value=1 - BETA2)
            p[name].sub_(rate * m / (v.sqrt() / root + EPSILON))
        return loss

    whole = torch.no_grad()(torch.compile(step, dynamic=False))
    return lambda: float(whole(*map(torch.from_numpy, batch)))
