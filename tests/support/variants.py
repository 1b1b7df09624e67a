"""Schedules that, with the docstrings' examples, exercise every part of every formula."""

from accelsched import schedules

VARIANTS = """
OneMinusPower(0.1, 0.02, 100, 2.0)
Shifted(Linear(0.1, 0.02, 100), 30)
WarmupStableDecay(0.1, 100, 30, 50, 0.01, 0.02, "cosine", "1-sqrt")
WarmupStableDecay(0.1, 100, 30, 70, 0.01, 0.02, "logarithmic", "cosine")
WarmupStableDecay(0.1, 100, 0, 30, 0.01, 0.02)
WarmupCosine(0.1, 100, 0)
CosineAnnealingWarmRestarts(0.1, 30, 1.5)
Minimum((CosineDecay(0.5, 0.1, 30), Step(0.2, 7, 0.5)))
Maximum((CosineDecay(0.5, 0.1, 30), Step(0.2, 7, 0.5)))
Linear(0.1, 0.02, 100, cycle=True)
Polynomial(0.1, 0.02, 100, 3.0, cycle=True)
Exponential(0.1, total_iters=100, rate=0.5, staircase=True)
InverseExponentialTimeDecay(0.1, step_exponent=2.0, total_iters=100, rate=0.5)
InverseExponentialTimeDecay(0.1, step_exponent=1.0, total_iters=100, rate=0.5, staircase=True)
CosineAnnealingWarmRestarts(0.1, 30)
Cyclic(0.1, 0.5, 30, 70)
Cyclic(0.1, 0.5, 30, 70, "exp_range", 0.99)
Cyclic(0.1, 0.5, 30, 70, "exp_range", 0.9, "cycle")
OneCycle(0.1, 0.5, 100, 0.25, 100.0, three_phase=True)
OneCycle(0.1, 0.5, 100, 0.25, 100.0, anneal_strategy="linear")
OneCycle(0.1, 0.5, 100, 0.001, 100.0)
Lambda(0.1, (lambda step: step / 30, lambda step: 0.9**step), 50)
Tabulated(Linear(0.1, 0.0, 100), 50, "cycle")
Chained((CosineDecay(0.5, 0.1, 30), Step(0.2, 7, 0.5)))
Product((CosineDecay(0.5, 0.1, 30), Step(0.2, 7, 0.5)))
""".strip().split("\n")
VARIANTS = [eval(line, vars(schedules)) for line in VARIANTS]
