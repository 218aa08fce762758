# /// variant
# title = "plots everywhere"
# task = "gradient"
# ///

# %% mine-1
import matplotlib.pyplot as plt
import seaborn as sns

# %% mine-2
fig, ax = plt.subplots(figsize=(4, 3))
ax.plot([1, 2, 3], [3, 1, 2])
plt.show()
