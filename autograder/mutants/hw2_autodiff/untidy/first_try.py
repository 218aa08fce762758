# /// variant
# title = "a wrong first try above the right one"
# task = "relu_adjoint"
# ///

# %% mine-1
def relu_adjoint(node, dy):
    return dy,  # first try, wrong

# %% mine-2
print(relu_adjoint)
