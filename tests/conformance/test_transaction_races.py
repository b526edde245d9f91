"""Transactions under several workers, on every backend."""

from __future__ import annotations

import pytest

from sharedstate.testing.transaction_races import TransactionDeaths, TransactionRaces


class TestTransactionRaces(TransactionRaces):
    """The shipped races."""


@pytest.mark.parametrize("store_url", ["local", "server", "redis"], indirect=True)
class TestTransactionDeaths(TransactionDeaths):
    """The shipped deaths."""
