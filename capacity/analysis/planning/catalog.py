"""The catalogue: sizes that can be rented, with what each holds and costs; read from CSV and validated."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from capacity.errors import CapacityError

FOLDER = Path("data") / "catalog"
ANYWHERE = "any"
WORDS = ("service", "size", "region", "currency", "basis", "source", "date", "price_source", "price_date")
NUMBERS = (
    "vcpu",
    "memory_gib",
    "baseline_share",
    "network_gbps",
    "max_connections",
    "pooler_clients",
    "iops",
    "price_per_hour",
)
NEEDED = ("service", "size", "region", "source", "date")
PRICED = ("currency", "basis", "price_source", "price_date")
ANSWERS = {"yes": True, "no": False}
FREE = ("price_per_hour", "baseline_share")  # a size may cost nothing, and a baseline may be no CPU at all


@dataclass(frozen=True, slots=True)
class Size:
    """One size of a service in a region; None is unknown, which is neither zero nor enough.

    `memory_gib` is what the service lets its user fill, and `network_gbps` what it carries without end. The CPU of a
    `burstable` size sustains `baseline_share` (0–1) of each of its `vcpu`, and more only while it has credits. `source`
    and `date` are of what it holds, `price_source` and `price_date` of what it costs; `basis` says what is paid for.
    `servers` above 1 is a group of equal ones, of which all figures are the sum.
    """

    service: str
    size: str
    region: str
    vcpu: float | None = None
    memory_gib: float | None = None
    burstable: bool = False
    baseline_share: float | None = None
    network_gbps: float | None = None
    max_connections: float | None = None
    pooler_clients: float | None = None
    iops: float | None = None
    price_per_hour: float | None = None
    currency: str = ""
    basis: str = ""
    source: str = ""
    date: str = ""
    price_source: str = ""
    price_date: str = ""
    servers: int = 1

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it: service, size and region."""
        return self.service, self.size, self.region

    @property
    def sustained_vcpu(self) -> float | None:
        """The vCPU that it has without end: the baseline of a burstable size."""
        if not self.burstable:
            return self.vcpu
        return None if self.vcpu is None or self.baseline_share is None else self.vcpu * self.baseline_share


def read_catalog(folder: Path, own: Iterable[Path] = ()) -> list[Size]:
    """The sizes of all CSV files of a folder, and of files of your `own`, whose rows replace those of the same name.

    Raises CapacityError naming file and line for what is not a catalogue, and where one file names a size twice.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise CapacityError(f"there is no catalogue in {folder}: a CSV file with the columns {', '.join(NEEDED)}, …")
    sizes: dict[tuple[str, str, str], Size] = {}
    for file in files:
        found = _read(file)
        if twice := sorted(set(found) & set(sizes)):
            raise CapacityError(f"{file}: {' '.join(twice[0])} is in another file of {folder} too; keep one of them")
        sizes |= found
    for file in own:
        sizes |= _read(file)
    return list(sizes.values())


def sizes_of(catalog: Iterable[Size], service: str, region: str) -> list[Size]:
    """The sizes of a service in a region, or of one that is the same everywhere, the cheapest first.

    Those of unknown price come last. Raises CapacityError where there are none, naming the services and regions.
    """
    known = list(catalog)
    found = [each for each in known if each.service == service and each.region in (region, ANYWHERE)]
    if not found:
        there = sorted({f"{each.service} in {each.region}" for each in known})
        raise CapacityError(f"the catalogue has no {service} in {region}; it has {', '.join(there)}")
    return sorted(found, key=lambda each: (math.inf if each.price_per_hour is None else each.price_per_hour, each.size))


def find_size(catalog: Iterable[Size], service: str, size: str, region: str) -> Size:
    """One size by its names; CapacityError where there is none, naming those of the service."""
    there = sizes_of(catalog, service, region)
    for each in there:
        if each.size == size:
            return each
    named = ", ".join(each.size for each in there)
    raise CapacityError(f"the catalogue has no {service} {size} in {region}; it has {named}")


def _read(file: Path) -> dict[tuple[str, str, str], Size]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            columns = list(reader.fieldnames or ())
            _check_columns(file, columns)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CapacityError(f"cannot read the catalogue {file}: {error}") from None
    sizes: dict[tuple[str, str, str], Size] = {}
    for line, row in rows:
        size = _size(f"{file}, line {line}", row)
        if size.key in sizes:
            raise CapacityError(f"{file}, line {line}: {' '.join(size.key)} is there twice; keep one of them")
        sizes[size.key] = size
    return sizes


def _check_columns(file: Path, columns: list[str]) -> None:
    accepted = [each.name for each in fields(Size) if each.name != "servers"]
    if missing := [name for name in NEEDED if name not in columns]:
        raise CapacityError(f"{file} has no column {missing[0]!r}; a catalogue needs {', '.join(NEEDED)}")
    if unknown := [name for name in columns if name not in accepted]:
        raise CapacityError(f"{file} has an unknown column {unknown[0]!r}; accepted are {', '.join(accepted)}")


def _size(where: str, row: Mapping[str | None, str | None]) -> Size:
    if None in row or None in row.values():
        raise CapacityError(f"{where}: the row has not as many values as the header; quote a text that has a comma")
    cells = {str(name): (cell or "").strip() for name, cell in row.items()}
    if empty := [name for name in NEEDED if not cells[name]]:
        raise CapacityError(f"{where}: {empty[0]} is empty; each size needs {', '.join(NEEDED)}")
    numbers = {name: _number(where, name, cells[name]) for name in NUMBERS if cells.get(name)}
    if cells.get("price_per_hour") and (empty := [name for name in PRICED if not cells.get(name)]):
        raise CapacityError(f"{where}: the price has no {empty[0]}; a price needs {', '.join(PRICED)}")
    answer = cells.get("burstable") or "no"
    if answer not in ANSWERS:
        raise CapacityError(f"{where}: burstable is {answer!r}; accepted are yes and no")
    words = {name: cells[name] for name in WORDS if name in cells}
    return Size(**words, **numbers, burstable=ANSWERS[answer])  # type: ignore[arg-type]


def _number(where: str, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    lowest_is_zero = name in FREE
    if not (math.isfinite(value) and (value >= 0 if lowest_is_zero else value > 0)):
        accepted = "a number from 0" if lowest_is_zero else "a number above 0"
        raise CapacityError(f"{where}: {name} is {cell!r} and must be {accepted}; leave it empty where it is not known")
    if name == "baseline_share" and value > 1:
        raise CapacityError(f"{where}: baseline_share is {cell!r} and must be a share from 0 to 1 of each vCPU")
    return value
