"""The catalogue: sizes that can be rented, with what each holds and costs; read from CSV and validated."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, ValidationInfo, field_validator

from capacity.errors import CapacityError
from capacity.validation.model import Strict
from capacity.validation.names import did_you_mean, instead
from capacity.yaml_file import parse_model

ANYWHERE = "any"
DECIMAL_COMMA = re.compile(r"^-?\d+,\d+$")
HOURS = 730  # in a month, as the providers bill it: 8,760 / 12


class Size(Strict):
    """One size of a service in a region; None is unknown, which is neither zero nor enough.

    `memory_gib` is what the service lets its user fill, and `network_gbps` what it carries without end. The CPU of a
    `burstable` size sustains `baseline_share` (0–1) of each of its `vcpu`, and more only while it has credits. `source`
    and `date` are of what it holds, `price_source` and `price_date` of what it costs; `basis` says what is paid for.
    `servers` above 1 is a group of equal ones, of which all figures are the sum. With a `volume` its `storage_gib`,
    `iops` and price are those of both together.
    """

    model_config = ConfigDict(allow_inf_nan=False, validate_default=True)

    service: str = Field(description="The service.", examples=["rds"])
    size: str = Field(description="The size's name.", examples=["db.t3.medium"])
    region: str = Field(description="The region, or `any`.", examples=["us-east-1"])
    vcpu: PositiveFloat | None = Field(None, description="How many virtual CPUs it has.")
    memory_gib: PositiveFloat | None = Field(None, description="The memory that its user can fill, in GiB.")
    burstable: bool = Field(False, description="Whether its CPU is full only while it has credits.")
    baseline_share: float | None = Field(None, ge=0, le=1, description="The share of each vCPU it sustains, 0 to 1.")
    network_gbps: PositiveFloat | None = Field(None, description="What its network carries without end, in Gbit/s.")
    max_connections: PositiveFloat | None = Field(None, description="How many connections it takes.")
    pooler_clients: PositiveFloat | None = Field(None, description="How many clients its pooler takes.")
    iops: PositiveFloat | None = Field(None, description="How many operations a second it and its disk sustain.")
    storage_gib: PositiveFloat | None = Field(None, description="How much its disk holds, in GiB.")
    price_per_hour: NonNegativeFloat | None = Field(None, description="What an hour of it costs.")
    currency: str = Field("", description="Of the price; given with it.", examples=["USD"])
    basis: str = Field("", description="What is paid for; given with the price.", examples=["on demand"])
    source: str = Field(description="Where its figures come from.")
    date: str = Field(description="Of which date these are.")
    price_source: str = Field("", description="Where its price comes from; given with it.")
    price_date: str = Field("", description="Of which date that is; given with it.")
    servers: int = Field(1, ge=1, description="How many equal servers it is, of which all figures are the sum.")
    volume: str = Field("", description="The volume that is with it, of which its figures are, too.")

    @field_validator("currency", "basis", "price_source", "price_date")
    @classmethod
    def _given_with_a_price(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("price_per_hour") is not None:
            raise ValueError("must be given with a price")
        return value

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it: service, size and region."""
        return self.service, self.size, self.region

    @property
    def title(self) -> str:
        """Its name, with that of its volume."""
        return f"{self.size} + {self.volume}" if self.volume else self.size

    @property
    def sustained_vcpu(self) -> float | None:
        """The vCPU that it has without end: the baseline of a burstable size."""
        if not self.burstable:
            return self.vcpu
        return None if self.vcpu is None or self.baseline_share is None else self.vcpu * self.baseline_share

    @property
    def monthly(self) -> float | None:
        """What it costs in a month of 730 hours; None where its price is not known."""
        return None if self.price_per_hour is None else self.price_per_hour * HOURS


def with_volume(size: Size, volume: Size) -> Size:
    """A size with a volume: what both sustain is the least of the two, and what is not known of one is not known.

    Raises CapacityError where their prices are in two currencies.
    """
    prices, iops = [size.price_per_hour, volume.price_per_hour], [size.iops, volume.iops]
    if len(found := {each.currency for each in (size, volume) if each.price_per_hour is not None}) > 1:
        raise CapacityError(f"{size.title} and {volume.size} have prices in {' and '.join(sorted(found))}; give one")
    both = {
        "iops": None if None in iops else min(each for each in iops if each is not None),
        "storage_gib": volume.storage_gib,
        "price_per_hour": None if None in prices else math.fsum(each for each in prices if each is not None),
        "volume": volume.size,
    }
    return size.model_copy(update=both)


def of_unknown_volume(size: Size, volumes: Sequence[Size]) -> Size:
    """A size whose volume is not known: it sustains its own operations where every volume does, and its price is known
    but for the volume's.
    """
    least = min((each.iops or 0.0 for each in volumes), default=0.0)
    return size if size.iops is not None and size.iops <= least else size.model_copy(update={"iops": None})


def other_regions(own: Iterable[Size], services: Iterable[str], region: str) -> list[str]:
    """A sentence for each service of which sizes are of another region, and so not used."""
    known = [each for each in own if each.region not in (region, ANYWHERE)]
    rows = {service: [each for each in known if each.service == service] for service in dict.fromkeys(services)}
    return [
        f"{len(found)} size{'s' * (len(found) > 1)} of {service} {'are' if len(found) > 1 else 'is'} of "
        f"{', '.join(sorted({each.region for each in found}))}, and the plan is of {region}: "
        f"{'they are' if len(found) > 1 else 'it is'} not chosen from"
        for service, found in rows.items()
        if found
    ]


def read_catalog(folder: Path, own: Iterable[Path] = ()) -> list[Size]:
    """The sizes of all CSV files of a folder, and of files of your `own`, whose rows replace those of the same name.

    Raises CapacityError naming file and line for what is not a catalogue, and where one file names a size twice.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        needed = [name for name, field in Size.model_fields.items() if field.is_required()]
        raise CapacityError(f"there is no catalogue in {folder}: a CSV file with the columns {', '.join(needed)}, …")
    sizes: dict[tuple[str, str, str], Size] = {}
    for file in files:
        found = read_sizes(file)
        if twice := sorted(set(found) & set(sizes)):
            raise CapacityError(f"{file}: {' '.join(twice[0])} is in another file of {folder} too; keep one of them")
        sizes |= found
    for file in own:
        sizes |= read_sizes(file)
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
    found = next((each for each in there if each.size == size), None)
    if found is None:
        named = ", ".join(each.size for each in there)
        raise CapacityError(f"the catalogue has no {service} {size} in {region}; it has {named}")
    return found


def read_sizes(file: Path) -> dict[tuple[str, str, str], Size]:
    """The sizes of one file, in which an empty cell is not known; CapacityError has a sentence for each bad line."""
    try:
        text = file.read_text(encoding="utf-8-sig")  # a table program may begin it with a mark of its byte order
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=_delimiter(text))
        wrong = [f"{file}, line 1: {each}" for each in _wrong_columns(reader.fieldnames or [])]
        rows = [(f"{file}, line {reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CapacityError(f"cannot read the catalogue {file}: {error}") from None
    sizes: dict[tuple[str, str, str], Size] = {}
    for where, row in rows if not wrong else []:
        try:
            size = _size(where, row)
            if size.key in sizes:
                raise CapacityError(f"{where}: {' '.join(size.key)} is there twice; keep one of them")
            sizes[size.key] = size
        except CapacityError as error:
            wrong += error.sentences
    if wrong:
        raise CapacityError(wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""), wrong)
    return sizes


def _delimiter(text: str) -> str:
    """What stands between the names of the header: a comma, or a semicolon or tab, as table programs write them."""
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _wrong_columns(names: Sequence[str]) -> Iterator[str]:
    known = list(Size.model_fields)
    unknown = [name for name in names if name not in known]
    like = {name: did_you_mean(name, known) for name in unknown}
    yield from (f"there is no column {name!r}{instead(name, known)}" for name in unknown)
    needed = [name for name in known if Size.model_fields[name].is_required() and name not in names]
    misspelt = "".join(like.values())
    yield from (f"the column {name!r} is missing" for name in needed if f"{name!r}" not in misspelt)


def _size(where: str, row: dict[str, str]) -> Size:
    if None in row or None in row.values():
        raise CapacityError(f"{where}: the row has not as many values as the header; quote a text that has a comma")
    cells = {name: cell.strip() for name, cell in row.items()}
    for name, cell in cells.items():
        if DECIMAL_COMMA.match(cell) and Size.model_fields[name].annotation is not str:
            read = cell.replace(",", ".")
            raise CapacityError(f"{where}: {name}: is {cell!r}; write the decimal mark as a point, as {read}")
    return parse_model({name: cell for name, cell in cells.items() if cell}, Size, where)
