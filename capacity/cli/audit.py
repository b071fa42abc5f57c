"""`capacity audit`: a published report by its own numbers."""

import sys
from pathlib import Path

import click

from capacity.places import in_project

REFERENCE = Path("data") / "reference" / "infrastructure-load-testing-report.yaml"


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="show what follows, too")
def audit(file: Path | None, everything: bool) -> None:
    """Judge a published report (by default the project's reference) by its own numbers.

    Exit code 0 where every claim follows, 1 where any does not or cannot be told.
    """
    from capacity.audit.agreement import Answer
    from capacity.audit.judgement import judge_claims
    from capacity.audit.report import read_published, untranscribed
    from capacity.audit.shown import print_audit

    path = file or in_project(REFERENCE)
    report = read_published(path)
    judged = judge_claims(report)
    print_audit(judged, untranscribed(report, path.parent), everything=everything)
    sys.exit(0 if all(claim.answer is Answer.FOLLOWS for claim in judged) else 1)
