from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

import pytest
import typer

from pebr_data.cli.errors import run_app
from pebr_data.errors import BusyError, ConfigError, DataError


def app_that(action: Callable[[], None]) -> typer.Typer:
    app = typer.Typer(name="demo", add_completion=False)

    @app.callback()
    def root() -> None:
        """A demonstration."""

    @app.command()
    def go(count: int = 1) -> None:
        """Go."""
        action()

    return app


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def test_a_command_that_works_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app_that(lambda: print("data")), ["go"]) == 0
    assert capsys.readouterr() == ("data\n", "")


def test_an_error_tells_what_where_and_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    error = DataError("the image cannot be decoded", where="row 7 of a.json", help="pebr-data build a.yaml")

    assert run_app(app_that(raising(error)), ["go"]) == 65

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: the image cannot be decoded, row 7 of a.json\nhelp: pebr-data build a.yaml\n"


def test_every_mistake_of_a_configuration_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigError("2 mistakes", where="a.yaml", problems=("a.yaml:1: one", "a.yaml:2: two"))

    assert run_app(app_that(raising(error)), ["go"]) == 78
    assert capsys.readouterr().err == "error: 2 mistakes, a.yaml\n  a.yaml:1: one\n  a.yaml:2: two\n"


def test_debug_adds_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--debug", "go"], ["go", "--debug"]):
        assert run_app(app_that(raising(BusyError("held by process 7"))), argv) == 75
        assert "Traceback" in capsys.readouterr().err


def test_what_escapes_is_our_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app_that(raising(ZeroDivisionError("division by zero"))), ["go"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: unexpected ZeroDivisionError: division by zero\nhelp: this is a bug in pebr")
    assert "Traceback" not in err


def test_a_full_disk_is_an_input_output_error(capsys: pytest.CaptureFixture[str]) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "store/catalog.duckdb")
    assert run_app(app_that(raising(error)), ["go"]) == 74
    assert "No space left on device, store/catalog.duckdb" in capsys.readouterr().err


def test_ctrl_c_prints_the_command_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app_that(raising(KeyboardInterrupt())), ["go", "--count", "2"]) == 130
    assert "demo go --count 2" in capsys.readouterr().err


def test_being_terminated_prints_the_command_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert run_app(app_that(lambda: os.kill(os.getpid(), signal.SIGTERM)), ["go"]) == 143
    assert "go on with: demo go" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("argv", [["go", "--cuont", "2"], ["og"], ["go", "--count", "many"]])
def test_a_wrong_command_line_ends_with_2_and_names_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app_that(lambda: None), argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "--help" in err


def test_an_exit_code_chosen_by_the_command_is_kept() -> None:
    assert run_app(app_that(raising(typer.Exit(3))), ["go"]) == 3


def test_a_missing_package_of_the_train_extra_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    missing = ModuleNotFoundError("No module named 'trl'", name="trl")

    assert run_app(app_that(raising(missing)), ["go"]) == 69
    assert capsys.readouterr().err == (
        "error: this needs a package that is not installed: trl\nhelp: pip install 'pebr[train]'\n"
    )


def test_any_other_missing_module_is_a_bug() -> None:
    assert run_app(app_that(raising(ModuleNotFoundError("No module named 'x'", name="x"))), ["go"]) == 1
