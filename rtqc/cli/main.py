"""``rtqc``: the table of commands, loaded one by one as they are called."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from types import FrameType

import click

from rtqc.cli.streams import OutputLostError, prepare_streams

#: Exit statuses that are no verdict; those of verdicts stand in :data:`rtqc.cli.console.EXIT_STATUS`.
EXIT_NOT_ASSESSED, EXIT_INTERRUPTED = 2, 130

#: Command -> its module and what it does; the whole vocabulary of the command line.
COMMANDS: dict[str, tuple[str, str]] = {
    "check": ("rtqc.cli.check", "Check plans: findings, report, exit status 0, 1 or 2."),
    "draft": ("rtqc.cli.draft", "Draw the heart and write it as an RTSTRUCT."),
    "compare": ("rtqc.cli.compare", "Compare one structure of two structure sets."),
    "dvh": ("rtqc.cli.dvh", "Dose-volume histogram and dose metrics of a structure."),
    "cardiac": ("rtqc.cli.cardiac", "Heart volume, epicardial fat and coronary calcium of chest CTs."),
    "protocol": ("rtqc.cli.protocol", "List, show or check protocols: thresholds and dose constraints."),
    "nightly": ("rtqc.cli.nightly", "Check every plan of an archive; a page for the morning."),
    "commission": ("rtqc.cli.commission", "What a clinic does before use: agreement, its habit, limits, a protocol."),
    "serve": ("rtqc.cli.serve", "The dashboard from a server with sign-in, where flags are marked as reviewed."),
    "accounts": ("rtqc.cli.accounts", "Who may sign in at rtqc serve, and whether its record is whole."),
    "doctor": ("rtqc.cli.doctor", "Would a night work here? Versions, devices, archive, output, store."),
    "cohort": ("rtqc.cli.cohort", "What a whole cohort says: agreement, failures, how small an error is found."),
    "store": ("rtqc.cli.store", "What the nights have found: review, export, forget."),
    "node": ("rtqc.cli.node", "Receive plans over the DICOM network, check them and send the results."),
    "watch": ("rtqc.cli.watch", "Check whatever a planning system exports into a folder."),
    "fetch": ("rtqc.cli.fetch", "Fetch plans from an archive, with all that they refer to."),
    "send": ("rtqc.cli.send", "Send DICOM files to a node or a DICOMweb service."),
    "convert": ("rtqc.cli.convert", "Images, doses and structures as NRRD or NIfTI, and masks back as RTSTRUCT."),
    "train": ("rtqc.cli.train", "Train a heart model on your own plans and synthetic patients."),
    "demo": ("rtqc.cli.demo", "Make a synthetic breast plan with a planted error, and check it."),
    "model": ("rtqc.cli.model", "List, show, import or measure heart models."),
}


class _Commands(click.Group):
    """Commands that are imported when they are called: ``rtqc --help`` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"There is no command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rtqc", prog_name="rtqc")
def cli() -> None:
    """Quality control for radiotherapy plans.

    Reads a plan (CT, RTSTRUCT, RTPLAN, RTDOSE), draws the heart by itself, compares it with the contour, says what the
    difference does to the dose, and flags what a physicist must look at.

    Research tool: not cleared as a medical device.
    """


def main() -> None:
    """Run a command and end with its exit status; nobody sees a traceback or a library's warning unless RTQC_DEBUG is set.

    0 passed (in the scope asked for), 1 flagged, 2 could not assess (or could not say so: the reader of the output has gone), 130 interrupted.
    """
    prepare_streams()
    interrupts: list[int] = []
    _note_interrupts(interrupts)
    if not os.environ.get("RTQC_DEBUG") and not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        status = _run(interrupts)
        sys.stdout.flush()
    except OutputLostError as lost:
        # What could not be printed was not said: a script must not take the status for a verdict, and least of all for "flagged".
        _say(f"rtqc: what was found could not be printed ({lost})")
        status = EXIT_NOT_ASSESSED
    # An interrupt may come out of a library as an error of its own: what was interrupted is 130 all the same.
    sys.exit(EXIT_INTERRUPTED if interrupts else status)


def _note_interrupts(interrupts: list[int]) -> None:
    """Remember that Ctrl-C came, and raise KeyboardInterrupt as Python does; a service sets a handler of its own."""

    def interrupted(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        signal.default_int_handler(number, frame)

    with suppress(ValueError):  # a thread that is not the main one may set none
        signal.signal(signal.SIGINT, interrupted)


def _run(interrupts: list[int]) -> int:
    try:
        result = cli.main(standalone_mode=False)
        return result if isinstance(result, int) else 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_NOT_ASSESSED if end.code else 0
    except (KeyboardInterrupt, click.Abort):
        _say("rtqc: stopped")
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_NOT_ASSESSED
    except Exception as error:
        if interrupts:
            _say("rtqc: stopped")
            return EXIT_INTERRUPTED
        if os.environ.get("RTQC_DEBUG"):
            raise
        from rtqc.core.secrets import masked  # brings numpy, for which --help would wait

        reason = masked(f"{type(error).__name__}: {error}")
        _say(f"rtqc: could not go on ({reason}). Run again with RTQC_DEBUG=1 and report what it prints.")
        return EXIT_NOT_ASSESSED


def _say(sentence: str) -> None:
    with suppress(OSError):
        click.echo(sentence, err=True)


if __name__ == "__main__":
    main()
