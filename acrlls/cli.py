"""The command line, ``acrlls <command>``.

Exit status: 0 done, 1 failed (a cell raised, data or weights are missing), 2 wrong usage, 130
interrupted.
"""

import argparse
import ast
import contextlib
import inspect
import json
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

import acrlls
from acrlls import book
from acrlls.config import PROJECT, Config, UserError, configure, configure_from, hint, profiles
from acrlls.store import require_writable, write_text

FIELDS = Config.__dataclass_fields__
SETTINGS = [name for name in FIELDS if name not in ("profile", "variant")]
_VARIANTS, _LOSSES = (FIELDS[name].metadata["choices"] for name in ("variant", "loss"))
_OPTIONS = {"reproduce": ("--profile", "--variants"), "bench": ("--profile",)}  # by no -p
_TEXTS = ("profile", "data", "backbone", "gradcam_layer", "recorded", "search")


class UsageError(UserError):
    """A mistake in the command itself, exit status 2."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; the entry point of the ``acrlls`` script."""
    given = sys.argv[1:] if arguments is None else arguments
    # The parser takes a value such as -1..1 for an option, unless there is a space in it.
    values = {k + 2 for k, a in enumerate(given) if a == "-p"}
    given = [f" {a}" if k in values and a.startswith("-") else a for k, a in enumerate(given)]
    options = _parser().parse_args(given)
    with contextlib.suppress(ValueError, AttributeError):  # in a thread; of another stdout
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no half file stays
        sys.stdout.reconfigure(errors="backslashreplace")  # of signs that it has no code for
    try:
        return options.command(options) or 0
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:  # the text of the second names the file
        print(f"acrlls {options.name}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print(f"\nacrlls {options.name}: interrupted; what was trained is kept", file=sys.stderr)
        return 130


def run(options) -> int:
    """Execute one section with other parameters.

    acrlls run calibration -p bins 20 -o out.ipynb
    """
    section = _usage(book.find, options.section)
    parameters = _values(options.parameters, section.parameters, f"section {section.name}")
    # The section would say the same after its kernel has started; this says it at once.
    _usage(configure_from, parameters)
    output = options.output or Path(f"out_{section.name}.ipynb")
    if output.suffix != ".ipynb":
        raise UsageError(f"the output {output} must end in .ipynb")
    if output.exists() and not book.is_executed(output):
        raise UsageError(f"{output} is there and is no executed section; name another output")
    return _shown(options, output, book.execute, section, output, parameters)


def _shown(options, output: Path, work, *about) -> int:
    """Print the output of a section, or what failed in it; the exit status."""
    try:
        work(*about)
    except book.SectionFailed as failure:
        message = f"{failure}" if failure.is_user_error else failure.report()
        print(f"\nacrlls {options.name}: {message}\nsee also {output}", file=sys.stderr)
        return 1
    print(output)
    return 0


def sections(options) -> None:
    """List the sections and their parameters."""
    for section in book.all_sections():
        print(f"{section.name:<20} {section.title}")
        print(" " * 20, ", ".join(f"{k}={default}" for k, default in section.parameters.items()))


def student(options) -> None:
    """Write students' copies of exercises, without solutions; of all where none is named.

    acrlls student 3 noise_floor
    """
    known = book.all_exercises()
    chosen = [_usage(book.find, name, known, "exercise") for name in options.exercises]
    for exercise in chosen or known:
        print(book.write_student(exercise, options.output / f"{exercise.name}.ipynb"))


def reproduce(options) -> int:
    """Train with a profile and record each run under results/, for every combination of the lists.

    acrlls reproduce --profile laptop --losses focal mbls --seeds 0 1 2 -p phase2_epochs 0
    acrlls reproduce --profile laptop -p class_weights "[true, false]" -p alpha "[0.08, 0.2]"
    acrlls reproduce --profile laptop --data ~/my-images
    A run that is already kept is recorded as it is; one that was cut off goes on where it was.
    With --data, Baseline and Proposed are trained on your folder, and report.html says how they do.
    """
    given = _values(options.parameters, SETTINGS, "reproduce")
    variants, folder = options.variants or _VARIANTS[:3], options.output
    if options.data is not None:
        _for_a_report(options, given)
        given["data"], variants = options.data, ["baseline", "proposed"]
        name = _path(options.data).resolve().name.replace("{", "{{").replace("}", "}}")
        folder = folder or Path(f"report-{name}")  # such braces stand for no setting
    lists = {"seed": options.seeds, "loss": options.losses, "variant": variants}
    from acrlls import runs

    jobs = _usage(runs.study, options.profile, given, lists, folder)
    (done, config), *_ = jobs.items()
    if Path(config.data or "") in done.resolve().parents:  # it would be a class
        raise UsageError(f"the record {done} would lie among the images; give -o a folder")
    with runs.workers(options.jobs, options.scheduler):
        runs.reproduce(jobs, options.missing)
        if options.tune:
            table = acrlls.tune(config.replace(variant="proposed"))
            write_text(done.parent / "tuning.csv", table.to_csv(index=False))
            print(table.to_string(index=False))
    if options.data is None:
        return 0
    page = done.parent / "report.html"
    return _shown(options, page, book.write_report, done.parent, config)


def _for_a_report(options, given) -> None:
    """Refuse what a report, of Baseline and Proposed with one seed, could not show."""
    if options.variants or "data" in given:
        what = "--data names the images and compares Baseline and Proposed"
        raise UsageError(f"{what}; leave out --variants and -p data")
    if options.data.strip().lower() == "phantom":
        raise UsageError("--data takes a folder (./phantom); leave it out and give -p data phantom")
    lists = [v for n, v in given.items() if not isinstance(FIELDS[n].default, tuple)]
    if any(isinstance(v, list) and len(v) > 1 for v in (options.seeds, options.losses, *lists)):
        raise UsageError("a report is of one value a setting; give one, and -o a folder for each")


def cache(options) -> int:
    """List what the store keeps, check it, or clear it.

    acrlls cache                    what, how large, from when, for which settings
    acrlls cache --clear            delete stored features, which are computed again if asked for
    acrlls cache 3f2a --clear       delete the entries whose name begins so
    acrlls cache unfinished --clear delete runs that were cut off
    """
    from acrlls import runs as kept

    found = _usage(kept.entries, options.chosen or kept.CLEARED_BY_DEFAULT * options.clear)
    return kept.go_through(found, options.clear, options.check)


def claims(options) -> None:
    """Print every claim of the paper with what came of checking it.

    acrlls claims ece --verdict "does not follow" --evidence
    """
    from acrlls import ledger

    if (given := options.verdict) not in (None, *ledger.VERDICTS):
        raise UsageError(f"there is no verdict {given!r}; known: {', '.join(ledger.VERDICTS)}")
    print(f"checking {len(ledger.CLAIMS)} claims against the recorded runs", file=sys.stderr)
    entries = ledger.Ledger().search(*options.words, verdict=options.verdict, weight=options.weight)
    print(ledger.text(entries, options.evidence) or "there is no such claim")


def bench(options) -> None:
    """Time the paper's training, scaled down, in plain Keras and through the feature bank.

    Two epochs a phase, with fresh views; 1,000 images of 224 px take about 40 minutes on two cores.
    """
    from acrlls.tables import speed

    given = {"phase1_epochs": 2, "phase2_epochs": 2, "views": None}  # a fresh view every epoch
    profile = options.profile or ("paper" if os.environ.get("ACRLLS_DATA") else "quick")
    if options.images < 120:
        raise UsageError(f"{options.images} images; it takes 120 at least")
    given |= _values(options.parameters, SETTINGS, "bench")
    config = _usage(configure, profile, **given).replace(views=given["views"])
    folder = (options.output or speed.RECORDS / Path(profile).stem).absolute()
    _usage(require_writable, folder)
    # of the checkout; without one, the message names the missing file
    runpy.run_path(str(PROJECT / "results" / "bench.py"))["bench"](config, options.images, folder)
    hours = speed.hours(*speed.load(folder))
    print(speed.shown(hours).to_string(), speed.finding(hours), sep="\n")


def doctor(options) -> int:
    """Check versions, backend, data, weights and the store."""
    from acrlls.doctor import examine

    problems = 0
    for title, good, text in examine(_usage(configure, options.profile), options.twins):
        problems += not good
        print(f"{'ok' if good else 'problem':<8} {title:<9} {text}", flush=True)
    return 1 if problems else 0


COMMANDS = (run, sections, student, reproduce, cache, claims, bench, doctor)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("acrlls", description="Sections, runs and checks of the book.")
    parser.add_argument("--version", action="version", version=f"acrlls {acrlls.__version__}")
    how = {"required": True, "metavar": "COMMAND", "dest": "name", "title": "commands"}
    commands = parser.add_subparsers(**how)
    subs = {}
    for command in COMMANDS:
        text = inspect.getdoc(command)
        how = {"description": text, "formatter_class": argparse.RawDescriptionHelpFormatter}
        subs[command] = commands.add_parser(command.__name__, help=text.splitlines()[0], **how)
        subs[command].set_defaults(command=command, parameters=[])
    _arguments(lambda command, *names, **how: subs[command].add_argument(*names, **how))
    return parser


def _arguments(add) -> None:
    """The arguments of each command."""
    pair = {"dest": "parameters", "nargs": 2, "action": "append", "metavar": ("NAME", "VALUE")}
    flag, several = {"action": "store_true"}, {"nargs": "+", "action": "extend"}
    add(run, "section", metavar="SECTION", help="calibration, 06_calibration, 6, or a path")
    add(run, "-p", **pair, help="a parameter of the section; may be repeated")
    add(run, "-o", "--output", type=_path, help="the notebook; default: out_<section>.ipynb here")
    add(student, "exercises", nargs="*", metavar="EXERCISE", help="noise_floor, 10; default: all")
    add(student, "-o", "--output", type=_path, default=Path("exercises"), help="folder")
    add(reproduce, "-p", **pair, help="a setting, such as `seed 1`; may be repeated")
    add(reproduce, "--profile", default="paper", help=f"{', '.join(profiles())}; default: paper")
    add(reproduce, "--variants", **several, choices=_VARIANTS, help="default: the first three")
    add(reproduce, "--data", help="a folder of your own images, a folder a class; writes a report")
    add(reproduce, "--tune", **flag, help="run the tuning grid as well")
    add(reproduce, "--losses", **several, choices=_LOSSES, help="default: the profile's")
    add(reproduce, "--seeds", **several, type=int, help="default: the profile's")
    add(reproduce, "--jobs", type=int, default=1, help="runs at once on this machine; default: 1")
    add(reproduce, "--scheduler", help="address of a Dask scheduler whose workers train")
    add(reproduce, "--missing", **flag, help="leave alone what has a record")
    add(reproduce, "-o", "--output", type=_path, help="folder, with settings in braces: r-{seed}")
    add(cache, "chosen", nargs="*", help="kinds or (beginnings of) names; default: all")
    add(cache, "--clear", **flag, help="delete what is chosen; runs only if they are named")
    add(cache, "--check", **flag, help="compare stored features and runs with their digests")
    add(claims, "words", nargs="*", help="show claims that hold all these words")
    add(claims, "--verdict", help="show claims with this verdict")
    add(claims, "--weight", choices=("main", "result", "set-up", "wording"))
    add(claims, "--evidence", **flag, help="show the arithmetic as well")
    add(bench, "-p", **pair, help="a setting, such as `phase2_epochs 3`; may be repeated")
    add(bench, "--profile", help="default: paper where ACRLLS_DATA is set, else quick")
    add(bench, "--images", type=int, default=1000, help="images that are drawn; default: 1000")
    add(bench, "-o", "--output", type=_path, help="folder; default: results/bench/<profile>")
    add(doctor, "--profile", help="profile to look at; default: quick, or ACRLLS_PROFILE")
    add(doctor, "--twins", **flag, help="look for near copies across the split, in minutes")


def _path(text: str) -> Path:
    return Path(text).expanduser()  # no shell did where it was quoted


def _values(pairs: list[tuple[str, str]], known, where: str) -> dict[str, Any]:
    """``-p name value`` pairs as Python values; a name that is not known is refused, or twice."""
    names, flags = [name for name, _ in pairs], _OPTIONS.get(where, ())
    for name in names:
        if name not in known:
            raise UsageError(f"{where} has no parameter {name!r}; {hint(name, [*known, *flags])}")
        if names.count(name) > 1:
            raise UsageError(f"the parameter {name!r} is given {names.count(name)} times")
    values = {name: _value(text.strip()) for name, text in pairs}
    texts = {n: text.strip() for n, text in pairs if n in _TEXTS and values[n] is not None}
    return {**values, **texts}  # a folder may be called 1.10


def _value(text: str) -> Any:
    """The text as what JSON has, a boolean, a number or a list, if it reads as one, or as it is."""
    named = {"none": "None", "null": "None", "true": "True", "false": "False"}
    for read in (json.loads, ast.literal_eval):  # [true] and (True,) are both a list
        with contextlib.suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return json.loads(json.dumps(read(named.get(text.lower(), text))))
    return text


def _usage(function, *args, **kwargs):
    """Call, with a :class:`UserError` turned into one of usage."""
    try:
        return function(*args, **kwargs)
    except UserError as error:
        raise UsageError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
