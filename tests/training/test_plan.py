"""The plan of a stage, on a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlens.training import Plan, cosine, step_decay


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(plan: Plan, clock: Clock, durations: list[float]) -> tuple[list[float], list[float]]:
    """Step until the plan is done; the progress and learning rate at the start of each step."""
    seen, rates = [], []
    while not plan.done:
        seen.append(plan.progress)
        rates.append(cosine(plan.progress))
        clock.now += durations[len(seen) % len(durations)]
        plan.advance()
    return seen, rates


def test_steps() -> None:
    clock = Clock()
    plan = Plan(steps=10, clock=clock)
    seen, rates = run(plan, clock, [1.0])
    assert seen == [i / 10 for i in range(10)]
    assert (plan.step, plan.total, plan.progress, plan.elapsed) == (10, 10, 1.0, 10.0)
    assert rates[-1] < 0.03


def test_resumed_steps_go_on() -> None:
    plan = Plan(steps=10, step=4, clock=Clock())
    assert (plan.step, plan.progress, plan.done) == (4, 0.4, False)
    assert Plan(steps=10, step=10, clock=Clock()).done


@given(
    steps=st.floats(20, 300),
    pace=st.floats(0.01, 2),
    jitter=st.lists(st.floats(0.8, 1.25), min_size=1, max_size=7),
)
def test_a_budget_is_met_to_a_step(steps: float, pace: float, jitter: list[float]) -> None:
    clock, budget = Clock(), steps * pace
    plan = Plan(seconds=budget, clock=clock)
    seen, rates = run(plan, clock, [pace * each for each in jitter])
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert abs(plan.elapsed - budget) <= 1.25 * pace
    assert plan.progress >= 1 - 1.25 * pace / budget
    assert rates[-1] <= cosine(1 - 2.5 / steps) + 1e-9 < 0.05


def test_a_slow_first_step_does_not_spoil_the_plan() -> None:
    clock = Clock()
    plan = Plan(seconds=100, clock=clock)
    for seconds in (20.0, 5.0, 3.0, 1.0, 1.0):
        clock.now += seconds
        plan.advance()
    assert plan.total == 5 + 70


def test_the_pace_of_the_first_steps_counts_while_there_is_no_other() -> None:
    clock = Clock()
    plan = Plan(seconds=15, clock=clock)
    clock.now += 12
    plan.advance()
    assert plan.done, "a second step would end far beyond the budget"


@pytest.mark.parametrize("seconds", [0.0, 1e-6])
def test_no_budget_is_still_one_step(seconds: float) -> None:
    clock = Clock()
    plan = Plan(seconds=seconds, clock=clock)
    assert not plan.done
    clock.now += 3
    plan.advance()
    assert plan.done
    assert plan.progress == 1.0


def test_a_resumed_budget_goes_on_where_it_stood() -> None:
    clock = Clock()
    plan = Plan(seconds=100, step=40, spent=80, clock=clock)
    assert plan.progress == 0.8
    run(plan, clock, [2.0])
    assert plan.step == 50
    assert plan.elapsed == pytest.approx(100)
    assert Plan(seconds=100, step=40, spent=100, clock=clock).done


def test_a_pause_of_the_machine_does_not_lengthen_a_budget() -> None:
    clock = Clock()
    plan = Plan(seconds=100, clock=clock)
    for _ in range(10):
        clock.now += 1
        plan.advance()
    clock.now += 200
    plan.advance()
    assert plan.done


def test_step_decay_divides_by_ten_at_each_milestone() -> None:
    schedule = step_decay((0.5, 0.9))
    assert [schedule(p) for p in (0, 0.49, 0.5, 0.9, 1)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_cosine_warms_up_and_ends_at_zero() -> None:
    rates = [cosine(i / 1000) for i in range(1001)]
    top = rates.index(max(rates))
    assert 0 < rates[0] < 0.05
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[top] == pytest.approx(1, abs=1e-3)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
