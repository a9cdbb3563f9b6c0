"""`palate completion SHELL`: a script that completes commands, flags and their choices in bash, zsh or fish.

It is written from the same typed configurations that the commands read, so it knows every flag and cannot go stale
before the next release.
"""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from palate import config as settings

SHELLS = ("bash", "zsh", "fish")
_USAGE = f"usage: palate completion {{{','.join(SHELLS)}}}\n\nPrint a script that completes palate's commands."


@dataclass(frozen=True, slots=True)
class Flag:
    """`--name`, and what may follow it; no choices where anything may, such as a file."""

    name: str
    choices: tuple[str, ...] = ()


def flags_of(config_name: str | None) -> tuple[Flag, ...]:
    """The flags of a configuration, `--config` and `--help` among them.

    >>> [flag.name for flag in flags_of("DoctorConfig")]
    ['json', 'config', 'help']
    """
    if config_name is None:
        return (Flag("help"),)
    kind: Any = getattr(settings, config_name)
    hints = get_type_hints(kind, include_extras=True)
    found: list[Flag] = []
    for field in fields(kind):
        hint, marks = _unwrapped(hints[field.name])
        name = field.name.replace("_", "-")
        if any(mark is Positional for mark in marks):
            continue
        found.append(Flag(name, _choices(hint)))
        if hint is bool and field.default is not MISSING:
            found.append(Flag(f"no-{name}"))
    return (*found, Flag("config"), Flag("help"))


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        return inner, tuple(marks)
    return hint, ()


def _choices(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return tuple(str(one) for one in get_args(hint))
    return tuple(choice for part in get_args(hint) for choice in _choices(part))


def script(shell: str, commands: dict[str, str | None]) -> str:
    """The script for one of `SHELLS`.

    Args:
        shell: which.
        commands: name of each command, and of its configuration.
    """
    return _fish(commands) if shell == "fish" else _bash(commands, zsh=shell == "zsh")


def _bash(commands: dict[str, str | None], *, zsh: bool) -> str:
    first = sorted({name.split()[0] for name in commands})
    second = sorted(name.split()[1] for name in commands if " " in name)
    lines = ["autoload -U +X bashcompinit && bashcompinit"] if zsh else []
    lines += [
        "_palate() {",
        '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" name="${COMP_WORDS[1]}" flags=""',
        '  [ "$name" = data ] && name="data ${COMP_WORDS[2]}"',
        '  case "$name:$prev" in',
    ]
    for name, config in commands.items():
        for flag in flags_of(config):
            if flag.choices:
                words = " ".join(flag.choices)
                lines.append(f'    "{name}:--{flag.name}") COMPREPLY=($(compgen -W "{words}" -- "$cur")); return;;')
    lines += ["  esac", '  case "$name" in']
    for name, config in commands.items():
        words = " ".join(f"--{flag.name}" for flag in flags_of(config))
        lines.append(f'    "{name}") flags="{words}";;')
    lines += [
        "  esac",
        f'  if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W "{" ".join(first)}" -- "$cur"))',
        '  elif [ "$COMP_CWORD" = 2 ] && [ "$prev" = data ]; then',
        f'    COMPREPLY=($(compgen -W "{" ".join(second)}" -- "$cur"))',
        '  elif [[ "$cur" == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$cur"))',
        '  else COMPREPLY=($(compgen -f -- "$cur")); fi',
        "}",
        "complete -o filenames -F _palate palate",
    ]
    return "\n".join(lines) + "\n"


def _fish(commands: dict[str, str | None]) -> str:
    lines = []
    for name, config in commands.items():
        first, _, second = name.partition(" ")
        lines.append(f"complete -c palate -n __fish_use_subcommand -a {first}")
        seen = f"__fish_seen_subcommand_from {first}"
        if second:
            lines.append(f"complete -c palate -n '{seen}' -a {second}")
            seen = f"{seen}; and __fish_seen_subcommand_from {second}"
        for flag in flags_of(config):
            words = f" -x -a '{' '.join(flag.choices)}'" if flag.choices else ""
            lines.append(f"complete -c palate -n '{seen}' -l {flag.name}{words}")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def run_completion(arguments: Sequence[str]) -> int:
    """Print the script, or how to ask for it."""
    from palate.cli.main import COMMANDS

    if len(arguments) != 1 or arguments[0] not in SHELLS:
        print(_USAGE)
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    print(script(arguments[0], {name: command.config for name, command in COMMANDS.items()}), end="")
    return 0
