# /// variant
# title = "dy is returned in the large shape"
# task = "broadcast_to_adjoint"
# loses = ["new_axes", "stretched", "both"]
# ///

def broadcast_to_adjoint(node, dy):
    return (dy,)
