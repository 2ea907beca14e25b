"""One frozen configuration a program, read from the command line only: a stray environment variable changes nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from enum import StrEnum
from inspect import cleandoc
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ecg_ka.errors import EcgError

T = TypeVar("T")


def parse(config: type[T], arguments: Sequence[str] | None = None) -> T:
    """A dataclass from the command line: each field is an option, its ``metadata["help"]`` the explanation.

    Unknown options, missing values and wrong types end the program with exit code 2, as argparse does.
    """
    parser = argparse.ArgumentParser(description=_description(config), formatter_class=_Help, allow_abbrev=False)
    _add_options(parser, config)
    return config(**vars(parser.parse_args(arguments)))


def execute(config: type[T], program: Callable[[T], object]) -> None:
    """Run a program as the command line says.

    What its user can mend (a file, a table, a bundle, a full disk: OSError, ValueError, EcgError) ends it with one line
    and exit code 1.
    """
    _end_with_one_line(lambda: program(parse(config)))


def _end_with_one_line(program: Callable[[], object]) -> None:
    try:
        program()
    except (OSError, ValueError, EcgError) as error:
        sys.exit(f"error: {error}")


def _add_options(parser: argparse.ArgumentParser, config: type[Any]) -> None:
    hints = get_type_hints(config)
    for field in fields(config):
        option = "--" + field.name.replace("_", "-")
        required = field.default is MISSING
        default = None if required else field.default
        kind = _plain(hints[field.name])
        text = field.metadata.get("help", " ").replace("%", "%%") + (" (required)" if required else "")
        if kind is bool:
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=default, help=text)
        else:
            choices = [member.value for member in kind] if issubclass(kind, StrEnum) else None
            parser.add_argument(option, type=kind, required=required, default=default, choices=choices, help=text)


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Descriptions as they are written, and the default of each option."""


def _description(config: type[Any]) -> str:
    return cleandoc(config.__doc__ or "").replace("%", "%%")


def _plain(hint: Any) -> type:
    """The type X of an annotation X or X | None."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (member for member in get_args(hint) if member is not type(None))
    return hint if isinstance(hint, type) else str


def execute_one(
    programs: Mapping[str, tuple[type[Any], Callable[..., object]]],
    name: str,
    description: str,
    arguments: Sequence[str] | None = None,
) -> None:
    """Run the one of several programs that the first argument names, as :func:`execute` does; ``name`` is what a user
    types before that."""
    parser = argparse.ArgumentParser(name, description=description, formatter_class=_Help, allow_abbrev=False)
    commands = parser.add_subparsers(dest="program", required=True, metavar="|".join(programs))
    for one, (config, _) in programs.items():
        about = _description(config)
        command = commands.add_parser(
            one, help=about.splitlines()[0], description=about, formatter_class=_Help, allow_abbrev=False
        )
        _add_options(command, config)
    values = vars(parser.parse_args(arguments))
    config, program = programs[values.pop("program")]
    _end_with_one_line(lambda: program(config(**values)))


def to_json(config: object) -> dict[str, Any]:
    """The fields of a configuration in plain JSON types."""
    plain: dict[str, Any] = {}
    for field in fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        plain[field.name] = str(value) if isinstance(value, Path) else value
    return plain
