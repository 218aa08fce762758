"""Rows, choices on the command line, and what memory and growth count."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import engine, growth, memory, on_tinyflow
from benchmarks.contestant import CONTESTANTS
from benchmarks.report import Row, as_json, number, over, verdict
from benchmarks.workloads import TINY, WORKLOADS


def test_a_row_misses_its_limit_by_being_beyond_it_or_missing() -> None:
    assert Row("g", "r", 0.6, 0.5).misses
    assert Row("g", "r", None, 0.5).misses
    assert not Row("g", "r", 0.5, 0.5).misses
    assert not Row("g", "r", 9.0).misses
    assert Row("g", "r", 4.0, 5.0, at_least=True).misses
    assert not Row("g", "r", 6.0, 5.0, at_least=True).misses
    assert over([Row("g", "r", 0.6, 0.5), Row("g", "s", 0.4, 0.5)]) == ["g: r: 0.600, limit 0.50"]


def test_a_verdict_shows_limit_and_aim_by_colour() -> None:
    assert verdict(Row("g", "r", 0.6, 0.5)) == "[bold red]0.60 over[/]"
    assert verdict(Row("g", "r", 0.3, 0.5, 0.3)) == "[green]0.30[/]"
    assert verdict(Row("g", "r", 0.4, 0.5, 0.3)) == "0.40"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.123, "0.12"), (1.0, "1.00"), (12.34, "12.3"), (123.4, "123")],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ([], list(WORKLOADS)),
        (["engine"], list(WORKLOADS)),
        (["W2"], ["W2"]),
        (["W5"], ["W5-1e4", "W5-1e6", "W5-1e7"]),
        (["W5-1e6", "memory"], ["W5-1e6"]),
        (["growth"], []),
    ],
)
def test_words_pick_workloads(words: list[str], keys: list[str]) -> None:
    assert command.chosen_workloads(words) == keys


def test_an_unknown_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["W9"])
    assert "W9" in capsys.readouterr().err


def test_json_has_the_rows_and_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [Row("growth", "r", 2.0, 1.3, more={"values": [1, 2]})]
    monkeypatch.setattr(growth, "run", lambda: found)
    assert command.main(["growth", "--json", str(tmp_path / "rows.json")]) == 1
    content = json.loads((tmp_path / "rows.json").read_text())
    assert content["rows"] == as_json(found)["rows"]
    assert content["rows"][0]["misses"] and content["machine"]["torch"] == torch.__version__
    assert "misses its limit: growth: r" in capsys.readouterr().out


def test_peak_counts_what_is_held_at_a_time() -> None:
    def step() -> None:
        kept = torch.empty(1 << 16)
        for _ in range(3):
            (kept + 1).sum()

    assert memory.peak_bytes(step) == pytest.approx(2 * 4 * (1 << 16), rel=0.01)


def test_exponents_are_powers_of_the_size() -> None:
    assert growth.exponent(1.0, 100.0, 10) == pytest.approx(2.0)
    assert growth.exponent(1.0, 10.0, 10) == pytest.approx(1.0)
    assert growth.exponent(0.0, 1.0, 10) == 0.0


@pytest.mark.parametrize("network", growth.NETWORKS)
def test_growth_times_every_step_of_both_networks(network: str) -> None:
    found = growth.measure(network, 10, "fusion")
    assert {"build", "gradient", "pass infer", "pass fuse", "planned bytes"} <= found.keys()
    assert found["planned bytes"] > 0


def test_a_quadratic_step_is_marked() -> None:
    found = [{"pass slow": 0.01}, {"pass slow": 1.0}]
    (row,) = growth.rows_of("chain", found, (10, 100))
    assert row.misses
    found = [{"pass quick": 0.01}, {"pass quick": 0.12}]
    (row,) = growth.rows_of("chain", found, (10, 100))
    assert not row.misses


def test_a_contestant_answers_from_its_own_process() -> None:
    with engine.racer("torch eager", "W1", build_limit_s=60.0) as racer:
        assert not racer.error
        expected = on_losses("W1")
        np.testing.assert_allclose(racer.losses, expected, rtol=1e-5)
        assert len(racer.ask("run 2")["seconds"]) == 2


def on_losses(key: str) -> list[float]:
    from benchmarks import on_torch

    work = WORKLOADS[key]
    step = on_torch.build(work, work.parameters(), work.batch())
    return [step() for _ in range(3)]


def test_a_contestant_that_takes_too_long_is_out() -> None:
    with engine.racer("torch eager", "W1", build_limit_s=0.01) as racer:
        assert "took more than" in racer.error
    assert racer.process.poll() is not None


def test_wrong_losses_are_named() -> None:
    with engine.racer("torch eager", "W1", build_limit_s=0.01) as idle:
        right = engine.Racer("a", idle.process, (1.0, 0.9))
        wrong = engine.Racer("b", idle.process, (1.0, 0.8))
    assert engine.wrong_losses(right, right, TINY["W1"]) == ""
    assert "wrong losses" in engine.wrong_losses(wrong, right, TINY["W1"])


def test_all_contestants_of_installed_frameworks_can_be_found() -> None:
    assert CONTESTANTS["tinyflow"].installed and CONTESTANTS["torch eager"].installed


def test_a_training_says_what_it_planned() -> None:
    work = TINY["W2"]
    ours = on_tinyflow.training(work, work.parameters(), work.batch(), "cpu recompute")
    ours.step()
    assert ours.session.memory_plan().arena_bytes > 0
