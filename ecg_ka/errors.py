"""Every error that ecg_ka raises on purpose.

    EcgError
    |-- UnreadableRecord             the bytes are not what their format promises
    |   |-- EmptyFile                nothing in it
    |   |-- TruncatedFile            fewer samples or bytes than it declares
    |   |-- UnknownFormat            no reader recognises it
    |   |-- RecordTooLarge           declares or holds more than the limits allow
    |   |-- ForeignReference         a header names a file that was not given with it
    |   |-- MalformedHeader          a header or metadata value is missing or makes no sense
    |   `-- InvalidSamplingRate      the sampling rate is absent, zero, negative or absurd
    |-- UnusableRecord               readable, but no estimate can be made from it
    |   |-- NoSamples                a signal of zero samples
    |   |-- NonFiniteSamples         NaN or infinity among the samples
    |   |-- ImpossibleSamples        samples that no electrode gives
    |   |-- MissingLeads             leads that the model needs are not there
    |   |-- TooShort                 less signal than the model needs
    |   `-- FlatSignal               no electrical activity in it
    |-- ExportError                  an answer cannot be written as what was asked for
    |   `-- DemoExport               a demonstration's number was asked for as a record
    |-- BundleError                  a model bundle is incomplete, altered or of another version
    |-- MissingDependency            an optional package is needed for this call
    `-- NoWorkingSpace               no room for the temporary files that a format needs

A message says what was got, what was expected, and what to do. What :func:`ecg_ka.read` takes it names by its keyword,
in the words ``Pass fs_hz``, ``Leave fs_hz out`` and ``fs_hz=250 was given``: the command line puts its options there.
"""

from __future__ import annotations


class EcgError(Exception):
    """Base of every error that ecg_ka raises on purpose; ``title`` is its short human name."""

    title = "ECG error"

    def __str__(self) -> str:
        return one_line(super().__str__())  # messages quote files, which may hold anything


def one_line(text: str) -> str:
    """A text as one line that any terminal, table and protocol takes: other characters as Python escapes them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class UnreadableRecord(EcgError):
    """The bytes are not what their format promises."""

    title = "Unreadable record"


class EmptyFile(UnreadableRecord):
    """There are no bytes, or the archive or folder holds no file."""

    title = "Empty file"


class TruncatedFile(UnreadableRecord):
    """The file ends before the samples that it declares."""

    title = "Truncated file"


class UnknownFormat(UnreadableRecord):
    """No reader recognises the content."""

    title = "Unknown format"


class RecordTooLarge(UnreadableRecord):
    """The file holds, or declares, more than the limits allow."""

    title = "Record too large"


class ForeignReference(UnreadableRecord):
    """A header names a file that was not given together with it."""

    title = "Foreign reference"


class MalformedHeader(UnreadableRecord):
    """A header or metadata value is missing or makes no sense."""

    title = "Malformed header"


class InvalidSamplingRate(UnreadableRecord):
    """The sampling rate is absent, zero, negative, not finite or absurd."""

    title = "Invalid sampling rate"


class UnusableRecord(EcgError):
    """The record is readable, but no estimate can be made from it."""

    title = "Unusable record"


class NoSamples(UnusableRecord):
    """The signal holds zero samples."""

    title = "No samples"


class NonFiniteSamples(UnusableRecord):
    """NaN or infinity stands among the samples."""

    title = "Non-finite samples"


class ImpossibleSamples(UnusableRecord):
    """A sample is larger than any that an electrode gives."""

    title = "Impossible samples"


class MissingLeads(UnusableRecord):
    """Leads that are needed are not in the record."""

    title = "Missing leads"


class TooShort(UnusableRecord):
    """The record is shorter than what is needed."""

    title = "Too short"


class FlatSignal(UnusableRecord):
    """The needed leads carry no electrical activity."""

    title = "Flat signal"


class ExportError(EcgError):
    """An answer cannot be written in the language that was asked for."""

    title = "Output not possible"


class DemoExport(ExportError):
    """The number of a demonstration was asked for in the form of a record."""

    title = "Demonstration stays out of records"


class BundleError(EcgError):
    """A model bundle is incomplete, altered, or of a version that this program cannot load."""

    title = "Invalid bundle"


class MissingDependency(EcgError):
    """An optional package is needed for this call; the message names the extra to install."""

    title = "Missing dependency"


class NoWorkingSpace(EcgError):
    """Temporary files cannot be written; the record may be good."""

    title = "No room for temporary files"
