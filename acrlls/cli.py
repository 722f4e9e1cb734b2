"""The command line, ``acrlls <command>``.

Exit status: 0 done, 1 failed (a cell raised, data or weights are missing), 2 wrong usage (an unknown
command, section, parameter or value), 130 interrupted.  A mistake that the user can mend is a message
without a traceback.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

import acrlls
from acrlls.backend import import_keras
from acrlls.book.sections import Section, SectionFailed, all_sections, execute
from acrlls.config import PROJECT, Config, UserError, configure, profiles
from acrlls.runs.cache import CLEARED_BY_DEFAULT, KINDS
from acrlls.store import store
from acrlls.training.chunked import LIMIT_VARIABLE, limit, readable

FIELDS = {f.name: f for f in dataclasses.fields(Config)}
PUBLISHED = ("baseline", "single_dense", "proposed")


class UsageError(UserError):
    """A mistake in the command itself, exit status 2."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; the entry point of the ``acrlls`` script."""
    given = sys.argv[1:] if arguments is None else arguments
    # The parser takes a value such as -1..1 for an option, unless there is a space in it.
    given = [
        f" {a}" if "-p" in given[max(0, k - 2) : k - 1] and a.startswith("-") else a
        for k, a in enumerate(given)
    ]
    options = _parser().parse_args(given)
    try:
        return options.command(options) or 0
    except UsageError as error:
        print(f"acrlls {options.name}: {error}", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"acrlls {options.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"\nacrlls {options.name}: interrupted; what was trained so far is kept",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="acrlls", description="Sections, runs and checks of the ACR-LLS-MNetCal companion."
    )
    parser.add_argument("--version", action="version", version=f"acrlls {acrlls.__version__}")
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="name"
    )

    def command(function, *, parameters: str | None = None):
        name = function.__name__
        text = inspect.getdoc(function)
        sub = commands.add_parser(
            name,
            help=text.splitlines()[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=function)
        if parameters:
            sub.add_argument(
                "-p",
                dest="parameters",
                nargs=2,
                action="append",
                default=[],
                metavar=("NAME", "VALUE"),
                help=parameters,
            )
        return sub

    sub = command(run, parameters="a parameter of the section; may be repeated")
    sub.add_argument(
        "section", metavar="SECTION", help="calibration, 05_calibration, 5 or the notebook's path"
    )
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="the executed notebook; default: out_<section>.ipynb here",
    )
    command(sections)
    sub = command(reproduce, parameters="a setting, such as `seed 1`; may be repeated")
    sub.add_argument(
        "--profile", default="paper", help="default: paper; known: " + ", ".join(profiles())
    )
    sub.add_argument(
        "--variants",
        nargs="+",
        default=PUBLISHED,
        metavar="VARIANT",
        choices=FIELDS["variant"].metadata["choices"],
        help="default: the three published ones; known: "
        + ", ".join(FIELDS["variant"].metadata["choices"]),
    )
    sub.add_argument("--tune", action="store_true", help="run the tuning grid as well")
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to record; default: results/<profile>",
    )
    sub = command(
        population, parameters="a setting of the run, such as `variant baseline`; may be repeated"
    )
    sub.add_argument(
        "--profile", default="quick", help="default: quick; known: " + ", ".join(profiles())
    )
    sub.add_argument(
        "--images",
        type=int,
        default=100_000,
        metavar="N",
        help="number of phantoms; default: 100000",
    )
    sub.add_argument(
        "--phantom-seed", type=int, default=2, metavar="S", help="of the fresh phantoms; default: 2"
    )
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to record; default: results/population",
    )
    sub = command(cache)
    sub.add_argument(
        "chosen",
        nargs="*",
        metavar="WHAT",
        help=f"a kind ({', '.join(KINDS)}), or the name of an entry or its beginning; default: all of them, and the "
        f"{' and '.join(CLEARED_BY_DEFAULT)} for --clear and --check",
    )
    act = sub.add_mutually_exclusive_group()
    act.add_argument(
        "--clear", action="store_true", help="delete what is chosen; runs only if they are named"
    )
    act.add_argument(
        "--check", action="store_true", help="compare stored features with their digests"
    )
    command(
        pretrain, parameters="an argument of acrlls.training.pretrain.pretrain; may be repeated"
    )
    sub = command(claims)
    sub.add_argument(
        "words", metavar="WORD", nargs="*", help="show claims that hold all these words"
    )
    sub.add_argument("--verdict", help="show claims with this verdict")
    sub.add_argument("--evidence", action="store_true", help="show the arithmetic as well")
    sub = command(bench, parameters="a setting, such as `phase2_epochs 3`; may be repeated")
    sub.add_argument(
        "--profile", default=None, help="default: paper where ACRLLS_DATA is set, else quick"
    )
    sub.add_argument(
        "--quick",
        action="store_true",
        help="a few images of the phantom, to see that it works; some minutes",
    )
    sub.add_argument(
        "--images", type=int, default=1000, help="images drawn from the data; default: 1000"
    )
    sub.add_argument(
        "--points", type=int, default=2, help="grid points that plain Keras trains; default: 2"
    )
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to record; default: results/bench/<profile>",
    )
    sub = command(doctor)
    sub.add_argument(
        "--profile", default=None, help="profile to look at; default: quick, or ACRLLS_PROFILE"
    )
    return parser


def run(options) -> int:
    """Execute one section with other parameters.

    acrlls run calibration -p bins 20 -o out.ipynb
    """
    section = _section(options.section)
    parameters = _values(options.parameters, section.parameters, f"section {section.name}")
    # The section would say the same after its kernel has started; this says it at once.
    settings = {k: v for k, v in parameters.items() if k in FIELDS}
    _usage(configure, settings.pop("profile", None), **settings)
    output = options.output or Path(f"out_{section.name}.ipynb")
    if output.suffix != ".ipynb":
        raise UsageError(f"the output {output} must end in .ipynb")
    if output.resolve() == section.path.resolve():
        raise UsageError(f"the output {output} is the section itself")
    try:
        execute(section, output, parameters)
    except SectionFailed as failure:
        message = f"{failure}" if failure.is_user_error else failure.report()
        print(f"\nacrlls run: {message}\nwhat there is of it: {output}", file=sys.stderr)
        return 1
    print(output)
    return 0


def sections(options) -> None:
    """List the sections and their parameters."""
    for section in all_sections():
        print(f"{section.name:<20} {section.title}")
        print(
            f"{'':<20} "
            + ", ".join(f"{name}={default}" for name, default in section.parameters.items())
        )


def reproduce(options) -> None:
    """Train the variants with a profile and record them under results/.

    A run that is already kept is recorded as it is; one that was cut off goes on from its last epoch.
    """
    given = _values(
        options.parameters,
        [name for name in FIELDS if name not in ("profile", "variant")],
        "reproduce",
    )
    configs = {v: _usage(configure, options.profile, variant=v, **given) for v in options.variants}
    folder = options.output or PROJECT / "results" / options.profile

    import_keras()
    from acrlls.calibration import registry as calibration
    from acrlls.runs import runs

    print(f"{', '.join(configs)}: training, or taking what is kept in {store()}", flush=True)
    for variant, done in zip(configs, runs.run_all(configs.values()), strict=True):
        config = configs[variant]
        runs.record(done, folder / variant)
        test = done.predictions("test")
        ece = calibration.classwise_ece(test.probabilities, test.labels, bins=config.bins).mean()
        accuracy = (test.probabilities.argmax(1) == test.labels).mean()
        print(
            f"{variant}: test accuracy {accuracy:.4f}, mean class-wise ECE {ece:.4f}; "
            f"recorded in {folder / variant}"
        )
    if options.tune:
        table = runs.tune(_usage(configure, options.profile, variant="proposed", **given))
        table.to_csv(folder / "tuning.csv", index=False)
        print(table.to_string(index=False))


def population(options) -> None:
    """Record what a run says of many fresh phantoms, whose true probabilities are known.

    Drawing 100,000 phantoms takes a quarter of an hour on two cores.  What was cut off goes on where it was.
    """
    given = _values(
        options.parameters, [name for name in FIELDS if name != "profile"], "population"
    )
    config = _usage(configure, options.profile, **given)
    import_keras()
    from acrlls.phantom.population import FOLDER, record_population

    folder = options.output or FOLDER
    found = record_population(config, options.images, options.phantom_seed, folder)
    print(f"{len(found):,} phantoms, judged by run {found.manifest['run']}; recorded in {folder}")


def cache(options) -> int:
    """List what the store keeps, check it, or clear it.

    acrlls cache                    what, how large, from when, for which settings
    acrlls cache --clear            delete stored features, which are computed again when a run asks
    acrlls cache 3f2a --clear       delete the entries whose name begins so
    acrlls cache unfinished --clear delete runs that were cut off
    """
    from acrlls.runs import cache as kept

    chosen = options.chosen or (CLEARED_BY_DEFAULT if options.clear or options.check else ())
    found = _usage(kept.entries, chosen)
    status = 0
    for entry in found:
        line = f"{entry.kind:<10} {readable(entry.size):>8}  {entry.changed:%Y-%m-%d %H:%M}  {entry.name}"
        line += f"\n{'':<10} {entry.what}"
        if options.check and entry.kind == "features":
            bad = kept.damaged(entry)
            status = 1 if bad else status
            line += f"\n{'':<10} " + (
                f"not whole: {', '.join(bad)}; computed again when asked for" if bad else "whole"
            )
        if options.clear:
            entry.delete()
        print(line)
    total = readable(sum(entry.size for entry in found))
    print(f"{len(found)} entries, {total}, {'deleted from' if options.clear else 'in'} {store()}")
    if not options.clear:
        print(f"stored features may take {readable(limit())} together ({LIMIT_VARIABLE})")
    return status


def pretrain(options) -> None:
    """Train the phantom backbone that the package ships, by its recipe."""
    import_keras()
    from acrlls.training.pretrain import pretrain as recipe

    known = list(inspect.signature(recipe).parameters)
    result = recipe(**_values(options.parameters, known, "pretrain"))
    if result is not None:
        print(result)


def claims(options) -> int:
    """Print every claim of the paper with what came of checking it.

    Exit status 1 if a claim has no check or a check no claim.
    acrlls claims ece --verdict "does not follow" --evidence
    """
    from acrlls import ledger

    if options.verdict is not None and options.verdict not in ledger.VERDICTS:
        raise UsageError(
            f"there is no verdict {options.verdict!r}; known: {', '.join(ledger.VERDICTS)}"
        )
    problems = ledger.audit()
    entries = ledger.Ledger().search(*options.words, verdict=options.verdict)
    print(ledger.text(entries, options.evidence))
    for problem in problems:
        print(f"problem  {problem}", file=sys.stderr)
    return 1 if problems else 0


def bench(options) -> None:
    """Time the whole job, scaled down, in plain Keras and through the feature bank.

    Two epochs a phase and a grid point, fresh views; half an hour to three quarters for 1,000 images of 224 px on
    two cores.
    """
    from acrlls.bench.bench import Task, bench

    given = {"grid_epochs": 2, "phase1_epochs": 2, "phase2_epochs": 2, "views": None}
    size = {"images": options.images, "plain_points": options.points}
    profile = options.profile or ("paper" if os.environ.get("ACRLLS_DATA") else "quick")
    if options.quick:
        profile, size = (
            "quick",
            {"images": 160, "plain_points": 1, "workers": (1, 2), "seeds": (1,)},
        )
        given |= {
            "data": "phantom",
            "phantom_images": 160,
            "grid_alpha": [0.08],
            "grid_tau": [0.15, 0.25],
        }
    given |= _values(
        options.parameters, [name for name in FIELDS if name not in ("profile", "variant")], "bench"
    )
    config = _usage(configure, profile, **given).replace(
        views=given["views"]
    )  # None: a fresh one every epoch
    bench(
        Task(config, **size),
        options.output or PROJECT / "results" / "bench" / ("quick" if options.quick else profile),
    )


def doctor(options) -> int:
    """Check versions, backend, data, weights and the store."""
    from acrlls.doctor import examine

    problems = 0
    for title, good, text in examine(_usage(configure, options.profile)):
        problems += not good
        print(f"{'ok' if good else 'problem':<8} {title:<9} {text}", flush=True)
    return 1 if problems else 0


def _section(name: str) -> Section:
    """The section that a user means by its name, its name without the number, its number, or its path."""
    known = all_sections()
    wanted = Path(name).stem if name.endswith(".ipynb") else name
    for section in known:
        number = section.name.split("_")[0]
        if wanted in (section.name, section.slug, number, str(int(number))):
            return section
    near = difflib.get_close_matches(wanted, [s.slug for s in known] + [s.name for s in known], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(s.slug for s in known)
    raise UsageError(f"there is no section {name!r}; {hint}")


def _values(pairs: list[tuple[str, str]], known, where: str) -> dict[str, Any]:
    """``-p name value`` pairs as Python values; a name that is not known is refused."""
    for name, _ in pairs:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else "it has: " + ", ".join(known)
            raise UsageError(f"{where} has no parameter {name!r}; {hint}")
    return {name: _value(text.strip()) for name, text in pairs}


def _value(text: str) -> Any:
    """The text as None, a boolean, a number or a list where it reads as one, else as it is."""
    named = {"none": None, "null": None, "true": True, "false": False}
    if text.lower() in named:
        return named[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return list(value) if isinstance(value, tuple) else value


def _usage(function, *args, **kwargs):
    """Call, with a :class:`UserError` turned into one of usage."""
    try:
        return function(*args, **kwargs)
    except UserError as error:
        raise UsageError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
