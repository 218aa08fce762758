# /// variant
# title = "training cells, one of them broken"
# task = "gradient"
# ///

# %% mine-1
rng = np.random.default_rng(0)
x = rng.normal(size=(200, 5))
w = np.zeros(5)

# %% mine-2
for step in range(300):
    w -= 0.01 * x.T @ (x @ w - x.sum(1)) / 200
print(w)

# %% mine-3
losses = train('mine', step, my_loss, accuracy, images, labels, steps=10_000)
