"""A manifest is read once and validated; what it does not know is kept, and a newer format is one sentence."""

import json
import shutil
from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.manifest import (
    FORMAT,
    Manifest,
    manifests_beside,
    read_facts,
    read_manifest,
    read_run_manifest,
    write_facts,
)
from capacity.recording import create_recording, finish_recording, open_recording
from capacity.workload import parse_workload

DATA = Path(__file__).parents[1] / "data"
REDIS = DATA / "recorded" / "redis"


def with_facts(folder: Path, **facts: object) -> Path:
    """A copy of a committed recording's manifest, and of nothing else, with these facts."""
    folder.mkdir()
    kept = json.loads((REDIS / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps(kept | facts), encoding="utf-8")
    return folder


def test_every_committed_recording_is_read_and_has_the_first_format() -> None:
    read = [read_manifest(path.parent) for path in (DATA / "recorded").rglob("manifest.json")]
    assert len(read) > 20
    assert {(each.format, each.state) for each in read} == {(1, "complete")}
    assert all(each.admitted > 0 and each.origin_ns > 0 and each.stages and each.machine for each in read)


def test_a_new_recording_says_its_format_and_keeps_what_is_not_known_of(tmp_path: Path) -> None:
    path = create_recording(tmp_path / "new", {"operations": ["a"], "colour": "blue"})
    finish_recording(path, {"taste": "sweet"})
    recording = open_recording(path)
    assert {name: recording.manifest[name] for name in ("format", "colour", "taste")} == {
        "format": FORMAT, "colour": "blue", "taste": "sweet",
    }  # fmt: skip
    assert recording.facts.model_extra == {"colour": "blue", "taste": "sweet"}
    assert recording.facts is recording.facts


@pytest.mark.parametrize("given", [FORMAT + 1, "1", None])
def test_a_newer_format_is_one_sentence(tmp_path: Path, given: object) -> None:
    folder = with_facts(tmp_path / "newer", format=given)
    said = f"has the format {given!r} and this version reads up to {FORMAT}; use a newer version$"
    for read in (read_manifest, read_run_manifest, open_recording):
        with pytest.raises(CapacityError, match=said):
            read(folder)


def test_a_value_of_another_kind_is_one_sentence(tmp_path: Path) -> None:
    folder = with_facts(tmp_path / "wrong", connections="many")
    said = r"manifest.json: connections: must be a whole number and is 'many'; restore it, or measure again$"
    with pytest.raises(CapacityError, match=said):
        read_manifest(folder)


def test_a_workload_may_gain_an_option_without_new_recordings() -> None:
    """What an older recording does not say is what the option's default says."""
    facts = read_manifest(REDIS)
    older = {name: value for name, value in facts.workload.items() if name != "order"}
    assert len(older) == len(facts.workload) - 1
    assert parse_workload(older) == parse_workload(facts.workload)


@pytest.mark.parametrize(("name", "what"), [("admitted", "number of connections"), ("origin_ns", "begin")])
def test_what_is_noted_at_the_loads_begin_is_not_made_up(name: str, what: str) -> None:
    said = f"^the recording was broken off before its load began, so its {what} is not known; measure again$"
    with pytest.raises(CapacityError, match=said):
        getattr(Manifest(), name)


def test_recordings_are_found_beside_the_findings_or_below_recordings(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    with_facts(tmp_path / "recordings" / "one", name="one")
    with_facts(tmp_path / "two", name="two")
    shutil.copy(REDIS / "manifest.json", tmp_path / "manifest.json")  # of the run, which is no recording
    found = manifests_beside(tmp_path / "findings", ["one", "two", "three", ""])
    assert {name: each.name for name, each in found.items()} == {"one": "one", "two": "two"}


def test_each_change_of_what_a_manifest_says_is_noticed(tmp_path: Path) -> None:
    """Each name taken out, and each value made another; however its text is laid out, it says the same."""
    folder = tmp_path / "new"
    write_facts(folder, {"operations": ["a", "b"], "state": "complete", "stopped": "", "seconds": 1.5, "parts": []})
    file = folder / "manifest.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(said, indent=4), encoding="utf-8")
    assert read_facts(folder).items() < said.items()
    changed = [{each: value for each, value in said.items() if each != name} for name in said]
    changed += [said | {name: "another"} for name in said] + [said | {"more": 1}]
    for each in changed:
        file.write_text(json.dumps(each), encoding="utf-8")
        with pytest.raises(CapacityError, match=r"is not what was written|has the format"):
            read_facts(folder)
