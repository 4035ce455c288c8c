"""WKD: costs of classes, the flow by Sinkhorn's iterations, and what entropy does to it."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from scaling.objectives.distill.base import Answers
from scaling.objectives.distill.wkd import (
    WassersteinDistillation,
    class_costs,
    transport_costs,
    wkd_loss,
)
from tests.scaling.objectives.distill.answers import (
    CLASSES,
    RECORDS,
    check_only_the_student_learns,
    drawn,
    gradient,
    imitation,
    some_pair,
)

Rows = list[list[float]]
OBJECTIVE = WassersteinDistillation({"temperature": 2.0, "transport": 10.0, "iterations": 10})


def costs_written_out(weights: Rows) -> Rows:
    def cost(a: list[float], b: list[float]) -> float:
        norms = [math.sqrt(sum(x * x for x in w)) for w in (a, b)]
        cosine = sum(x * y for x, y in zip(a, b, strict=True)) / (norms[0] * norms[1])
        return 1 - math.exp(-(1 - cosine))

    return [[0.0 if i == j else cost(a, b) for j, b in enumerate(weights)]
            for i, a in enumerate(weights)]  # fmt: skip


def sinkhorn(p: list[float], q: list[float], cost: Rows) -> float:
    """Ten iterations with scalings as numbers, entropy 0.05, starting from ones."""
    n = range(len(p))
    kernel = [[math.exp(-c / 0.05) for c in row] for row in cost]
    u, v = [1.0 for _ in n], [1.0 for _ in n]
    for _ in range(10):
        v = [q[j] / sum(kernel[i][j] * u[i] for i in n) for j in n]
        u = [p[i] / sum(kernel[i][j] * v[j] for j in n) for i in n]
    return sum(u[i] * kernel[i][j] * v[j] * cost[i][j] for i in n for j in n)


def written_out(student: Rows, teacher: Rows, has: list[list[bool]], weights: Rows) -> float:
    def shares(z: list[float]) -> list[float]:
        p = [1 / (1 + math.exp(-x / 2.0)) for x in z]
        return [x / sum(p) for x in p]

    cost, target, transport = costs_written_out(weights), 0.0, 0.0
    for s, t, mine in zip(student, teacher, has, strict=True):
        transport += sinkhorn(shares(s), shares(t), cost)
        for a, b, positive in zip(s, t, mine, strict=True):
            p, q = 1 / (1 + math.exp(-a)), 1 / (1 + math.exp(-b))
            target -= positive * (q * math.log(p) + (1 - q) * math.log(1 - p))
    return target / (len(student) * len(cost)) + 10.0 * transport / len(student)


@pytest.mark.parametrize("labelled", [True, False])
def test_it_is_the_formula(labelled: bool) -> None:
    pair = some_pair(labelled=labelled)
    s, t = (each.logits_BC.double() for each in (pair.student, pair.teacher))
    has = pair.labels_BC > 0.5 if labelled else t >= 0.0
    weights = pair.teacher_weights_CK.double()
    expected = written_out(s.tolist(), t.tolist(), has.tolist(), weights.tolist())
    assert wkd_loss(s, t, has, weights).item() == pytest.approx(expected, rel=1e-6)
    found = imitation(OBJECTIVE, pair)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_like_classes_cost_little() -> None:
    w = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    cost = class_costs(w)
    assert cost.diagonal().tolist() == [0.0] * 4
    assert cost[0].tolist() == pytest.approx(
        [0.0, 0.0, 1 - math.exp(-1), 1 - math.exp(-2)], abs=1e-6
    )
    torch.testing.assert_close(cost, cost.T)


def distributions(seed: int) -> Tensor:
    return drawn(RECORDS, CLASSES, seed=seed, dtype=torch.float64).log_softmax(dim=1)


def test_with_little_entropy_it_is_the_wasserstein_distance() -> None:
    """As a linear programme finds it."""
    p, q = distributions(1), distributions(2)
    cost = class_costs(drawn(CLASSES, 4, seed=3, dtype=torch.float64))
    found = transport_costs(p, q, cost, entropy=0.01, iterations=3000)
    rows, columns = np.eye(CLASSES), np.ones((1, CLASSES))
    margins = np.vstack([np.kron(rows, columns), np.kron(columns, rows)])
    for record in range(RECORDS):
        ends = np.concatenate([p[record].exp().numpy(), q[record].exp().numpy()])
        best = linprog(cost.numpy().ravel(), A_eq=margins, b_eq=ends).fun
        assert best is not None
        assert best > 0.04
        assert found[record].item() == pytest.approx(best, abs=0.01)


def test_entropy_leaves_a_cost_between_equal_distributions() -> None:
    """So its least value is not 0, as a Wasserstein distance's is."""
    p = distributions(1)
    cost = class_costs(drawn(CLASSES, 4, seed=3, dtype=torch.float64))
    assert float(transport_costs(p, p, cost).min()) > 1e-6
    assert float(transport_costs(p, p, cost, entropy=0.002).max()) < 1e-6


def test_probability_of_a_like_class_costs_less() -> None:
    cost = class_costs(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
    q = torch.tensor([[0.98, 0.01, 0.01]]).log()
    like, unlike = (torch.tensor([p]).log() for p in ([0.01, 0.98, 0.01], [0.01, 0.01, 0.98]))
    assert transport_costs(like, q, cost) < 0.1 * transport_costs(unlike, q, cost)


def test_what_a_student_does_not_know_of_how_much_the_target_term_says() -> None:
    """The transport sees shares; a student with half of each probability differs by its target."""
    t, w = torch.full((1, 3), 1.0), drawn(3, 4, seed=1)
    s, nothing = torch.full((1, 3), -1.0), torch.zeros(1, 3, dtype=torch.bool)
    assert wkd_loss(s, t, nothing, w).item() == pytest.approx(wkd_loss(t, t, nothing, w).item())
    assert bool((gradient(lambda x: wkd_loss(x, t, ~nothing, w), s) < -0.1).all())


def test_with_enough_iterations_descent_brings_shares_to_the_teachers() -> None:
    """Ten, as published, leave them apart: the flow does not quite end where the teacher is."""
    pair = some_pair()
    t, w, nothing = pair.teacher.logits_BC, pair.teacher_weights_CK, pair.labels_BC > 2.0

    def apart(z: Tensor) -> float:
        p, q = (torch.sigmoid(x / 2) / torch.sigmoid(x / 2).sum(1, keepdim=True) for x in (z, t))
        return float((p - q).abs().sum(dim=1).mean())

    ends = []
    for iterations in (10, 100):
        s = pair.student.logits_BC.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([s], lr=0.2)
        for _ in range(100):
            optimiser.zero_grad()
            loss = wkd_loss(s, t, nothing, w, iterations=iterations)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        ends.append(apart(s.detach()) / apart(pair.student.logits_BC.detach()))
    assert ends[1] < 0.2
    assert ends[1] < ends[0] < 0.9


def test_sure_nets_and_like_weights_give_numbers() -> None:
    t = torch.tensor([[300.0, -300.0, 0.0]])
    has = torch.tensor([[True, False, False]])

    def loss(w: Tensor, s: Tensor) -> Tensor:
        return wkd_loss(s, t, has, w)

    for w in (torch.ones(3, 4), torch.zeros(3, 4), drawn(3, 4, seed=1)):
        assert bool(torch.isfinite(loss(w, -t)))
        assert bool(torch.isfinite(gradient(partial(loss, w), -t)).all())


def test_one_class_is_refused() -> None:
    pair = some_pair()
    one = [
        Answers(logits_BC=each.logits_BC[:, :1], features_BF=each.features_BF)
        for each in (pair.student, pair.teacher)
    ]
    few = dataclasses.replace(pair, student=one[0], teacher=one[1], labels_BC=pair.labels_BC[:, :1])
    with pytest.raises(ValueError, match="at least 2, and the task has 1"):
        imitation(OBJECTIVE, few)


def test_only_the_student_learns() -> None:
    pair = some_pair()
    has = pair.labels_BC > 0.5
    w = pair.teacher_weights_CK.requires_grad_()
    check_only_the_student_learns(lambda s, t: wkd_loss(s, t, has, w), logits=True)
    assert w.grad is None
