# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a lower loss is worth on another task
#
# L_ood - E_ood = K (L_id - E_id)^kappa, from the loss trained on to that of a linear probe.
# kappa = 1 passes excess loss on in proportion, less diminishes it. `STUDY` names another results
# folder. 100 refits keep this quick; reports take 1,000.

# %%
import os

from analysis import fit_law, fit_together, load
from analysis.transfer import fit_transfer

frame = load(os.environ.get("STUDY", "results/ecg-scaling-virtual"))
part = frame[(frame["family"] == "resnet") & (frame["paradigm"] == "sl")]
task = min(part.loc[part["protocol"] == "linear-probe", "task"])
home = fit_law(part, n_boot=100)
away = fit_law(part, task=task, protocol="linear-probe", n_boot=100)
away.plot()

# %% [markdown]
# kappa with the floors of both joint laws, then with E_ood fitted to the pairs instead.

# %%
held = fit_transfer(home, away)
print(task, f"R2 {held.r2:.2f}", *held.warnings, sep=", ")
for kappa in (held.kappa, held.kappa_free):
    ends = kappa.interval
    print(f"kappa {kappa.point:.2f}, 95 % {ends.low:.2f} to {ends.high:.2f}")

# %% [markdown]
# Both joint laws and the pairs at once: each floor is told by its own runs and by the pairs.

# %%
own, other = (fit.rows[["trial", "N", "D", "loss"]] for fit in (home, away))
pairs = own.rename(columns={"loss": "L_id"}).merge(other.rename(columns={"loss": "L_ood"}))
both = fit_together(
    {"id": (own, "chinchilla"), "ood": (other, "chinchilla"), "pairs": (pairs, "loss_to_loss")},
    {"E_id": {"id": "E", "pairs": "E_id"}, "E_ood": {"ood": "E", "pairs": "E_ood"}},
    n_boot=100,
)
both

# %% [markdown]
# The pairs with these floors; and the probe's loss where the excess loss is halved twice.

# %%
floors = {name: both.fit.params[name] for name in ("E_id", "E_ood")}
fit_law(pairs, "loss_to_loss", fixed=floors, n_boot=100).plot()

# %%
both.predict("pairs", L_id=[floors["E_id"] + excess for excess in (0.08, 0.04, 0.02)])
