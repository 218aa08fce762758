# /// variant
# title = "set-up cells of its own, and the locked ones changed"
# has = ["mul_adjoint"]
# [cell.set-up]
# metadata = { tags = ["setup"], nbgrader = { grade_id = "setup", locked = true } }
# [cell.more-set-up]
# metadata = { tags = ["setup"], nbgrader = { grade_id = "setup-99", locked = true } }
# ///
# %% setup
ops = None
print("smug" + "gled into the set-up")

# %% set-up
print("smug" + "gled as a second set-up")

# %% more-set-up
print("smug" + "gled as a new set-up")
