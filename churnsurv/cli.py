"""Command line: parse, call, exit code.

Exit codes: 0 done; 1 failed, with a message that says what to do; 2 wrong use of the command; 3 done, but there are
findings above their threshold (or, for ``check``, errors in the data).
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

import churnsurv
from churnsurv.exceptions import ChurnSurvError

DONE, FAILED, FINDINGS = 0, 1, 3

app = typer.Typer(
    name="churnsurv",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Survival analysis of loan-customer attrition: why customers leave, how many, and whether what is done about it works."
        "\n\nStart with the shipped portfolio: **churnsurv report reports/quarterly.toml**"
        "\n\nExit codes: 0 done, 1 failed, 2 wrong use, 3 done with findings above their threshold."
    ),
)

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="The TOML file that describes the report.", show_default=False)
]


def main() -> None:
    """Run the command line; the entry point of the installed command."""
    app()


def _explained(command: Callable[..., int]) -> Callable[..., None]:
    """Turn what the command returns into the exit code, and errors into a message on standard error."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = command(*args, **kwargs)
        except (ChurnSurvError, OSError) as error:
            _fail(str(error))
        except typer.BadParameter:
            raise
        except KeyboardInterrupt:
            _fail("interrupted.")
        except Exception as error:
            if os.environ.get("CHURNSURV_TRACEBACK"):
                raise
            _fail(
                f"{type(error).__name__}: {error}\nThis is a fault of churnsurv, not of your data. Run again with "
                "CHURNSURV_TRACEBACK=1 to see where it happened, and report it."
            )
        raise typer.Exit(code)

    # typer reads the parameters from here
    run.__annotations__ = {**command.__annotations__, "return": None}
    return run


def _fail(message: str) -> None:
    typer.echo(f"churnsurv: {message}", err=True)
    raise typer.Exit(FAILED)


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"churnsurv {churnsurv.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command()
@_explained
def report(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="CONFIG", help="The TOML file that describes the report.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Where the report goes; default: `folder` of the configuration, beside it."
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--formats", metavar="LIST", help="What is written: any of html, pdf, docx (Word), md (Markdown), json."
        ),
    ] = "html,pdf,docx,json",
    force: Annotated[bool, typer.Option("--force", help="Replace the report that is there.")] = False,
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify",
            metavar="FOLDER",
            help="Compute the report of this folder again and compare; nothing is written.",
        ),
    ] = None,
) -> int:
    """Make the quarterly report: HTML and PDF to read, Word to edit, JSON to compute with.

    The last line printed is the path of the HTML file. The folder is written whole or not at all, and an existing one is
    left alone without --force. A format that this machine cannot make is left out, with a note in the others. Exit code 3:
    the report is made, and has findings above their threshold.

    With --verify FOLDER a report is not made but checked: it is computed again from its data and compared to the last digit.
    Told are data files, versions and settings that changed, every cell, figure and finding that differs, and documents of
    the folder that are not those of its report.json. CONFIG is found by its recorded name and hash beside the folder or
    above it, or given. Exit code 0: identical; 3: differences, which are listed; 1: it cannot be verified.

    Examples
    --------
      churnsurv report reports/quarterly.toml

      churnsurv report reports/quarterly.toml --out /tmp/attrition --formats html,md --force

      churnsurv report --verify reports/2026Q3
    """
    if verify is not None:
        return _verified(verify, config)
    if config is None:
        raise typer.BadParameter("name the TOML file that describes the report, e.g. reports/quarterly.toml.")
    from churnsurv.report import quarterly, read_config
    from churnsurv.report.render import check_folder, check_formats, missing_formats, output_findings

    wanted = check_formats(name.strip() for name in formats.split(",") if name.strip())
    settings = read_config(config)
    folder = config.parent / settings.folder if out is None else out
    # before the work, not after it
    check_folder(folder, force)
    made = quarterly.build(settings, progress=_on_terminal())
    files = made.save(folder, wanted, force=force)
    for finding in made.findings:
        typer.echo(f"{finding.severity} finding: {finding.text}")
    # about the documents, not the portfolio: they do not change the exit code
    document, lacking = made.to_dict(), missing_formats(wanted)
    for note in output_findings(
        document, wanted, [name for name in wanted if name not in files and name not in lacking]
    ):
        typer.echo(f"{note['severity']} finding: {note['text']}")
    for name in sorted(files, key="html".__eq__):
        typer.echo(str(files[name]))
    return FINDINGS if made.findings else DONE


def _verified(folder: Path, config: Path | None) -> int:
    from churnsurv.report.verify import verify

    found = verify(folder, config, progress=_on_terminal())
    for line in found.lines():
        typer.echo(line)
    return DONE if found.is_identical else FINDINGS


@app.command()
@_explained
def simulate(
    loans: Annotated[int, typer.Option("--loans", min=100, metavar="N", help="Number of loans.")] = 5_000,
    seed: Annotated[
        int, typer.Option("--seed", metavar="S", help="The same seed gives the same portfolio.")
    ] = 20260930,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the tables go; made new.")] = Path(
        "portfolio"
    ),
    drift: Annotated[
        str | None,
        typer.Option(
            "--drift",
            metavar="NAME",
            help="What changes in the last quarter: population (who the customers are) or concept (what makes them leave).",
        ),
    ] = None,
    dirty: Annotated[
        float,
        typer.Option(
            "--dirty",
            min=0.0,
            max=0.5,
            metavar="SHARE",
            help="Share of the loans with faults as real tables have them: copies, gaps, rows after the exit and so on.",
        ),
    ] = 0.0,
) -> int:
    """Simulate a lender's portfolio with known hazards: loans, monthly performance, market, interventions, the truth.

    Use it to try the toolkit, to test a change, or to see how much data an effect needs. The tables are Parquet files;
    truth.json holds the coefficients they were drawn from, the effects of the interventions, the drift and the faults.

    Examples
    --------
      churnsurv simulate

      churnsurv simulate --loans 20000 --seed 7 --out big_portfolio

      churnsurv simulate --drift population --dirty 0.05 --out drifted_portfolio
    """
    from churnsurv.data import simulate as simulated
    from churnsurv.exceptions import ConfigError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{str(out)!r} exists and is not empty; it is left as it is. Give another folder (--out).")
    portfolio = simulated(loans, seed=seed, drift=drift, dirty=dirty, progress=_on_terminal())
    typer.echo(repr(portfolio))
    typer.echo(str(portfolio.save(out)))
    return DONE


@app.command()
@_explained
def check(
    config: Config,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all checks, also those in order, to this file; made new."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    memory_limit: Annotated[
        str | None,
        typer.Option(
            "--memory-limit", metavar="SIZE", help="What may be held in memory, e.g. 2GB; the rest goes to disk."
        ),
    ] = None,
) -> int:
    """Check a configuration and its data without making the report.

    Prints what is not in order, errors first: where, what, how often, at which loans, and what to do. Errors are to be mended
    before anything sound can be built; warnings are handled in the stated way. Spells are built and looked at for leaks, too.
    Exit code 3: there are errors.

    Examples
    --------
      churnsurv check reports/quarterly.toml

      churnsurv check reports/quarterly.toml --json checks.json
    """
    from churnsurv.data import check_tables
    from churnsurv.data.files import frame_of_file
    from churnsurv.exceptions import ConfigError
    from churnsurv.report import read_config

    settings = read_config(config)
    if json_file is not None and json_file.exists() and not force:
        raise ConfigError(
            f"{str(json_file)!r} exists and is left as it is. Give another file, or --force to replace it."
        )
    files = settings.data.files()
    lines = check_tables(
        files.get("loans"),
        files["performance"],
        settings.spells,
        macro=files.get("macro"),
        interventions=frame_of_file("interventions", files["interventions"]) if "interventions" in files else None,
        strata=settings.model.strata,
        memory_limit=memory_limit,
        progress=_on_terminal(),
    )
    if json_file is not None:
        try:
            json_file.write_text(lines.to_json(orient="records", indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{str(json_file)!r} cannot be written: {error.strerror}.") from None
    for line in lines[lines["status"] != "ok"].to_dict("records"):
        typer.echo(_line(line))
    counts = lines["status"].value_counts()
    found = ", ".join(f"{counts.get(status, 0)} {status}" for status in ("ok", "warning", "error"))
    typer.echo(f"{len(lines)} checks of {config.name}: {found}")
    return FINDINGS if counts.get("error", 0) else DONE


_COLOUR = {"error": "red", "warning": "yellow"}


def _line(line: dict[Any, Any]) -> str:
    """Give a line of a check: where and what, and below it what to do."""
    place = ".".join(str(part) for part in (line["table"], line["column"]) if part)
    count = f", {line['count']:,} times" if line["count"] > 1 else ""
    examples = f" (e.g. {line['examples']})" if line["examples"] else ""
    status = typer.style(f"{line['status']:<8}", fg=_COLOUR.get(line["status"]), bold=True)
    width = max(60, min(shutil.get_terminal_size().columns, 120))
    remedy = textwrap.fill(line["remedy"], width, initial_indent=" " * 9, subsequent_indent=" " * 9)
    return f"{status} {place}: {line['rule']}{count}{examples}" + (f"\n{remedy}" if line["remedy"] else "")


if __name__ == "__main__":
    main()
