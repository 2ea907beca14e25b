"""What the service keeps: estimates, feedback, batches, keys and the audit trail; never an ECG unless told to.

Every module is one noun. Functions that take a connection run inside the caller's transaction; those that take a
:class:`~service.storage.store.Store` are one transaction of their own.
"""
