"""Data sets for the examples and homeworks; they work offline. Layer: datasets."""

from tinyflow.datasets.batches import Batches
from tinyflow.datasets.cifar10 import CIFAR10, get_cifar10
from tinyflow.datasets.mnist import MNIST, get_mnist

__all__ = ["CIFAR10", "MNIST", "Batches", "get_cifar10", "get_mnist"]
