"""Batches: how the ECGs of one upload are told apart, the worker that does them, and the results in rows."""
