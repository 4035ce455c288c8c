# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first scaling law
#
# Load a study, fit the joint law L(N, D) = E + A / N^alpha + B / D^beta, and look at it.
# Run `make study` first, or set `STUDY` to another results folder.

# %%
import os

from analysis import fit_law, load

fit = fit_law(load(os.environ.get("STUDY", "results/first-laws")))
fit

# %% [markdown]
# The curves with their 95 % bands; E, the loss that no scale removes, is dashed.

# %%
fit.plot()

# %% [markdown]
# What would twice the parameters and twice the data give? `beyond` says how far outside the
# measured range a point lies; intervals are widened there.

# %%
fit.predict(**{axis: [high, 2 * high] for axis, (low, high) in fit.ranges.items()})
