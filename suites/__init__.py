"""What is measured: one room per suite, each plugged in through the entry-point group `bench.suites`."""
