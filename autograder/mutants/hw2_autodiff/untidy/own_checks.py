# /// variant
# title = "own numerical checks"
# task = "tanh_adjoint"
# ///

# %% mine-1
def numeric(f, x, h=1e-6):
    return (f(x + h) - f(x - h)) / (2 * h)
numeric(np.tanh, 0.3)

# %% mine-2
assert abs(numeric(np.tanh, 0.0) - 1) < 1e-6
