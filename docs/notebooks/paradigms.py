# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Comparing families and paradigms
#
# Each paradigm is trained on a loss of its own, so they are compared on linear probes, here of two
# tasks. `analysis.ask` asks everything. `STUDY` names another results folder.
# 50 refits keep this quick; reports take 1,000.

# %%
import os

from analysis import fit_law, load
from analysis.questions import collapse, crossover, data_needed, efficiency, extent, parity

frame = load(os.environ.get("STUDY", "results/ecg-scaling-virtual"))
probed = frame[(frame["protocol"] == "linear-probe") & (frame["stage"] == "pretrain")]
tasks = sorted(set(probed["task"]))[-3::2]
laws = {}
for name in ("resnet-sl", "resnet-ssl", "transformer-ssl"):
    rows = probed[probed["family"] + "-" + probed["paradigm"] == name]
    laws[name] = {t: fit_law(rows, task=t, protocol="linear-probe", n_boot=50) for t in tasks}
efficiency(laws, "N")

# %% [markdown]
# Laws whose exponent is at a bound, or that explain too little, are left out by name. Now data.

# %%
efficiency(laws, "D")

# %% [markdown]
# Where two losses cross along N, at the largest D of both, and what the second needs for the loss
# of the first. A crossing outside the data extrapolates both laws.

# %%
names = ("resnet-ssl", "transformer-ssl")
for task in tasks:
    pair = [laws[name][task] for name in names]
    at = {axis: min(fit.ranges[axis][1] for fit in pair) for axis in ("N", "D")}
    print(task, crossover(*pair, "N", names=names, D=at["D"]).words, sep=": ")
    print(*(line.text for line in parity(*pair, "N", at=at, names=names).lines), end="\n\n")

# %% [markdown]
# Overfitting of supervised ResNets on the task trained on: its extent at the largest N and D, the
# records that keep it within 10 %, and whether all runs fall on one curve.

# %%
home = fit_law(frame[(frame["family"] == "resnet") & (frame["paradigm"] == "sl")], n_boot=50)
largest = {axis: high for axis, (low, high) in home.ranges.items()}
print(extent(home, **largest), data_needed(home, largest["N"], 0.1), sep="\n")
collapse(home)

# %%
home.plot()
