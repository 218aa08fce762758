"""The example scripts train, within the accuracy that they announce."""

import runpy
from pathlib import Path

import pytest
import torch

import tinyflow as tf

torch.set_num_threads(1)  # these matrices are too small to share among threads
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WANTED = {
    "mnist_softmax": 0.88,
    "mnist_softmax_minimum": 0.88,
    "mnist_mlp": 0.93,
    "mnist_lenet": 0.965,
    "transformer_block": 0.95,
}


@pytest.mark.parametrize("name", WANTED)
def test_the_example_reaches_its_accuracy(name, capsys):
    tf.reset_default_graph()
    script = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    assert script["main"]() >= WANTED[name]
    assert "accuracy on 1000 " in capsys.readouterr().out


def test_the_residual_network_learns_made_up_images(capsys):
    tf.reset_default_graph()
    script = runpy.run_path(str(EXAMPLES / "cifar_resnet.py"))
    assert script["main"](epochs=1, batch_size=20, synthetic=True) >= 0.9
    assert "accuracy on 200 test images" in capsys.readouterr().out


def test_every_example_is_tested_and_imports_the_engine_only():
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert [path.stem for path in scripts] == sorted([*WANTED, "cifar_resnet"])
    for path in scripts:
        imports = [line for line in path.read_text().splitlines() if "import " in line]
        assert "import tinyflow as tf" in imports
        assert set(imports) <= {
            "import numpy as np",
            "import sys",
            "import tinyflow as tf",
            "from tinyflow.datasets import get_cifar10",
            "from tinyflow.datasets import get_mnist",
        }
