# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where compute should go
#
# N*(C) and D*(C) of ResNets, read in three ways. First, what training cost: C = k N^m D^q.
# `STUDY` names another results folder. 100 resamples keep this quick; reports take 1,000.

# %%
import os

from analysis import allocate, fit_law, law_rows, load
from analysis.compute.approaches import compare_approaches
from analysis.compute.cost import compute_model
from analysis.compute.envelope import envelope
from analysis.compute.isoflop import isoflop
from analysis.compute.rows import AllocationError

frame = load(os.environ.get("STUDY", "results/ecg-scaling-virtual"))
frame = frame[(frame["family"] == "resnet") & (frame["stage"] == "pretrain")]
columns = ["trial", "N", "D", "C", "macs", "value"]
runs = {paradigm: law_rows(part)[columns] for paradigm, part in frame.groupby("paradigm")}
by = {paradigm: rows.rename(columns={"value": "loss"}) for paradigm, rows in runs.items()}
compute_model(by["sl"], n_boot=100)

# %% [markdown]
# Approach 3 minimises the joint law at fixed C: what was spent by the step whose loss is used. A
# step cap ends most of these runs: records cost little, and D* leaves the data (see warnings).
# Where C is not seen to grow with D, as for SSL, it refuses, and says what to measure.

# %%
fits, surfaces = {}, {}
for paradigm, rows in by.items():
    fits[paradigm] = fit_law(rows, n_boot=100)
    try:
        surfaces[paradigm] = allocate(fits[paradigm], compute_model(rows, n_boot=100))
    except AllocationError as refused:
        surfaces[paradigm] = refused
    print(paradigm, surfaces[paradigm], sep=": ", end="\n\n")

# %% [markdown]
# The other convention is S1's fixed epochs: m from the MACs, and q = 1 taken, not measured.

# %%
allocate(fits["sl"], compute_model(by["sl"], convention="fixed epochs", n_boot=100)).plot()

# %% [markdown]
# Approaches 1 and 2 on the ends of runs. An envelope needs sizes that overtake each other, an
# isoFLOP curve three sizes at one C; a grid with a step cap has neither, and the reasons are given.

# %%
lower = envelope(by["sl"], n_boot=100)
across = isoflop(by["sl"], n_boot=100, tolerance=0.1)
compare_approaches(envelope=lower, isoflop=across, surface=surfaces["sl"])
