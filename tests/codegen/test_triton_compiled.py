"""Triton's own compiler makes code for GPUs of the generated text, on a machine without one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from tests.codegen.bodies import adam, gelu, softmax
from tests.codegen.test_triton import lowered
from tinyflow.backends.cuda import _load
from tinyflow.ops.fused import body_inputs

for body in (gelu(5000), softmax(64, 1000), adam(3000)):
    kernel, _ = lowered(body)
    values = [*body_inputs(body), *body.outputs]
    function = _load(kernel.source)
    kinds = ["*fp32"] * len(values) + ["i32", "i32", "constexpr"]
    made = compile(
        ASTSource(function, dict(zip(function.arg_names, kinds)), {"BLOCK": kernel.block}),
        target=GPUTarget("cuda", %d, 32),
    )
    print(made.asm["ptx"].count(".entry"), len(made.asm["cubin"]) > 1000)
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="no triton here, the summary says so")
@pytest.mark.parametrize("capability", [80, 90])
def test_generated_text_compiles_for_a_gpu(capability: int, tmp_path: Path) -> None:
    settings = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    root = str(Path(__file__).resolve().parents[2])
    settings["PYTHONPATH"] = os.pathsep.join([root, settings.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", PROGRAM % capability]
    made = subprocess.run(command, capture_output=True, text=True, env=settings)
    assert made.stdout.splitlines() == ["1 True"] * 3, made.stderr
