"""Plain data: round trips through JSON and YAML, what is refused, and the command `curve`."""

import csv
import json
import os

import pytest
import torch
import yaml
from binding import EVERY, optimizer
from command import run_command
from drawing import compositions
from hypothesis import HealthCheck, given, settings

from accelsched import (
    ArgumentError,
    Scheduler,
    SchedulerList,
    from_spec,
    lr_scheduler,
    policy,
    reference,
    schedules,
    to_spec,
)
from accelsched._cli.command import main
from accelsched._interop import spec
from accelsched.schedules import (
    CosineAnnealingWarmRestarts,
    CosineDecay,
    Lambda,
    Linear,
    PiecewiseConstant,
    Step,
    Tabulated,
)


def through(text_format, data):
    if text_format == "json":
        return json.loads(json.dumps(data, allow_nan=False))
    return yaml.safe_load(yaml.safe_dump(data, sort_keys=False))


FORMATS = pytest.mark.parametrize("text_format", ["json", "yaml"])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=compositions(depth=4))
def test_every_schedule_round_trips(schedule):
    if "<function" in repr(schedule) or "<built-in" in repr(schedule):
        with pytest.raises(ArgumentError, match="a Python function is no data"):
            to_spec(schedule)
        return
    assert from_spec(through("json", to_spec(schedule))) == schedule


@FORMATS
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_every_scheduler_round_trips(make, text_format):
    groups = ({"adjust_learning_rate": 0.5}, {})
    original = make(optimizer(*groups))
    data = through(text_format, to_spec(original))
    assert to_spec(make(None)) == to_spec(original)  # the same unbound, and without the step
    made = from_spec(data, optimizer(*groups))
    assert type(made) is type(original)
    assert to_spec(made) == to_spec(original)
    for step in (0, 1, 30, 99, 500):
        made.last_epoch = original.last_epoch = step
        assert made.get_last_lr() == original.get_last_lr()


MORE = {
    "tags and a lowering": lambda: Scheduler(
        None, Linear(0.1, 0.0, 9), "weight_decay", ["a", None], lowering="graph"
    ),
    "one for each group": lambda: Scheduler(None, [Linear(0, 1, 9), Step(1.0, 3, 0.5)]),
    "tagged": lambda: lr_scheduler.LinearLR(None, 0.0, 0.1, 9, param_group_tags="a"),
    "Multiply": lambda: policy.Multiply({1: 0.5, 4: 0.1}, 0.1),
    "Switch": lambda: policy.Switch([{0: 0.5}, {3: 0.1}], [0.1, 0.2]),
    "a list": lambda: SchedulerList(
        [lr_scheduler.ConstantLR(None, 0.1), Scheduler(None, Linear(0, 1, 9), "momentum")]
    ),
}


@FORMATS
@pytest.mark.parametrize("make", MORE.values(), ids=MORE)
def test_other_schedulers_round_trip(make, text_format):
    data = to_spec(make())
    assert to_spec(from_spec(through(text_format, data))) == data
    groups = [{"tags": "a"}, {}]
    one, two = make()(optimizer(*groups)), from_spec(data, optimizer(*groups))
    for _ in range(6):
        assert repr(one.optimizer.param_groups) == repr(two.optimizer.param_groups)
        one.step()
        two.step()


MODEL_ZOO = """
schedulers:
- SequentialLR:
    schedulers:
    - LinearLR: {initial_learning_rate: 0.0, end_learning_rate: 1e-3, total_iters: 10}
    - CosineDecayLR: {initial_learning_rate: 1e-3, end_learning_rate: 1.0e-5, total_iters: 1e2}
    milestones: [10]
"""


def test_a_list_of_the_model_zoo():
    made = from_spec(yaml.safe_load(MODEL_ZOO)["schedulers"], optimizer())
    assert isinstance(made, lr_scheduler.SequentialLR)
    assert made.schedules == (Linear(0, 1e-3, 10).then(CosineDecay(1e-3, 1e-5, 100), at=10),)
    both = [{"ConstantLR": {"learning_rate": 1, "param_group_tags": tag}} for tag in "ab"]
    made = from_spec(both, optimizer({"tags": "a"}, {"tags": "b"}))
    assert isinstance(made, SchedulerList)
    assert made.get_last_lr() == [1.0, 1.0]


def test_the_name_that_two_classes_have():
    first = from_spec({"CosineAnnealingWarmRestarts": {"initial": 0.1, "T_0": 5}})
    assert first == CosineAnnealingWarmRestarts(0.1, 5)
    second = from_spec({"CosineAnnealingWarmRestarts": {"initial_learning_rate": 0.1, "T_0": 5}})
    assert isinstance(second, lr_scheduler.CosineAnnealingWarmRestarts)


EXPRESSIONS = [
    "Linear(0, 0.1, 100)",
    "Linear(initial=0.0, end=0.1, total_iters=100, cycle=True)",
    "2 * Linear(0.0, 0.1, 100).then(Step(0.1, 30, 0.5), at=100)",
    "Linear(0, 0.1, 10).then(Step(0.1, 30, 0.5), at=10).then(Linear(0, 1, 9), at=50)",
    "PiecewiseConstant([1/3, -0.5], (10,)) + 0.25 + Linear(0, 1e-3 * 2, 100)",
    "Linear(0, 1, 10) * CosineDecay(1, 0, 20)",
    "Tabulated(Linear(0, 1, 10), 5, past_end='cycle')",
    "CosineAnnealingWarmRestarts(0.1, 5)",
    "CosineAnnealingWarmRestarts(0.1, 5, 1.5)",
    "-Linear(0, 1, 10) - 0.5 + (1 - Linear(0, 1, 10)) / 3",
    "Linear(0, 1, 10).then(Linear(1, 0, 90), at=10, restart=False).shifted(-1)",
    "maximum(minimum(Linear(0, 1, 10), 0.5, Step(1.0, 3, 0.5)), 0.25)",
    "WarmupStableDecay(0.1, 100, 10, 20, decay_shape='1-sqrt') * WarmupCosine(1, 100, 0)",
    "OneMinusPower(0.1, 0, 100) + Logarithmic(0, 0.1, 99)",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_is_what_python_makes_of_it(text):
    assert from_spec(text) == eval(text, dict(vars(schedules)))


def test_an_expression_of_a_scheduler():
    made = from_spec("SequentialLR([LinearLR(0, 0.1, 5), ConstantLR(0.1)], milestones=[5])")
    assert made(optimizer()).schedules[0](3) == pytest.approx(0.06)
    assert spec.pure(from_spec("Multiply({2: 0.5, 0: 2.0}, 0.1)")) == PiecewiseConstant(
        [0.2, 0.1], [2]
    )


NESTED = {"Sequential": {"schedules": [{"Linaer": {}}], "milestones": []}}
REFUSED = [
    ({"CosineDecayLr": {}}, "spec='CosineDecayLr': .* nearest is 'CosineDecayLR'"),
    (NESTED, "spec='Linaer': .* nearest is 'Linear'"),
    ({"Linear": {"initial": 0, "ending": 1}}, "Linear='ending': .* nearest is 'end'"),
    ({"Linear": {"initial": 0}}, "Linear=.*give it end, total_iters"),
    ({"Linear": {"initial": 0, "end": 1, "total_iters": -1}}, "total_iters=-1"),
    ({"LinearLR": {"optimizer": 1}}, "LinearLR='optimizer'"),
    ({"Linear": [0, 1, 2]}, "Linear=.*give a dict of its arguments"),
    ({"Linear": {}, "Step": {}}, "give a dict with one name"),
    ({"Multiply": {"mapping": {"x": 1}}}, "mapping='x'"),
    ([], "schedulers="),
    (7, "spec=7"),
    ("Linear(0, 1", "cannot be read"),
    ("Linear(0, 1, 2, 3, 4, 5)", "give at most 4"),
    ("Linear(0, 1, 2, end=3)", "give each argument once"),
    ("Linear(0, 1, 2).formula", "'Linear.0, 1, 2..formula': write schedules, numbers"),
    ("Linear(0, 1, 2).__class__(0, 1, 2)", "write schedules, numbers"),
    ("__import__('os').system('false')", "write schedules, numbers"),
    ("__import__('os')", "spec='__import__'"),
    ("(lambda: 1)()", "write schedules, numbers"),
    ("[Linear(0, 1, 2)] * 9", "write schedules, numbers"),
    ("Linear(0, 1, 2) / 0", "divisor=0"),
    ("Linear(0, 1, 2) / Linear(0, 1, 2)", "write schedules, numbers"),
    ("Linear(0, 1, 2).shifted()", "shifted=.*missing 1 required"),
    ("Linear(0, 1, 2).shifted(0.5)", "by=0.5: give a whole number"),
    ("Linear(0, 1, 2).shifted(**{'by': 1})", "shifted="),
    ("Linear(0, 1, 2).then(3, at=5)", "following=3"),
    ("minimum()", "schedules="),
    ("minimum([Linear(0, 1, 2)])", "write schedules, numbers"),
    ("maximum(Linear(0, 1, 2), at=5)", "spec='maximum'"),
    ("1 + 1", "give a schedule"),
    ("Linear(*[0, 1, 2])", "write schedules, numbers"),
    ("Linear(**{'a': 1})", "give each argument once"),
    ("Lambda(1.0, [1])", r"functions\[0\]=1: give a function"),
    ("LinearLR(0, 1, 2).then(Linear(0, 1, 2), at=5)", "write schedules, numbers"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_is_refused(given, message):
    opt = optimizer()
    with pytest.raises(ArgumentError, match=message):
        from_spec(given, opt)
    assert opt.param_groups[0]["lr"] == 0.001


def test_what_is_no_data():
    class Own(lr_scheduler.StepLR):
        pass

    for item in (
        Lambda(1.0, (abs,)),
        Tabulated(abs, 9),
        Own(None, 0.1, 3, 0.5),
        policy.Schedule(abs),
        policy.Policy(Linear(0, 1, 2)),
    ):
        with pytest.raises(ArgumentError, match=r"is no data|use only classes"):
            to_spec(item)


# The command.


def test_curve_prints_several_side_by_side(capsys):
    assert main(["curve", "Linear(0, 1, 10)", "ConstantLR(0.5)", "--steps", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["1: Linear(0, 1, 10)", "2: ConstantLR(0.5)"]
    rows = [line.split() for line in lines[4:]]
    assert rows == [[str(i), f"{i / 10:g}", "0.5"] for i in range(11)]


def test_curve_shows_all_there_is_to_see(capsys):
    main(["curve", "Linear(0, 1, 5000)"])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["5,500", "1"]
    main(["curve", "Step(0.1, 30, 0.5)"])
    assert capsys.readouterr().out.splitlines()[-1].split()[0] == "1,000"


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_curve_writes_each_step_of_a_file(tmp_path, suffix):
    schedules = {"warm": Linear(0, 1e-3, 10), "cosine": CosineDecay(1e-3, 0.0, 90)}
    data = {label: to_spec(schedule) for label, schedule in schedules.items()}
    data["policy"] = {"Multiply": {"mapping": {"50": 0.1}, "lr_init": 0.1}}
    source, output = tmp_path / f"all{suffix}", tmp_path / "all.csv"
    source.write_text(
        json.dumps(data) if suffix == ".json" else yaml.safe_dump(data, sort_keys=False)
    )
    assert main(["curve", str(source), "--output", str(output)]) == 0
    with output.open() as file:
        header, *rows = csv.reader(file)
    assert header == ["step", "warm", "cosine", "policy"]
    assert len(rows) == 100  # to a tenth past the longest schedule
    for step, row in enumerate(rows):
        assert int(row[0]) == step
        for value, schedule in zip(row[1:3], schedules.values(), strict=True):
            assert float(value) == pytest.approx(reference.value(schedule, step), rel=1e-12)
        assert float(row[3]) == pytest.approx(0.1 if step < 50 else 0.01)


@pytest.mark.parametrize(("suffix", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_curve_draws(tmp_path, suffix, begins):
    zoo = tmp_path / "zoo.yml"
    zoo.write_text(yaml.safe_dump(yaml.safe_load(MODEL_ZOO)["schedulers"]))
    output = tmp_path / f"curve{suffix}"
    command = ["curve", str(zoo), "Linear(0, 1e-3, 10)", "--output", str(output)]
    assert main(command) == 0
    assert output.read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Linera(0, 1, 2)"], "the nearest is 'Linear'"),
        (["there-is-no-such.json"], "cannot be read: No such file"),
        (["bad.yaml"], "cannot be read"),
        (["bad.json"], "cannot be read"),
        (["Constant(1)", "--output", "x.pdf"], "ends in .csv, .png, .svg"),
        (["Constant(1)", "--output", "none/x.csv"], "there is no such folder"),
    ],
)
def test_curve_says_what_is_wrong(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("{")
    (tmp_path / "bad.json").write_text("{")
    assert main(["curve", *arguments]) == 1
    assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["curve", "Constant(1)", "--steps", "0"])


def test_a_reader_that_has_seen_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = run_command("curve", "Linear(0, 1, 10)", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_spec_is_followed_on_a_device():
    opt = torch.optim.SGD([torch.zeros(1)], lr=torch.tensor(0.1))
    made = from_spec({"LinearLR": {"initial_learning_rate": 0, "end_learning_rate": 1,
                                   "total_iters": 4}}, opt)  # fmt: skip
    made.step()
    assert opt.param_groups[0]["lr"].item() == 0.25
