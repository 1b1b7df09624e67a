"""The Model Zoo of Cerebras: every list of schedulers in its files, and its trainer's rules."""

import csv
import json
import warnings
from pathlib import Path

import model_zoo
import pytest
import yaml
from binding import optimizer
from spec_fuzz import broken_specs

from accelsched import ArgumentError, SchedulerList, from_spec, lr_scheduler, modelzoo
from accelsched._cli.command import main
from accelsched.lr_scheduler import LinearLR, ScalePerParamLR, SequentialLR
from accelsched.weight_decay_scheduler import CosineDecayWD

# Every distinct list in the YAML files of releases 1.6 to 2.10.

LISTS = json.loads(Path(__file__).with_name("modelzoo_schedulers.json").read_text())
#: The error for each refused list, by its position.
REFUSED = {
    # From release 2.0.2: it has names that 1.9 lacks, and one that no release from 2.0 on accepts.
    177: "PiecewiseConstantLR='initial_learning_rate': there is no such argument",
}
#: The warning for entries that are not read; releases up to 1.9 skip them silently.
UNREAD = {
    93: r"learning_rate\[1\]: LinearLR has no \['alpha'\]: not read",
    95: r"learning_rate\[1\]: steps=34000 is not read: decay_steps=262000 is given",
    108: r"learning_rate\[1\]: LinearLR has no \['alpha'\]: not read",
    125: r"learning_rate\[0\]: PiecewiseConstantLR has no ..initial_learning_rate..: not read",
}
WHERE = [f"{i} {entry['release']}" for i, entry in enumerate(LISTS)]
READ = pytest.mark.parametrize(
    "position", [i for i in range(len(LISTS)) if i not in REFUSED], ids=lambda i: WHERE[i]
)


def tags_of(value):
    """Return the tags that a list names, in order."""
    entries = value if isinstance(value, list) else []
    named = [model_zoo.named(entry)[1] for entry in entries]
    return [arguments["param_group_tags"] for arguments in named if "param_group_tags" in arguments]


def read(position):
    value = LISTS[position]["value"]
    groups = [{"tags": [tag]} for tag in tags_of(value)]
    with warnings.catch_warnings():
        if position in UNREAD:
            warnings.filterwarnings("ignore", UNREAD[position])
        return modelzoo.schedulers(value, optimizer(*groups, weight_decay=0.5))


def test_the_lists_are_all_there_are():
    assert len(LISTS) == 210
    assert len({json.dumps(entry["value"]) for entry in LISTS}) == 210


@READ
def test_a_curve_is_that_of_the_documented_formulas(position):
    scheduled = read(position)
    curves = model_zoo.schedules_of(LISTS[position]["value"])
    for scheduler, phases in zip(scheduled, curves, strict=True):
        steps = model_zoo.steps_of(phases)
        assert len(steps) == 10
        (index,) = scheduler.indices
        # The plain formulas round a few times, relative to the highest lr.
        allowed = 6 * 2.0**-52 * model_zoo.peak_of(phases)
        for step in steps:
            scheduler.last_epoch = step
            want = model_zoo.value_at(phases, step)
            assert abs(scheduler.get_last_value()[index] - want) <= allowed, step


@READ
def test_milestones_and_tags(position):
    scheduled = read(position)
    value = LISTS[position]["value"]
    for scheduler, phases in zip(scheduled, model_zoo.schedules_of(value), strict=True):
        inner = scheduler.schedulers[0] if isinstance(scheduler, ScalePerParamLR) else scheduler
        assert getattr(inner, "milestones", []) == (
            phases[0][1]["boundaries"]
            if phases[0][0] == "piecewiseconstant"
            else model_zoo.milestones_of(phases)
        )
    tags = tags_of(value) or [None]
    assert [s.param_group_tags for s in scheduled] == [tag and {tag} for tag in tags]
    for scheduler in scheduled:
        assert scheduler.indices == [tags.index(next(iter(scheduler.param_group_tags or {None})))]
        for part in getattr(scheduler, "schedulers", []):
            assert part.param_group_tags == scheduler.param_group_tags


@pytest.mark.parametrize(("position", "reason"), REFUSED.items())
def test_what_the_model_zoo_refuses(position, reason):
    with pytest.raises(ArgumentError, match=reason):
        read(position)


@pytest.mark.parametrize(("position", "what"), UNREAD.items())
def test_what_is_not_read_is_told(position, what):
    with pytest.warns(UserWarning, match=what):
        modelzoo.schedulers(LISTS[position]["value"], optimizer())


def test_the_comparison_can_fail():
    phases = [("linear", {"initial_learning_rate": 0.0, "end_learning_rate": 1.0, "steps": 10})]
    value = model_zoo.value_at(phases, 3)
    assert abs(value - value * (1 + 2**-49)) > 6 * 2.0**-52 * value


# Whole files, and parts of them.

NEW = """
trainer:
  init:
    backend: {backend_type: CSX}
    model: {name: gpt2, hidden_size: 768}
    optimizer:
      AdamW: {betas: [0.9, 0.95], weight_decay: 0.1}
    schedulers:
    - SequentialLR:
        schedulers:
        - LinearLR: {initial_learning_rate: 0.0, end_learning_rate: 6.0e-4, total_iters: 40}
        - CosineDecayLR: {initial_learning_rate: 6e-4, end_learning_rate: 6e-5, total_iters: 160}
    precision: {loss_scaling_factor: dynamic}
    loop: {max_steps: 200}
  fit:
    train_dataloader: {batch_size: 120}
"""
OLD = """
train_input: {data_processor: GptHDF5DataProcessor, batch_size: 120}
model: {hidden_size: 768}
optimizer:
  optimizer_type: AdamW
  weight_decay: 0.1
  learning_rate:
  - scheduler: Linear
    initial_learning_rate: 0.0
    end_learning_rate: 6.0e-4
    total_iters: 40
  - scheduler: cosinedecaylr
    initial_learning_rate: 6e-4
    end_learning_rate: 6e-5
    total_iters: 160
  loss_scaling_factor: dynamic
runconfig: {max_steps: 200}
"""
OLDEST = OLD.replace("total_iters: 40", "steps: 40").replace("total_iters", "decay_steps")
TAGGED = """
optimizer:
  learning_rate: {scheduler: Cyclic, base_lr: 0.1, max_lr: 0.4, param_group_tags: [a]}
  adjust_learning_rate: {embedding: 0.5}
"""
FILES = {"new": NEW, "old": OLD, "oldest": OLDEST}
SAME = pytest.mark.parametrize("style", FILES)
WANT = (
    LinearLR(None, 0.0, 6e-4, 40)
    .schedule.then(lr_scheduler.CosineDecayLR(None, 6e-4, 6e-5, 160).schedule, at=40)
)  # fmt: skip


def parts_of(content):
    """Return the parts of a file that contain schedulers."""
    if "trainer" in content:
        init = content["trainer"]["init"]
        entries = init["schedulers"]
        return [content, content["trainer"], init, {"schedulers": entries}, entries, entries[0]]
    options = content["optimizer"]
    rate = options["learning_rate"]
    return [content, {"optimizer": options}, options, {"learning_rate": rate}, rate]


@SAME
def test_a_whole_file_or_a_part_of_it(style):
    for part in parts_of(yaml.safe_load(FILES[style])):
        opt = optimizer()
        made = modelzoo.schedulers(part, opt)
        assert isinstance(made, SchedulerList)
        (scheduler,) = made
        assert type(scheduler) is SequentialLR
        assert (scheduler.schedule, scheduler.milestones) == (WANT, [40])
        assert (made.param_group_key, made.param_group_tags) == ("lr", None)
        made.step()
        assert opt.param_groups[0]["lr"] == pytest.approx(6e-4 / 40)
        unbound = modelzoo.schedulers(part, None)
        assert unbound(optimizer())[0].schedule == WANT


@SAME
def test_from_spec_reads_it_too(style):
    for part in parts_of(yaml.safe_load(FILES[style]))[:5]:
        assert from_spec(part).schedule == WANT
        assert from_spec(part, optimizer()).schedule == WANT


def test_labels_of_other_files_are_no_configuration(tmp_path, capsys):
    line = {"Linear": {"initial": 0, "end": 1, "total_iters": 4}}
    labels = {"learning_rate": line, "trainer": line, "optimizer": line, "schedulers": line}
    text = {"learning_rate": "Linear(0, 1, 4)"}
    for content in (labels, text):
        source = tmp_path / "labels.yaml"
        source.write_text(yaml.safe_dump(content))
        assert main(["curve", str(source)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert {line.split(": ")[1] for line in lines[: len(content)]} == set(content)


@SAME
def test_the_command_draws_its_curve(style, tmp_path, capsys):
    source, output = tmp_path / "params.yaml", tmp_path / "curve.csv"
    source.write_text(FILES[style])
    assert main(["curve", str(source), "--output", str(output)]) == 0
    header, *rows = csv.reader(output.read_text().splitlines())
    assert header == ["step", "SequentialLR"]
    for step in (0, 1, 39, 40, 41, 120, 200):
        assert float(rows[step][1]) == pytest.approx(WANT(step), rel=1e-14)
    assert main(["curve", str(source), "--output", str(tmp_path / "curve.svg")]) == 0
    assert main(["curve", str(source)]) == 0
    assert capsys.readouterr().out.startswith("1: SequentialLR\n")


def test_the_command_draws_each_scheduler_of_a_file(tmp_path):
    source, output = tmp_path / "params.yaml", tmp_path / "curve.csv"
    source.write_text(yaml.safe_dump({"trainer": {"init": {"schedulers": LISTS[60]["value"]}}}))
    assert main(["curve", str(source), "--steps", "3", "--output", str(output)]) == 0
    header = output.read_text().splitlines()[0].split(",")
    assert len(header) == 1 + 29 and header[1] == "CosineDecayWD 1"


# The rules, one by one.


def new(name="LinearLR", **arguments):
    """A scheduler in the new style."""
    defaults = {"initial_learning_rate": 0.0, "end_learning_rate": 0.1, "total_iters": 10}
    return {name: {**(defaults if "linear" in name.lower() else {}), **arguments}}


def old(name="Linear", **arguments):
    """A phase in the old style."""
    ((_, defaults),) = new().items()
    return {"scheduler": name, **defaults, **arguments}


def sequence(*parts, name="SequentialLR", **arguments):
    return {name: {"schedulers": [*parts], **arguments}}


def only(config, *groups, **options):
    (scheduler,) = modelzoo.schedulers(config, optimizer(*groups, **options))
    return scheduler


def test_milestones_that_are_given_are_the_sums():
    parts = [new(total_iters=steps) for steps in (10, "2e1", 30.0, 5)]
    for given in ({}, {"milestones": [10, 30, 60]}):
        assert only([sequence(*parts, **given)]).milestones == [10, 30, 60]
    with pytest.raises(ArgumentError, match=r"milestones=\[10, 30\]: leave it out.*\[10, 30, 60\]"):
        only([sequence(*parts, milestones=[10, 30])])


def test_sequences_within_each_other():
    inner = sequence(new(), new())
    assert only([sequence(new(), inner)]).schedulers[1].milestones == [10]
    with pytest.raises(ArgumentError, match=r"schedulers\[0\]=.'Sequential.*give it total_iters"):
        only([sequence(inner, new())])


@pytest.mark.parametrize("name", ["SequentialLR", "ChainedLR", "ChainedScheduler"])
def test_tags_go_to_all_that_is_nested(name):
    groups = [{"tags": ["a"]}, {"tags": "b"}, {}]
    scheduler = only([sequence(sequence(new(), new()), name=name, param_group_tags="a")], *groups)
    assert scheduler.indices == [0]
    for part in (scheduler, *scheduler.schedulers, *scheduler.schedulers[0].schedulers):
        assert part.param_group_tags == {"a"}
    for tags in ("a", "b"):
        nested = sequence(new(param_group_tags=tags), name=name, param_group_tags="a")
        with pytest.raises(ArgumentError, match="gives its parts its own tags: remove these"):
            only([nested], *groups)
    with pytest.raises(ArgumentError, match="give param_group_tags to the outer"):
        only([sequence(new(param_group_tags="a"), name=name)], *groups)


@pytest.mark.parametrize("name", ["linearlr", "LINEARLR", "LinearLR"])
def test_names_in_any_case(name):
    assert type(only([new(name)])) is LinearLR
    assert type(only([sequence(new(name), name="sequentiallr")])) is SequentialLR


def test_learning_rates_are_scaled_if_a_group_says_so():
    groups = [{"adjust_learning_rate": 0.5, "tags": "a"}, {"tags": "b"}]
    decay = {"CosineDecayWD": {"initial_val": 0.1, "end_val": 0.0, "total_iters": 9}}
    listed = [new("ConstantLR", learning_rate=0.4), decay]
    rates, weights = modelzoo.schedulers(listed, optimizer(*groups, weight_decay=0.1))
    assert type(rates) is ScalePerParamLR and rates.get_last_lr() == [0.2, 0.4]
    assert type(weights) is CosineDecayWD
    own = {"ScalePerParamLR": {"scheduler": new("ConstantLR", learning_rate=0.4)}}
    assert only([own], *groups).get_last_lr() == [0.2, 0.4]
    tagged = new("ConstantLR", learning_rate=0.4, param_group_tags="a")
    assert only([tagged], *groups).get_last_lr() == [0.2, 0.001]
    assert type(only(listed[:1])) is lr_scheduler.ConstantLR


def test_an_old_file_says_that_learning_rates_are_scaled():
    options = {"learning_rate": [old()], "adjust_learning_rate": {"decoder_kernel": 0.5}}
    for config in (options, {"optimizer": options}):
        for group in ({"adjust_learning_rate": 0.5}, {}):
            scheduler = only(config, group)
            assert type(scheduler) is ScalePerParamLR and type(scheduler.schedulers[0]) is LinearLR
        (unbound,) = modelzoo.schedulers(config, None)
        unbound(optimizer({"adjust_learning_rate": 0.5})).last_epoch = 10
        assert unbound.get_last_lr() == [0.05]


@pytest.mark.parametrize("rate", [0.25, "2.5e-1", "25e-2"])
def test_a_number(rate):
    for config in (rate, {"learning_rate": rate}, {"optimizer": {"learning_rate": rate}}):
        assert only(config).get_last_lr() == [0.25]


@pytest.mark.parametrize("main", ["chained", "Chained", "ChainedLR"])
def test_a_chain_in_the_old_style(main):
    halves = {"scheduler": "Step", "initial_learning_rate": 1.0, "step_size": 4, "gamma": 0.5}
    scheduler = only([old(), {**halves, "main_scheduler": main}])
    assert isinstance(scheduler, lr_scheduler.ChainedScheduler)
    scheduler.last_epoch = 5
    assert scheduler.get_last_lr() == [0.025]


def test_one_phase():
    for name in ("Linear", "linear", "LinearLR", "LINEARLR"):
        for config in (old(name), [old(name)], {"learning_rate": [old(name)]}):
            assert type(only(config)) is LinearLR


#: Phases of releases up to 1.9, each with the equivalent scheduler.
OLDER = [
    ({"scheduler": "Polynomial", "base_lr": 0.4, "end_learning_rate": 0.1, "steps": 9, "power": 2},
     lambda o: lr_scheduler.PolynomialLR(o, 0.4, 0.1, 9, 2)),
    ({"scheduler": "Constant", "initial_learning_rate": 0.4, "steps": 9},
     lambda o: lr_scheduler.ConstantLR(o, 0.4)),
    ({"scheduler": "Step", "learning_rate": 0.4, "decay_rate": 0.5, "step_size": 3},
     lambda o: lr_scheduler.StepLR(o, 0.4, 3, 0.5)),
    ({"scheduler": "MultiStep", "learning_rate": 0.4, "gamma": 0.5, "milestones": [3, 7]},
     lambda o: lr_scheduler.MultiStepLR(o, 0.4, 0.5, [3, 7])),
    ({"scheduler": "Exponential", "learning_rate": 0.4, "gamma": 0.5},
     lambda o: lr_scheduler.ExponentialLR(o, 0.4, 1, 0.5)),
    ({"scheduler": "PiecewiseConstant", "values": [0.4, 0.2], "boundaries": [5]},
     lambda o: lr_scheduler.PiecewiseConstantLR(o, [0.4, 0.2], [5])),
    ({"scheduler": "CosineAnnealing", "learning_rate": 0.4, "t_max": 9},
     lambda o: lr_scheduler.CosineAnnealingLR(o, 0.4, 9)),
    ({"scheduler": "CosineAnnealingWarmRestarts", "learning_rate": 0.4, "t_0": 4, "t_mult": 2},
     lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0.4, 4, 2)),
    ({"scheduler": "Cyclic", "initial_learning_rate": 0.1, "max_lr": 0.4, "step_size_up": 5},
     lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.4, 5)),
    ({"scheduler": "Cosine", "initial_learning_rate": 0.4, "alpha": 0.25, "decay_steps": 9},
     lambda o: lr_scheduler.CosineDecayLR(o, 0.4, 0.1, 9)),
    ({"scheduler": "Cosine", "initial_learning_rate": 0.4, "steps": 9, "decay_steps": 9},
     lambda o: lr_scheduler.CosineDecayLR(o, 0.4, 0.0, 9)),
]  # fmt: skip


@pytest.mark.parametrize(("phase", "make"), OLDER, ids=[phase["scheduler"] for phase, _ in OLDER])
def test_the_names_of_releases_up_to_1_9(phase, make):
    want = make(optimizer())
    made = only(phase)
    assert type(made) is type(want) and made.schedule == want.schedule


def test_a_length_with_two_names():
    both = {"scheduler": "CosineDecay", "initial_learning_rate": 0.1, "end_learning_rate": 0.0}
    both |= {"steps": 5, "decay_steps": 50}
    with pytest.warns(UserWarning, match="steps=5 is not read: decay_steps=50"):
        assert only(both).total_iters == 50
    line = {"scheduler": "Linear", "initial_learning_rate": 0.1, "end_learning_rate": 0.0}
    with pytest.warns(UserWarning, match="decay_steps=50 is not read: steps=5"):
        assert only(line | {"steps": 5, "decay_steps": 50}).total_iters == 5


def test_phases_that_count_from_the_first_step():
    """The lr of BERT rises to its peak, then joins a line that has been falling since step 0."""
    rise = {"scheduler": "Linear", "initial_learning_rate": 0.0, "end_learning_rate": 0.1}
    fall = {"scheduler": "Linear", "initial_learning_rate": 0.1, "end_learning_rate": 0.0}
    root = {"scheduler": "InverseSquareRootDecay", "scale": 2.0, "warmup_steps": 9}
    options = {"learning_rate": [rise | {"steps": 10}, fall | {"steps": 40}, root]}
    reset = only(options)
    apart = only({"optimizer": {**options, "disable_lr_steps_reset": True}})
    for step in range(0, 60, 3):
        apart.last_epoch = reset.last_epoch = step
        want = step / 100 if step < 10 else 0.1 * max(0, 40 - step) / 40
        (rate,) = apart.get_last_lr()
        assert rate == pytest.approx(want if step < 50 else 2 / step**0.5, rel=1e-14, abs=1e-17)
        assert (reset.get_last_lr()[0] == pytest.approx(rate)) == (step < 10)


#: Configurations that are refused, with the error.
BAD = [
    (None, "give a loaded file of the Model Zoo"),
    (True, "give a loaded file of the Model Zoo"),
    ({}, "give a dict with one name"),
    ([], "schedulers=.*give at least one"),
    ({"trainer": {"init": {"optimizer": {"SGD": {}}}}}, "it has no schedulers: add them"),
    ({"optimizer": {"optimizer_type": "SGD"}}, "it has no schedulers"),
    ({"optimizer": {"learning_rate": None}}, "give a number, or phases"),
    ({"learning_rate": []}, "give a number, or phases"),
    ({"learning_rate": [{"end_learning_rate": 1}]}, "under 'scheduler'"),
    ({"trainer": [{"trainer": {}}, {"trainer": {}}]}, "it has 2 trainers"),
    ([old("Lineal")], r"learning_rate\[0\]='Lineal': the Model Zoo has no such scheduler"),
    ([old(), old("Step", step_size=1)], "StepLR='end_learning_rate'"),
    ([old("Constant"), old()], r"\['total_iters'\]: do not mix with .*\(initial_learning_rate"),
    ([{"scheduler": "Constant", "learning_rate": 1.0}, old()], "ConstantLR.*give it total_iters"),
    ([old(steps=3)], "total_iters=10: it is the same argument as steps=3"),
    ([old(), {"scheduler": "Constant", "learning_rate": 1.0, "steps": 1}], "up to 1.9"),
    ([{"scheduler": "Step", "gamma": 0.5, "decay_rate": 0.4}], "the same argument as decay_rate"),
    ([{"scheduler": "Cosine", "alpha": 0.1}], "give Cosine initial_learning_rate"),
    ([old(main_scheduler="chained"), old(main_scheduler="sequential")], "the same one in all"),
    ([new("LineerLR")], "nearest is 'LinearLR'"),
    ([new(steps=3)], "LinearLR='steps'"),
    ([sequence(new(total_iters=None), new())], "LinearLR.*give it total_iters"),
    ([sequence(new(total_iters=2.5), new())], "LinearLR.*give it total_iters, a whole number"),
    ([new(), new()], "two schedulers of 'lr'"),
    ([new(param_group_tags="a"), new()], "two schedulers of 'lr'"),
    ([new(param_group_tags=["a", "b"]), new(param_group_tags="b")], "two schedulers of 'lr'"),
    ([new(param_group_tags="a"), new(param_group_tags="c")], "drive 'lr' of a param group: remove"),
    ([new(param_group_tags="x")], "no param group has such a tag"),
    ([{"Linear": {"initial": 0, "end": 1, "total_iters": 3}}], "give a scheduler of accelsched"),
]


@pytest.mark.parametrize(("config", "message"), BAD, ids=[str(config)[:40] for config, _ in BAD])
def test_what_is_refused(config, message):
    opt = optimizer({"tags": ["a", "c"]}, {"tags": ["b"]})
    with pytest.raises(ArgumentError, match=message):
        modelzoo.schedulers(config, opt)
    assert [group["lr"] for group in opt.param_groups] == [0.001] * 2
    modelzoo.schedulers(0.5, opt).step()  # no scheduler drives it yet


@pytest.mark.filterwarnings("ignore:.*not read", "ignore:.*a learning rate of")
@pytest.mark.parametrize("seed", range(3))
def test_a_broken_configuration_is_read_or_refused(seed):
    valid = [yaml.safe_load(text) for text in FILES.values()] + [phase for phase, _ in OLDER]
    valid += [[sequence(new(), new()), new("ConstantWD", val=0.1)], yaml.safe_load(TAGGED)]
    opt, taken = optimizer({"tags": "a"}, {}, weight_decay=0.1), 0
    for config in broken_specs(400, seed, valid):
        try:
            modelzoo.schedulers(config, opt).step()
            taken += 1
        except ArgumentError as error:
            assert 20 < len(str(error)) < 700
    assert 40 < taken < 360


def test_a_configuration_is_left_as_it_is():
    for entry in (*FILES.values(), yaml.safe_dump(LISTS[60]["value"])):
        config = yaml.safe_load(entry)
        modelzoo.schedulers(config, None)
        assert config == yaml.safe_load(entry)
