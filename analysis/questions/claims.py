"""Claims of S1, what the questions say about each, and whether it holds here.

A claim is an answer, a line, the side of it that S1 is on, and what S1 prints.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from analysis.fit.sampled import Sampled
from analysis.published import s1
from analysis.questions.additive import AXES, Axis
from analysis.questions.allocation import mean_allocation
from analysis.questions.answer import law_doubt, left_out, tasks, tasks_doubt
from analysis.questions.configurations import By, Configuration, comparable, shared_tasks
from analysis.questions.exponents import efficiency
from analysis.questions.limits import bottleneck
from analysis.questions.losses import LossRatio, loss_ratio, lowest_loss
from analysis.questions.transfer import TransferEfficiency, compare_transfer, transfer_efficiency
from analysis.studies.groups import Kind
from analysis.text import Interval, number

FAMILIES = ("resnet", "transformer")
PARADIGMS = ("sl", "ssl")
SATURATED = 0.9  # of what an axis can give, from the smallest value on
_WORDS = {"N": "model size", "D": "data"}
Side = Literal["above", "below"]


class Verdict(enum.StrEnum):
    """Whether a claim of S1 holds for the runs at hand."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    UNKNOWN = "cannot be told here"


RULE = (
    "A claim *holds* where the 95 % interval lies wholly on S1's side of the line, *does not "
    "hold* where it lies wholly on the other side, and else *cannot be told here*. Nor can it "
    "where a law behind it does not determine what is used of it, or where a second interval "
    "(kappa with E_ood fitted, compute with the measured MACs) does not lie on the same side."
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim.

    Attributes:
        finding: the finding of S1 it belongs to, ``i`` to ``v``.
        claim: in words.
        printed: what S1 prints, or "" where its digits did not survive.
        measured: name of the quantity.
        estimate: its value here.
        interval: its 95 % interval.
        line: value that divides holding from not.
        side: side of the line on which the claim holds.
        note: what else a reader must know.
        check: 95 % interval of the same found in another way; None where there is no other way.
        doubt: why no verdict can rest on the laws behind it; "" where one can.
    """

    finding: str
    claim: str
    printed: str
    measured: str
    estimate: float
    interval: Interval
    line: float
    side: Side
    note: str = ""
    check: Interval | None = None
    doubt: str = ""

    @property
    def verdict(self) -> Verdict:
        """By ``RULE``."""
        if self.why_unknown:
            return Verdict.UNKNOWN
        above = self._side(self.interval) == "above"
        return Verdict.HOLDS if above == (self.side == "above") else Verdict.DOES_NOT_HOLD

    @property
    def why_unknown(self) -> str:
        """Why it cannot be told; "" where it can."""
        if self.doubt:
            return self.doubt
        side = self._side(self.interval)
        if side is None:
            return "no interval"
        if side == "across":
            return "the interval holds the line"
        if self.check is None:
            return ""
        other = self._side(self.check)
        if other is None:
            return "no second interval"
        return "" if other == side else "the second interval is not on the same side"

    def _side(self, interval: Interval) -> Literal["above", "below", "across"] | None:
        low, high = interval.low, interval.high
        if not (math.isfinite(low) and math.isfinite(high)):
            return None
        if low <= self.line <= high:
            return "across"
        return "above" if low > self.line else "below"


def s1_claims(by: By) -> list[Claim]:
    """What S1 claims of these configurations, in the order of its findings."""
    transfers = {
        kind: transfer_efficiency(c, together=False)
        for kind, c in by.items()
        if any(t.transfer for t in c.tasks)
    }
    return [
        *_bottleneck(by),
        *_efficiency(comparable(by)),
        *_transfer(by, transfers),
        *_losses(comparable(by)),
        *(_allocation(by[k], share) for k, share in s1.DATA_SHARE.items() if k in by),
    ]


def _bottleneck(by: By) -> list[Claim]:
    """Finding i, in distribution."""
    found = []
    for (family, paradigm), configuration in by.items():
        if not configuration.fit.ok or family not in FAMILIES:
            continue
        if paradigm == "sl":
            share = bottleneck(configuration.fit).data_share
            found.append(
                Claim(
                    finding="i",
                    claim=f"data rather than size limits {configuration.name}",
                    printed="data is the main bottleneck",
                    measured="data's share of the reducible loss at the largest cell",
                    estimate=share.point,
                    interval=share.interval,
                    line=0.5,
                    side="above",
                    doubt=law_doubt(configuration.fit, terms="ND"),
                )
            )
        found += [_saturation(configuration, axis) for axis in AXES]
    same = comparable(by)
    for family in FAMILIES:
        sl, ssl = (same.get((family, paradigm)) for paradigm in PARADIGMS)
        if sl is not None and ssl is not None and sl.fit.ok and ssl.fit.ok:
            found.append(_more_limited(family, sl, ssl))
    return found


def _saturation(configuration: Configuration, axis: Axis) -> Claim:
    """Whether the loss has stopped falling along an axis."""
    gain = bottleneck(configuration.fit).gains[axis]
    of_data = configuration.kind[1] == "sl" and axis == "D"
    saturates = configuration.kind[1] == "sl" and axis == "N"
    printed = "clear saturation" if saturates else "no visible saturation"
    verb = "saturates" if saturates else "does not saturate"
    return Claim(
        finding="i",
        claim=f"{configuration.name} {verb} in {_WORDS[axis]}",
        printed="far from saturation" if of_data else printed,
        measured=f"gains of {axis} used up",
        estimate=gain.gone,
        interval=gain.gone_interval,
        line=SATURATED,
        side="above" if saturates else "below",
        note=f"over a range of {gain.times:.3g} times",
        doubt=law_doubt(configuration.fit, terms=axis),
    )


def _more_limited(family: str, sl: Configuration, ssl: Configuration) -> Claim:
    less = bottleneck(sl.fit).data_share.less(bottleneck(ssl.fit).data_share)
    doubts = [f"{c.name}: {why}" for c in (sl, ssl) if (why := law_doubt(c.fit, terms="ND"))]
    return Claim(
        finding="i",
        claim=f"data limit {family}-SL more than {family}-SSL",
        printed="SL data-bottlenecked, SSL not",
        measured="difference of the shares, SL less SSL",
        estimate=less.point,
        interval=less.interval,
        line=0.0,
        side="above",
        doubt="; ".join(doubts),
    )


def _efficiency(by: By) -> list[Claim]:
    """Finding ii: ratios of exponents out of distribution, as a geometric mean over tasks."""
    pairs: list[tuple[Axis, Kind, Kind]] = [
        *(("N", ("resnet", paradigm), ("transformer", paradigm)) for paradigm in PARADIGMS),
        *(("D", (family, "ssl"), (family, "sl")) for family in FAMILIES),
    ]
    return [_ratio(by[a], by[b], axis) for axis, a, b in pairs if a in by and b in by]


def _ratio(first: Configuration, second: Configuration, axis: Axis) -> Claim:
    laws = {c.name: {t.task: t.fit for t in c.tasks} for c in (first, second)}
    ratio = efficiency(laws, axis).pair(first.name, second.name)
    doubts = [
        next(filter(None, (law_doubt(c.task(task).fit, terms=axis) for c in (first, second))), "")
        for task in shared_tasks(first, second)
    ]
    note = tasks(len(ratio.tasks)) + left_out([why for why in doubts if why])
    if axis == "N" and math.isfinite(ratio.ratio):
        times = number(2**ratio.ratio)
        note += f"; {second.name} needs {times} times the parameters for what 2 times do"
    return Claim(
        finding="ii",
        claim=f"{first.name} gains more from {'N' if axis == 'N' else 'data'} than {second.name}",
        printed="larger (digits lost)",
        measured=f"ratio of {'alpha' if axis == 'N' else 'beta'}, {first.name} over {second.name}",
        estimate=ratio.ratio,
        interval=ratio.interval,
        line=1.0,
        side="above",
        note=note,
        doubt=tasks_doubt(len(ratio.tasks), len(doubts)),
    )


def _transfer(by: By, transfers: Mapping[Kind, TransferEfficiency]) -> list[Claim]:
    """Finding iii."""
    found = [_diminishing(by[kind], transfer) for kind, transfer in transfers.items()]
    same = comparable(by)
    for family in FAMILIES:
        ssl, sl = same.get((family, "ssl")), same.get((family, "sl"))
        if ssl and sl and shared_tasks(ssl, sl):
            found.append(_larger(ssl, sl))
    return found


def _diminishing(configuration: Configuration, transfer: TransferEfficiency) -> Claim:
    value, free = transfer.mean("fixed"), transfer.mean("free")
    doubts = [t.doubt for t in configuration.tasks]
    kind = configuration.kind
    return Claim(
        finding="iii",
        claim=f"{configuration.name} transfers with diminishing returns",
        printed=f"mean kappa {s1.KAPPA[kind]:.3f}" if kind in s1.KAPPA else "",
        measured="mean kappa over tasks",
        estimate=value.point,
        interval=value.interval,
        line=1.0,
        side="below",
        note=_kappa_note(doubts, free),
        check=free.interval,
        doubt=tasks_doubt(doubts.count(""), len(doubts)),
    )


def _larger(ssl: Configuration, sl: Configuration) -> Claim:
    """SSL transfers better than SL."""
    both = compare_transfer(*(transfer_efficiency(c, together=False) for c in (ssl, sl)))
    less, free = both.difference("fixed"), both.difference("free")
    doubts = [sl.task(n).doubt or ssl.task(n).doubt for n in shared_tasks(ssl, sl)]
    return Claim(
        finding="iii",
        claim=f"{ssl.name} transfers better than {sl.name}",
        printed=f"mean kappa larger by {s1.KAPPA[ssl.kind] - s1.KAPPA[sl.kind]:.3f}",
        measured="difference of mean kappa, SSL less SL",
        estimate=less.point,
        interval=less.interval,
        line=0.0,
        side="above",
        note=_kappa_note(doubts, free),
        check=free.interval,
        doubt=tasks_doubt(doubts.count(""), len(doubts)),
    )


def _kappa_note(doubts: Sequence[str], free: Sampled) -> str:
    left = left_out([why for why in doubts if why])
    return f"{tasks(doubts.count(''))}{left}; with E_ood fitted to the pairs {_text(free)}"


def _text(value: Sampled) -> str:
    ends = value.interval
    return f"{number(value.point)} [{number(ends.low)}, {number(ends.high)}]"


def _losses(by: By) -> list[Claim]:
    """Finding iv."""
    found = []
    if {family for family, _ in by} >= set(FAMILIES):
        found += _lowest(list(by.values()))
    pairs = [
        (("transformer", "ssl"), ("transformer", "sl"), False),
        *(((family, "ssl"), (family, "sl"), True) for family in FAMILIES),
    ]
    for first, second, unseen in pairs:
        ratio = _log_ratio(by, first, second, unseen=unseen)
        if ratio is not None:
            printed = "consistently lower" if unseen else "lower at every observed scale"
            found.append(_below(ratio, printed))
    ratio = _log_ratio(by, ("transformer", "ssl"), ("resnet", "ssl"))
    return [*found, _narrowing(ratio)] if ratio is not None else found


def _lowest(configurations: Sequence[Configuration]) -> list[Claim]:
    """A ResNet is lowest, on average over tasks and sizes."""
    try:
        lowest = lowest_loss(configurations)
    except ValueError:  # no task with a law in all of them, or no common size
        return []
    won, sizes = lowest.shares["resnet"], s1.LOWEST_BY_SIZE
    return [
        Claim(
            finding="iv",
            claim="a ResNet has the lowest loss across most sizes",
            printed=f"{sum(sizes)} of {s1.TASKS * len(sizes)} tasks and sizes, "
            f"{', '.join(map(str, sizes))} of {s1.TASKS} by size",
            measured="share of tasks and sizes",
            estimate=won.point,
            interval=won.interval,
            line=0.5,
            side="above",
            note=f"{lowest.common}; {lowest.among} configurations",
        )
    ]


def _log_ratio(by: By, first: Kind, second: Kind, *, unseen: bool = False) -> LossRatio | None:
    """Of all tasks or of those unlike the ones trained on; None where nothing can be compared."""
    if first not in by or second not in by:
        return None
    one, other = by[first], by[second]
    names = [n for n in shared_tasks(one, other) if s1.unseen(n)] if unseen else None
    try:
        return loss_ratio(one, other, names=names, kind="unseen tasks" if unseen else "other tasks")
    except ValueError:
        return None


def _below(ratio: LossRatio, printed: str) -> Claim:
    """The first has the lower loss."""
    value = ratio.mean
    return Claim(
        finding="iv",
        claim=f"{ratio.first} is below {ratio.second} on {ratio.kind}",
        printed=printed,
        measured="log ratio of losses, mean over tasks and sizes",
        estimate=value.point,
        interval=value.interval,
        line=0.0,
        side="below",
        note=str(ratio.common),
    )


def _narrowing(ratio: LossRatio) -> Claim:
    """The first gains on the second with size; where they cross is reported only."""
    gaps = ", ".join(f"{v:.3f}" for v in s1.GAP_BY_SIZE)
    return Claim(
        finding="iv",
        claim=f"{ratio.first} gains on {ratio.second} with size",
        printed="overtakes at very large sizes only; mean log ratio in Table S.5 "
        f"{gaps} from the smallest sizes to the largest",
        measured="log ratio of losses at the largest size less that at the smallest",
        estimate=ratio.change.point,
        interval=ratio.change.interval,
        line=0.0,
        side="below",
        note=f"{ratio.common}; {ratio.ends}",
    )


def _allocation(configuration: Configuration, printed: float) -> Claim:
    """Finding v: where marginal compute goes."""
    split, compute = mean_allocation(configuration), configuration.compute
    share, measured = split.share, split.with_macs
    more = printed > 0.5
    return Claim(
        finding="v",
        claim=f"{configuration.name} spends more on {'data' if more else 'model size'}",
        printed=f"{100 * printed:.0f} % to data on one task",
        measured="alpha / (alpha + beta), mean over tasks",
        estimate=share.point,
        interval=share.interval,
        line=0.5,
        side="above" if more else "below",
        note=f"{split.counted}; with MACs ~ N^{number(compute.macs)}, alpha / (alpha + m beta) is "
        f"{_text(measured)}; C ~ D^{number(compute.data, 2)} at fixed N",
        check=measured.interval,
        doubt=tasks_doubt(split.used, len(split.doubts)) or compute.doubt,
    )
