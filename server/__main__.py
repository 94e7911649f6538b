"""The command line: ``python -m server``, after ``pip install`` also ``tandem``.

Exit status: 0 well, 1 the server or the command failed, 2 wrong arguments or settings, 130 Ctrl-C.
"""

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from server import __version__
from server.settings import Settings, SettingsError, load

MOST_WORKERS = 64


class PasswordError(Exception):
    """No password could be read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the arguments (``sys.argv`` without the program for None) ask for."""
    options = _parser().parse_args(arguments)
    try:
        settings = load(getattr(options, "config", None), os.environ)
    except SettingsError as error:
        return _fail(str(error), 2)
    if options.check_config:
        sys.stdout.write("the settings are well\n")
        return 0
    try:
        return _run(options, settings)
    except PasswordError as error:
        return _fail(f"tandem: {error}", 1)
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, settings: Settings) -> int:
    # Only now, so that --version and --check-config need none of the server's libraries.
    from server import app

    if options.command == "users":
        return app.users(settings)
    if options.command == "adduser":
        return app.adduser(settings, options.name, _password(options.password_stdin))
    if options.command == "deluser":
        return app.deluser(settings, options.name)
    if options.command == "passwd":
        return app.passwd(settings, options.name, _password(options.password_stdin))
    if options.command == "assets":
        return app.write_assets(settings, options.directory)
    if options.workers:
        return app.serve_with_workers(settings, options.workers, getattr(options, "config", None))
    return app.serve(settings, options.worker)


def _parser() -> argparse.ArgumentParser:
    # Without a default here, a subcommand does not forget a --config that came before it.
    config = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    config.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file that overrides conf/default.toml"
    )
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Tandem, a chat server for JSON WebSocket and XMPP clients. "
        "Without a command it serves, until SIGTERM or Ctrl-C.",
        epilog="Every setting can also be given as TANDEM_<SECTION>_<KEY> in the environment.",
        parents=[config],
    )
    parser.add_argument(
        "--check-config", action="store_true", help="say what is wrong with the settings, and end"
    )
    parser.add_argument("--version", action="version", version=f"Tandem {__version__}")
    parser.add_argument(
        "--workers",
        type=_worker_count,
        default=0,
        metavar="N",
        help=f"serve with N processes on the same ports, 1 to {MOST_WORKERS}; "
        "SIGHUP replaces them one by one",
    )
    parser.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command, help_text in (
        ("adduser", "make an account"),
        ("passwd", "change an account's password and end its sessions"),
    ):
        subparser = commands.add_parser(command, help=help_text, parents=[config])
        subparser.add_argument("name", metavar="NAME", help="username")
        subparser.add_argument(
            "--password-stdin",
            action="store_true",
            help="take the first line of standard input instead of asking",
        )
    deluser = commands.add_parser("deluser", help="delete an account", parents=[config])
    deluser.add_argument("name", metavar="NAME", help="username or id")
    commands.add_parser("users", help="list the accounts", parents=[config])
    assets = commands.add_parser(
        "assets", help="write the page's files for another host (web.assets_url)", parents=[config]
    )
    assets.add_argument("directory", type=Path, metavar="DIR", help="where to make assets/<hash>/")
    return parser


def _worker_count(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_WORKERS:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be 1 to {MOST_WORKERS}")


def _password(from_stdin: bool) -> str:
    """The password: the first line of stdin, or asked for twice. Raises :class:`PasswordError`."""
    if from_stdin:
        try:
            password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise PasswordError("the password on standard input is not UTF-8") from None
        if not password:
            raise PasswordError("there is no password on standard input")
        return password
    try:
        password = getpass.getpass("Password: ")
        again = getpass.getpass("Again: ")
    except EOFError:
        raise PasswordError(
            "no password was given; --password-stdin reads it from a pipe"
        ) from None
    if password != again:
        raise PasswordError("the two passwords differ")
    return password


def _fail(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
