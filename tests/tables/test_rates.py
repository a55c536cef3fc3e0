"""Tables of the protocols that report more than AUROC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oddlens.evaluation.records import Record, RecordFile, file_name
from oddlens.tables.localization import localization
from oddlens.tables.names import render
from oddlens.tables.rates import out_of_distribution, presentation_attack
from oddlens.tables.seed_noise import seed_noise_table
from tests.evaluation.made_records import made


def keep(folder: Path, *records: Record) -> Path:
    for record in records:
        RecordFile(folder / file_name(record.protocol, record.data)).append(record)
    return folder


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def odd(name: str, seed: int = 0, **more: float) -> Record:
    setting = {"odd": name, "odd_sha256": "1f"}
    rates = {"fpr_at_95_tpr": 0.3, "false_alarms_at_95_found": 0.4, **more}
    return made(
        "all classes",
        seed,
        protocol="out-of-distribution",
        data="digits",
        method="multitask",
        setting=setting,
        more_metrics=rates,
    )


def test_out_of_distribution_is_a_row_for_each_odd_set(tmp_path: Path) -> None:
    keep(tmp_path, odd("textures"), odd("mnist"), odd("textures", 1, fpr_at_95_tpr=0.5))
    _, first, second = rows(out_of_distribution(tmp_path))
    # By hand: the deviation of 30 and 50 is 10 * sqrt(2).
    assert first[5:] == ["40.0 ± 14.1", "40.0 ± 0.0", "1.5", "0, 1"]
    assert second[4:6] == ["90.0 (80.0–95.0)", "30.0"]
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert first[2] == "**oddlens MultiTask**"


def test_rates_of_odd_images_are_shown_with_the_intervals_that_the_record_has(
    tmp_path: Path,
) -> None:
    keep(
        tmp_path,
        odd("textures", fpr_at_95_tpr_low=0.25, fpr_at_95_tpr_high=0.37),
        odd("mnist"),
    )
    _, first, second = rows(out_of_distribution(tmp_path))
    assert first[5:7] == ["30.0 (25.0–37.0)", "40.0"]
    assert second[5:7] == ["30.0", "40.0"]


def test_pairs_that_are_needed_and_methods_without_a_record_say_so(tmp_path: Path) -> None:
    keep(tmp_path, odd("textures"))
    pairs = [("cifar10", "cifar100"), ("digits", "mnist")]
    table = out_of_distribution(tmp_path, needed=pairs)
    _, absent, csi, ssd, ours, other = rows(table)
    assert absent == ["CIFAR-10", "CIFAR-100 by superclass", *["not run"] * 7]
    assert csi[2:6] == ["CSI, as published", "–", "89.3", "–"]
    assert ssd[4] == "90.6"
    assert ours[2] == "**oddlens MultiTask**"
    assert other[1:3] == ["MNIST", "not run"]
    pair = "digits of scikit-learn against tiles of scikit-image's photographs"
    assert f"Not run on {pair}: SSM, GeometricTransforms, MultiCue, AnoMem.\n" in table
    assert "results/" not in table
    assert f"no record in `{tmp_path.name}/out_of_distribution_cifar10.jsonl`" in table


def attack(seed: int, eer: float) -> Record:
    names = ("apcer_at_bpcer", "apcer_at_bpcer_pooled", "apcer", "bpcer", "acer")
    rates: dict[str, Any] = dict.fromkeys(names, 0.2)
    rates |= {"eer": eer, "eer_low": 0.05, "eer_high": 0.25}
    rates |= {"apcer_at_bpcer of print": 0.1, "apcer_at_bpcer of mask": 0.2}
    rates |= {"apcer_at_bpcer of mask_low": 0.15, "apcer_at_bpcer of mask_high": 0.3}
    return made(
        "bonafide",
        seed,
        protocol="presentation-attack",
        data="wmca",
        method="multicue",
        more_metrics=rates,
        by_kind={"print": 0.95, "mask": 0.85},
    )


def test_attacks_have_a_second_table_of_their_kinds(tmp_path: Path) -> None:
    keep(tmp_path, attack(0, 0.1))
    _, row, theirs, others, head, *kinds = rows(presentation_attack(tmp_path))
    assert [theirs[1], others[1]] == ["MultiCue, as published", "PuzzleGeom, as published"]
    assert row[3:5] == ["90.0 (80.0–95.0)", "10.0 (5.0–25.0)"]
    assert head[1:] == [
        "MultiCue, 1 pass: AUROC",
        "MultiCue, 1 pass: APCER at 5 % BPCER",
    ]
    assert sorted(kinds) == [["mask", "85.0", "20.0 (15.0–30.0)"], ["print", "95.0", "10.0"]]


def test_published_rates_of_attacks_stand_under_all_kinds_as_one(tmp_path: Path) -> None:
    _, absent, multitask, mhrot = rows(presentation_attack(tmp_path, needed=["siw-m"]))
    assert absent == ["SiW-M", *["not run"] * 11]
    assert multitask == ["SiW-M", "MultiTask, as published", *"––––", "39.1", *"–––––"]
    assert mhrot[6] == "77.5"


def category(name: str, seed: int, **metrics: float) -> Record:
    return made(
        name,
        seed,
        protocol="localization",
        data="mvtec",
        data_sha256=f"{name}-hash",
        method="ssm",
        more_metrics=metrics,
    )


def test_categories_and_the_mean_of_those_that_have_the_figure(tmp_path: Path) -> None:
    keep(
        tmp_path,
        category("bottle", 0, pixel_auroc=0.9, pixel_auroc_low=0.8, pixel_auroc_high=1.0),
        category("screw", 0, pixel_auroc=0.6),
        category("screw", 1, pixel_auroc=0.8),
        category("cable", 0),
    )
    by_name = {row[1]: row[4:8] for row in rows(localization(tmp_path))}
    assert by_name["bottle"] == ["90.0 (80.0–95.0)", "90.0 (80.0–100.0)", "–", "–"]
    assert by_name["screw"][1] == "70.0 ± 14.1"
    assert by_name["cable"][1] == "–"
    assert by_name["**mean of 3**"] == ["90.0", "80.0", "–", "–"]


def test_published_means_are_marked_as_such(tmp_path: Path) -> None:
    table = localization(tmp_path, needed=["mvtec"])
    _, absent, *others = rows(table)
    assert absent == ["MVTec AD", *["not run"] * 9]
    assert {row[1] for row in others} == {"mean of all 15 categories"}
    by_name = {row[2].removesuffix(", as published"): row[4:8] for row in others}
    assert by_name["RIAD"] == ["91.7", "94.2", "–", "48.2"]
    assert by_name["SSM"] == ["93.9, image or pixel", "93.9, image or pixel", "–", "–"]
    assert "DRAEM and Uninformed Students, on ImageNet weights and PaDiM" in table
    assert "(Roth et al. 2022 (PatchCore), WideResNet-50)" in table


def test_seed_noise_tells_of_what_has_seeds_and_of_nothing_else(tmp_path: Path) -> None:
    keep(tmp_path, odd("textures"), odd("textures", 1), odd("mnist"))
    (_, row) = rows(seed_noise_table(tmp_path))
    assert row[4:] == ["1", "0, 1", "0.00", "–", "0.00"]


def test_a_quick_look_enters_no_table(tmp_path: Path) -> None:
    record = odd("textures")
    keep(tmp_path, record.model_copy(update={"test_limit": 50}))
    assert rows(out_of_distribution(tmp_path))[1] == ["not run"] * 9


def test_options_that_were_set_by_hand_are_named(tmp_path: Path) -> None:
    record = odd("textures")
    keep(tmp_path, record.model_copy(update={"options": {"preset": "compact", "grid": 2}}))
    assert "`grid=2`" in render("out_of_distribution", tmp_path)
    (line,) = [
        each
        for each in render("out_of_distribution_digits", tmp_path).splitlines()
        if "grid=2" in each
    ]
    assert line in render("out_of_distribution", tmp_path)
