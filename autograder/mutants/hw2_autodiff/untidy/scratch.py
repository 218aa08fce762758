# /// variant
# title = "scratch cells that fail"
# task = "tanh_adjoint"
# ///

# %% mine-1
1 / 0

# %% mine-2
my_favourite_op(

# %% mine-3
import pandas_profiling

# %% mine-4
print('debug ' * 2000)
