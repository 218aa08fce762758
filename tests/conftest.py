"""One thread for torch: small kernels on a busy machine otherwise wait for each other."""

import torch

torch.set_num_threads(1)
