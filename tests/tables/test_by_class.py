"""Tables of protocols in which each class in turn is normal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oddlens.detectors import get_method
from oddlens.evaluation.records import Record, RecordFile
from oddlens.tables.by_class import by_class, by_class_summary, every_set, headlines, variants
from tests.evaluation.made_records import made


def digits(target: str, auroc: float, method: str = "multitask", **more: Any) -> Record:
    return made(target, auroc=auroc, data="digits", method=method, **more)


def kept(folder: Path, *records: Record, data: str = "digits") -> Path:
    file = RecordFile(folder / f"one_vs_all_{data.replace('-', '_')}.jsonl")
    for record in records:
        file.append(record)
    return folder


def rows(table: str) -> dict[str, list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


def test_without_records_it_was_not_run(tmp_path: Path) -> None:
    assert "not run" in by_class("one-vs-all", "digits", tmp_path)
    assert "Not run yet" in variants("digits", tmp_path)


def test_methods_stand_side_by_side_and_are_compared_on_what_they_share(tmp_path: Path) -> None:
    folder = kept(
        tmp_path,
        *(digits("0", 0.9), digits("1", 0.7), digits("0", 0.8, "multicue")),
    )
    found = rows(by_class("one-vs-all", "digits", folder))
    assert found["class"] == ["MultiTask, 1 pass", "MultiCue, 1 pass"]
    assert found["0"] == ["90.0 (80.0–95.0)", "80.0 (70.0–85.0)"]
    assert found["1"] == ["70.0 (60.0–75.0)", "not run"]
    assert found["**mean of 0**"] == ["90.0", "80.0"]
    assert found["**mean of these 2**"] == ["80.0", "–"]


def test_methods_that_were_not_run_are_named(tmp_path: Path) -> None:
    folder = kept(tmp_path, digits("0", 0.9), digits("0", 0.8, "multicue", test_limit=50))
    table = by_class("one-vs-all", "digits", folder)
    assert "\n\nNot run: SSM, GeometricTransforms, MultiCue, AnoMem.\n\n" in table
    summary = by_class_summary("one-vs-all", ["digits"], folder)
    absent = "**oddlens SSM, GeometricTransforms, MultiCue, AnoMem**"
    assert f"| {absent} |{5 * ' not run |'}\n" in summary
    for method in ("ssm", "geometric", "multicue", "anomem"):
        kept(folder, digits("0", 0.8, method))
    assert "ot run" not in by_class("one-vs-all", "digits", folder)
    assert "ot run" not in by_class_summary("one-vs-all", ["digits"], folder)


def test_what_others_published_stands_there_without_records_too(tmp_path: Path) -> None:
    assert "| GeoTrans | 78.7 | all classes |" in by_class("one-vs-all", "cifar100", tmp_path)
    summary = by_class_summary("one-vs-all", ["retinal-oct"], tmp_path)
    assert "| OCT2017 | SSM, as published | – | NORMAL | 98.3 | – | – |" in summary
    assert "not measured by us: SSM (Huang et al. 2022 (SSM))." in summary


def test_what_was_set_by_hand_is_no_headline_and_stands_beside_the_default(tmp_path: Path) -> None:
    given = {"preset": "compact", "flips": "none", "tasks": ["jigsaw"]}
    folder = kept(tmp_path, digits("0", 0.9), digits("0", 0.6, options=given))
    assert rows(by_class("one-vs-all", "digits", folder))["0"] == ["90.0 (80.0–95.0)"]
    table = variants("digits", folder)
    lines = [line for line in table.splitlines() if "MultiTask" in line]
    assert "as it comes" in lines[0]
    assert "90.0" in lines[0]
    assert '`tasks=["jigsaw"]`' in lines[1]
    assert "60.0" in lines[1]


def test_a_variant_is_compared_on_its_own_classes(tmp_path: Path) -> None:
    given = {"preset": "compact", "flips": "none", "tasks": ["jigsaw"]}
    folder = kept(tmp_path, digits("0", 0.9), digits("1", 0.5), digits("0", 0.6, options=given))
    lines = [line for line in variants("digits", folder).splitlines() if "Multi" in line]
    assert [line.split(" | ")[3:5] for line in lines] == [["0", "90.0"], ["0", "60.0"]]


def test_a_default_of_the_past_is_no_headline(tmp_path: Path) -> None:
    past = {"preset": "compact", "learning_rate": 7.0}
    folder = kept(tmp_path, digits("0", 0.9), digits("1", 0.5, config=past))
    assert list(rows(by_class("one-vs-all", "digits", folder))).count("1") == 0
    assert "`learning_rate=7.0`" in variants("digits", folder)


def test_an_option_that_was_not_there_yet_had_the_methods_default(tmp_path: Path) -> None:
    """Photographs have a rim by a rule; a record from before knows of none."""
    now = {"preset": "compact", "flips": "horizontal", "jitter": 2}
    then = {**now, "image_size": 30}
    now |= {"image_size": 42, "rim": 6}
    records = (
        made("cat", auroc=auroc, data="cifar10", method="multitask", config=options)
        for auroc, options in ((0.9, now), (0.8, then))
    )
    folder = kept(tmp_path, *records, data="cifar10")
    assert rows(by_class("one-vs-all", "cifar10", folder))["cat"] == ["90.0 (80.0–95.0)"]
    assert "| `image_size=30`, `rim=0` |" in variants("cifar10", folder)


def test_a_quick_look_enters_no_table(tmp_path: Path) -> None:
    folder = kept(tmp_path, digits("0", 0.9, test_limit=50))
    assert "not run" in by_class("one-vs-all", "digits", folder)


def test_flips_other_than_the_rule_are_no_headline(tmp_path: Path) -> None:
    mirrored = {"preset": "compact", "flips": "horizontal"}
    folder = kept(tmp_path, digits("0", 0.9), digits("0", 0.8, options=mirrored))
    assert rows(by_class("one-vs-all", "digits", folder))["0"] == ["90.0 (80.0–95.0)"]
    assert "`flips=horizontal`" in variants("digits", folder)


def test_another_encoder_is_a_way_of_its_own_and_what_it_lets_be_no_variant(tmp_path: Path) -> None:
    way = {"encoder": "efficientnet_lite0", "subject": "kind"}
    scratch, frozen, tuned = (
        digits(
            "0",
            auroc,
            "anomem",
            options=options,
            config=get_method("anomem").Options.make(options).model_dump(mode="json"),
        )
        for auroc, options in ((0.7, {}), (0.9, way), (0.95, {**way, "slots": 9}))
    )
    folder = kept(tmp_path, scratch, frozen, tuned)
    found = rows(by_class("one-vs-all", "digits", folder))
    named = "AnoMem, `encoder=efficientnet_lite0`, `subject=kind`"
    assert found["class"] == ["AnoMem, 1 pass", f"{named}, 1 pass"]
    assert found["0"] == ["70.0 (60.0–75.0)", "90.0 (80.0–95.0)"]
    summary = by_class_summary("one-vs-all", ["digits"], folder)
    assert [line.split(" | ")[1] for line in summary.splitlines() if "**oddlens" in line] == [
        "**oddlens AnoMem**",
        f"**oddlens {named}**",
        "**oddlens SSM, MultiTask, GeometricTransforms, MultiCue**",
    ]
    told = [line for line in variants("digits", folder).splitlines() if "AnoMem" in line]
    assert [line.split(" | ")[4] for line in told] == ["90.0", "95.0"]
    assert "slots=9" in told[1]
    # One that is trained is a variant.
    trained = {"encoder": "resnet18"}
    config = get_method("anomem").Options.make(trained).model_dump(mode="json")
    kept(folder, digits("0", 0.8, "anomem", options=trained, config=config))
    assert "resnet18" not in by_class("one-vs-all", "digits", folder)
    assert "`encoder=resnet18`" in variants("digits", folder)


def test_a_kind_in_a_mirror_is_a_variant_of_records_without_the_option(tmp_path: Path) -> None:
    given = {"encoder": "efficientnet_lite0", "subject": "kind", "flips": "horizontal"}
    file = RecordFile(tmp_path / "one_vs_all_fashion_mnist.jsonl")
    for auroc, options in ((0.8, given), (0.9, {**given, "mirrored": True})):
        config = get_method("anomem").Options.make(options).model_dump(mode="json")
        if not options.get("mirrored"):
            del config["mirrored"]  # as it was recorded before there was the option
        about: dict[str, Any] = {"method": "anomem", "options": options, "config": config}
        file.append(made("bag", auroc=auroc, data="fashion-mnist", **about))
    (shown,) = headlines("one-vs-all", "fashion-mnist", tmp_path)
    assert shown.classes["bag"].mean == 0.8
    told = [line for line in variants("fashion-mnist", tmp_path).splitlines() if "AnoMem" in line]
    assert [line.split(" | ")[4] for line in told] == ["80.0", "90.0"]
    assert "`encoder=efficientnet_lite0`, `mirrored=true`, `subject=kind`" in told[1]


def test_records_on_an_encoder_that_is_not_registered_here_are_shown(tmp_path: Path) -> None:
    own = {"encoder": "somebody's", "slots": 9}
    config = {**get_method("anomem").options(), **own}
    folder = kept(tmp_path, digits("0", 0.8, "anomem", options=own, config=config))
    assert "encoder=somebody's" in variants("digits", folder)


def test_the_error_is_given_relative_to_multitask(tmp_path: Path) -> None:
    folder = kept(tmp_path, digits("0", 0.8), digits("1", 0.5), digits("0", 0.9, "multicue"))
    found = rows(by_class("one-vs-all", "digits", folder))
    assert found["error, relative to MultiTask"] == ["–", "0.50"]


def test_the_error_is_given_at_the_same_budget_in_the_same_precision(tmp_path: Path) -> None:
    short: dict[str, Any] = {"minutes": 5.0, "epochs": None}
    slow: dict[str, Any] = {**short, "fit": {"precision": "32"}}
    folder = kept(
        tmp_path,
        *(digits("0", 0.9, **short), digits("0", 0.8, **slow)),
        digits("0", 0.9, "multicue", **slow),
    )
    found = rows(by_class("one-vs-all", "digits", folder))
    assert found["class"][1:] == ["MultiTask, 5 min, float32", "MultiCue, 5 min, float32"]
    assert found["error, relative to MultiTask"] == ["–", "–", "0.50"]
    # Of the same length, the headline is what the faster machine made of it.
    told = by_class_summary("one-vs-all", ["digits"], folder)
    assert "| **oddlens MultiTask** | 5 min |" in told


def test_of_equals_the_latest_is_the_headline(tmp_path: Path) -> None:
    gpu = {"hardware": {"device": "NVIDIA H100"}}
    folder = kept(tmp_path, digits("0", 0.8), digits("0", 0.9, provenance=gpu))
    (shown,) = headlines("one-vs-all", "digits", folder)
    assert shown.configuration.device == "NVIDIA H100"


def test_the_error_is_relative_to_a_run_with_classes_in_common(tmp_path: Path) -> None:
    timed: dict[str, Any] = {"minutes": 5.0, "epochs": None}
    folder = kept(
        tmp_path,
        *(digits("1", 0.9, **timed), digits("0", 0.8)),
        digits("0", 0.9, "multicue", **timed),
    )
    assert rows(by_class("one-vs-all", "digits", folder))["error, relative to MultiTask"][2:] == [
        "0.50"
    ]


def test_the_summary_has_one_row_a_method(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "one_vs_all_fashion_mnist.jsonl")
    for minutes, target, auroc in ((5.0, "bag", 0.9), (5.0, "coat", 0.8), (9.0, "bag", 0.7)):
        options = {"preset": "compact", "flips": "horizontal"}
        more: dict[str, Any] = {"minutes": minutes, "epochs": None, "options": options}
        file.append(made(target, auroc=auroc, data="fashion-mnist", method="multitask", **more))
    lines = [
        line
        for line in by_class_summary("one-vs-all", ["fashion-mnist"], tmp_path).splitlines()
        if "oddlens Multi" in line
    ]
    assert len(lines) == 1
    assert "5 min" in lines[0]
    assert "85.0" in lines[0]


def test_several_data_sets_stand_below_one_another_and_copies_apart(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "style_folder.jsonl")
    about: dict[str, Any] = {"protocol": "style", "data": "folder", "method": "multitask"}
    file.append(made("Serif", auroc=0.9, **about))
    file.append(made("Sans", auroc=0.8, data_sha256="1f", **about))
    table = every_set("style", tmp_path)
    assert "**images 0f**" in table
    assert "**images 1f**" in table
    assert "| Serif | 90.0 (80.0–95.0) |" in table
    other = RecordFile(tmp_path / "style_cub200.jsonl")
    other.append(made("Crow", **{**about, "data": "cub200"}))
    assert every_set("style", tmp_path).count("records in `") == 2
    assert "Serif" not in every_set("style", tmp_path, "cub200")
    table = every_set("style", tmp_path, needed=["folder:fonts"])
    assert "**folder:fonts**\n\n| class | AUROC |\n| --- | --- |\n| all | not run |" in table
