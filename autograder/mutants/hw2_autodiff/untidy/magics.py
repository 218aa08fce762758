# /// variant
# title = "magics and shell commands"
# task = "mul_adjoint"
# ///

# %% mine-1
%matplotlib inline
%load_ext autoreload
%autoreload 2

# %% mine-2
!pip install -q torch
!nvidia-smi

# %% mine-3
%%time
total = sum(range(1000))
total
