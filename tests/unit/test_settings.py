"""Settings: read by name, and a missing one is named."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dialplane.dynamodb.tables import Tables
from dialplane.runtime.settings import SettingMissing, Settings


def test_a_setting_is_read_by_name() -> None:
    assert Settings({"A": "x"}).text("A") == "x"


@pytest.mark.parametrize("environ", [{}, {"A": ""}])
def test_a_missing_and_an_empty_setting_are_named(environ: dict[str, str]) -> None:
    with pytest.raises(SettingMissing, match="A is not set"):
        Settings(environ).text("A")


def test_a_duration_is_a_number_of_seconds() -> None:
    assert Settings({"A": "90"}).duration("A") == timedelta(seconds=90)


def test_only_the_tables_that_were_asked_for_are_needed() -> None:
    settings = Settings({"CALLS_TABLE_NAME": "c", "WALLETS_TABLE_NAME": "w"})
    assert settings.tables("calls", "wallets") == Tables(calls="c", wallets="w")
    with pytest.raises(SettingMissing, match="ACCOUNTS_TABLE_NAME"):
        settings.tables("calls", "accounts")


@pytest.mark.parametrize("text", ["https://x.test", "https://x.test/", "https://x.test//"])
def test_the_base_url_never_ends_in_a_slash(text: str) -> None:
    assert Settings({"PUBLIC_BASE_URL": text}).public_base_url == "https://x.test"


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIALPLANE_TEST_SETTING", "x")
    assert Settings.from_environment().text("DIALPLANE_TEST_SETTING") == "x"
