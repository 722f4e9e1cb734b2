"""The ledger: every claim has a check or a reason, and every check a claim."""

import html
import re
from fnmatch import fnmatchcase
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import CONTRADICTIONS

from acrlls import cli, ledger, paper
from acrlls import figures as plots
from acrlls.config import PROJECT
from acrlls.ledger import CLAIMS, MAIN, page
from acrlls.ledger.ledger import CHECKS, question
from acrlls.ledger.verdicts import RULES
from acrlls.paper import NUMBERS, PUBLISHED

matplotlib.use("Agg")

TEXT = Path(__file__).parents[3] / "shared" / "paper" / "win-yao-acr-lls-mnetcal.txt"

# Numerals of the text that claim nothing, and what they are.
NOT_CLAIMS = {
    r"\[\d+(?:\], \[\d+)*\]": "a reference",
    r"\b(?:Fig|Eq)\. ?\d": "number of a figure or an equation",
    r"\(\d\) ?\$?\$?$": "number of an equation",
    r"Algorithm 1": "number of an algorithm",
    r"[Pp]hase ?1?2?\b|PHASE1": "name of a phase",
    r"MobileNetV2|COVID-19|F1-[Ss]core": "part of a name",
    r"p_[12]": "index of a symbol",
    r"max\(0,": "zero of a formula",
    r"epoch\} = 1|epoch = 1|runs from 1 to C": "first value of an index",
}

# --- Completeness ---


def test_every_claim_has_a_check_or_a_reason_and_every_check_a_claim():
    assert [key for key, c in CLAIMS.items() if bool(c.checks) == bool(c.reason)] == []
    assert {name for c in CLAIMS.values() for name in c.checks} == set(CHECKS)
    assert len(CLAIMS) == len(NUMBERS) + len(PUBLISHED["statements"]) > 200


def test_every_pattern_of_the_data_matches_a_claim():
    patterns = [
        p for part in ("checks", "unchecked") for keys in RULES[part] for p in keys.split(", ")
    ]
    patterns += [p for ps in RULES["weights"].values() for p in ps]
    assert [p for p in patterns if not any(fnmatchcase(key, p) for key in CLAIMS)] == []


def test_every_check_is_found_by_its_name():
    for name, check in CHECKS.items():
        assert callable(check) and check.__name__ == name and question(name).endswith("?")


def numerals(text):
    """(place, numeral) of whatever in the body of the paper looks like a number."""
    body = text.split("\nREFERENCES")[0].split("Abstract—", 1)[1]
    place, roman, letter = "Abstract", "", ""
    for line in body.splitlines():
        table, part, sub = (
            re.match(p, line)
            for p in (r"TABLE ([IV]+):", r"([IV]+)\. [A-Z]{3}", r"([A-E])\. [A-Z]")
        )
        if part:
            roman, letter = part[1], ""
        if sub:
            letter = sub[1]
        if line.startswith("Algorithm 1:"):
            place = "Algorithm 1"
        elif table:
            place = f"Table {table[1]}"
        elif (
            line
            and "\t" not in line
            and not (place == "Algorithm 1" and not line.startswith("Phase 1 ("))
        ):
            place = f"Section {roman}{letter and '-' + letter}" if roman else "Abstract"
        for pattern in NOT_CLAIMS:
            line = re.sub(pattern, " ", line)
        yield from (
            (place, n)
            for n in re.findall(
                r"\d[\d,]*(?:\.\d+)?%?", line.replace("\\%", "%").replace(", ", " , ")
            )
        )


@pytest.mark.real
def test_every_numeral_of_the_paper_is_a_claim_or_is_excepted_with_a_reason():
    if not TEXT.is_file():
        pytest.skip(f"the text of the paper is not at {TEXT}")
    found = list(numerals(TEXT.read_text("utf-8")))
    claimed = {(place, n.printed) for n in NUMBERS.values() for place in n.where.split("; ")}
    as_fraction = {(place, p.removesuffix("%")) for place, p in claimed}
    missing = [pair for pair in found if pair not in claimed and pair not in as_fraction]
    assert missing == []
    # and the other way: a number that the data have, stands where they say
    words = {"4", "0"}  # printed as words
    printed = {(place, n.removesuffix("%")) for place, n in found}
    invented = {
        (place, p) for place, p in as_fraction if (place, p) not in printed and p not in words
    }
    assert invented == set()
    assert len(found) > 150


@pytest.mark.real
def test_every_statement_is_in_the_papers_words():
    if not TEXT.is_file():
        pytest.skip(f"the text of the paper is not at {TEXT}")
    plain = {"α": "alpha", "τ": "tau", "$": "", "\\alpha": "alpha", "\\tau": "tau", "’": "'"}
    text = TEXT.read_text("utf-8")
    for old, new in plain.items():
        text = text.replace(old, new)
    text = " ".join(text.split())
    for key, (quote, _) in PUBLISHED["statements"].items():
        if key != "lls.interpretation":  # a column of Table II
            for part in quote.split(" … "):
                assert part in text, part


# --- The ledger as a whole ---


def test_the_counts_add_up_and_every_outcome_has_a_verdict_and_evidence(entries):
    assert entries.counts.sum() == len(CLAIMS) and list(entries.counts.index) == list(
        ledger.VERDICTS
    )
    for entry in entries.values():
        for outcome in entry.outcomes.values():
            assert outcome.verdict in ledger.VERDICTS
            assert outcome.evidence.endswith(".") and "nan" not in outcome.evidence
            assert outcome.evidence.strip() == outcome.evidence and "()" not in outcome.evidence
            assert not re.search(r"[+−]0\.0+\b(?![.\d])", outcome.evidence), outcome.evidence


def test_the_table_has_a_row_a_claim_with_its_verdict_and_its_evidence(entries):
    table = ledger.html(entries.values())
    assert table.count("<tr id=") == len(CLAIMS) == len(set(re.findall(r'<tr id="([^"]+)"', table)))
    row = re.search(r'<tr id="claim-share-normal".*?</tr>', table)[0]
    held = "does not follow", "10,192 / 21,165", 'data-weight="set-up"', '<th scope="row"'
    assert all(part in row for part in (*held, "<details>"))
    assert "<script" not in table and "http" not in table
    assert "the profile <code>paper</code>" in table and "`" not in table


def test_a_search_looks_into_claims_and_evidence(entries):
    assert [e.claim.key for e in entries.search("10,192 /", verdict="does not follow")] == [
        "share.Normal"
    ]
    assert entries.search("no such thing") == []
    assert [e.claim.key for e in entries.search(weight="main")] == [
        key for key in CLAIMS if key in MAIN
    ]


# --- The ten main claims ---


def test_ten_claims_weigh_most_and_each_names_the_check_that_decides_and_a_section(entries):
    assert len(MAIN) == 10
    for key, given in MAIN.items():
        assert given["by"] in CLAIMS[key].checks
        assert (PROJECT / "notebooks" / f"{given['section']}.md").is_file()


def test_the_sentence_of_a_main_claim_is_the_first_of_its_check(entries):
    shown = page.main_claims(entries)
    for (key, given), row in zip(MAIN.items(), shown.data.itertuples(), strict=True):
        outcome = entries[key].outcomes[given["by"]]
        first = html.unescape(row.evidence).replace("’", "'")
        assert row.verdict == outcome.verdict and outcome.evidence.startswith(first)
        assert first.endswith(".") and len(first) <= 250  # the ledger's row has the rest
        assert (
            re.search(r"\d", row.evidence) and f'11_ledger.html#{ledger.anchor(key)}"' in row.more
        )
        assert f'"sections/{given["section"]}.html"' in row.more


# --- The command ---


@pytest.fixture
def quick(monkeypatch, entries):
    """The command with few resamples."""
    monkeypatch.setattr(ledger, "Ledger", lambda: entries)


def test_the_command_prints_the_ledger_within_a_hundred_columns(quick, capsys):
    assert cli.main(["claims", "table", "iii", "--evidence"]) == 0
    out = capsys.readouterr().out
    assert "table_III.COVID.Recall" in out and "529 / 543" in out
    assert max(map(len, out.splitlines())) <= 100


def test_an_unknown_verdict_is_a_mistake_in_the_command(quick, capsys):
    assert cli.main(["claims", "xyzzy"]) == 0
    assert capsys.readouterr().out == "there is no such claim\n"
    assert cli.main(["claims", "--verdict", "true"]) == 2
    assert "known: does not follow" in capsys.readouterr().err


# --- The book ---


def test_the_chapter_on_the_claims_links_to_rows_that_exist_and_to_every_contradiction():
    text = (PROJECT / "book" / "claims.md").read_text("utf-8")
    linked = set(re.findall(r"sections/11_ledger\.html#([\w-]+)", text))
    anchors = {ledger.anchor(key) for key in CLAIMS}
    assert len(anchors) == len(CLAIMS) and linked <= anchors
    assert {ledger.anchor(key) for key in CONTRADICTIONS} <= linked


def test_no_line_of_the_chapters_on_the_claims_is_a_comment():
    for name in ("book/claims.md", "notebooks/11_ledger.md"):
        lines = (PROJECT / name).read_text("utf-8").splitlines()
        assert [line for line in lines if line.startswith("%")] == [], name


# --- The figures ---


def test_the_figure_of_the_floors_has_every_published_ece_as_a_line(entries):
    table = ledger.ece_tests(entries.facts).drop("sum", level="class")
    axes = plots.plot_ece_floors(table)
    drawn = [set(line.get_ydata()) for ax in axes[0] for line in ax.lines]
    level = set().union(*(values for values in drawn if len(values) == 1))
    assert level == set(paper.table("V").to_numpy().ravel())
    plt.close("all")


def test_the_figure_of_mcnemar_has_our_runs_on_its_curve(entries):
    curve, ours = ledger.accuracy_curve(entries.facts, "accuracy.baseline")
    ax = plots.plot_mcnemar(curve, ours)
    (dots,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert [*zip(*dots.get_data(), strict=True)] == [(k, curve[k]) for k in sorted(ours.values())]
    plt.close("all")


def test_the_disagreement_of_our_runs_is_that_of_the_papers_class_mix(entries):
    curve, ours = ledger.accuracy_curve(entries.facts, "accuracy.baseline")
    published = np.array([543, 903, 1530, 203])  # images by class, Table III
    for first, second in entries.facts.runs_of("Baseline", "Proposed"):
        a, b = (run.predictions("test") for run in (first, second))
        wrong = np.array([(t.classes != t.labels).astype(float) for t in (a, b)])
        rates = np.array([wrong[:, a.labels == k].mean(axis=1) for k in range(4)]) @ np.ones(2)
        apart = [(wrong[0] != wrong[1])[a.labels == k].mean() for k in range(4)]
        target = published @ apart / (published @ rates) * (190 + 169)  # their mistakes
        assert abs(ours[first.folder.parent.name] - target) <= 1


def test_the_front_page_gets_the_count_of_each_verdict(entries):
    told = entries.summary()
    noise = {"ece_noise", "gap_noise", "accuracy_noise", "exceeds_seeds"}  # no run repeats these
    tried = [key for key, given in MAIN.items() if given["by"] not in noise]
    assert f"Runs can repeat {len(tried)} of the main claims" in told and len(tried) < len(MAIN)
    heads = pd.Series([entries[key].outcomes[g["by"]].verdict for key, g in MAIN.items()])
    assert all(f"*{verdict}* {n}" in told for verdict, n in heads.value_counts().items())
    assert told.count("*") == 4 + 2 * heads.nunique()
    cells = nbformat.read(PROJECT / "notebooks" / "11_ledger.ipynb", as_version=4).cells
    assert [
        "claims.summary()" in c.source for c in cells if "finding" in c.metadata.get("tags", [])
    ] == [True]
