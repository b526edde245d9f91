"""Transactions on every backend."""

from __future__ import annotations

from sharedstate.testing.transaction_suite import TransactionSuite


class TestTransactions(TransactionSuite):
    """The shipped suite."""
