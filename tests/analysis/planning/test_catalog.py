"""The catalogue says what is known and from where, and refuses what it cannot read."""

from pathlib import Path

import pytest

from capacity.analysis.planning.catalog import (
    Size,
    find_size,
    of_unknown_volume,
    other_regions,
    read_catalog,
    sizes_of,
    with_volume,
)
from capacity.errors import CapacityError

CATALOG = Path(__file__).parents[3] / "data" / "catalog"
HEADER = (
    "service,size,region,vcpu,memory_gib,burstable,baseline_share,price_per_hour,currency,basis,"
    "source,date,price_source,price_date"
)
ROW = "ec2,own.large,us-east-1,2,8,no,,0.1,USD,on demand,my invoice,2026-11-01,my invoice,2026-11-01"


def written(folder: Path, *rows: str, header: str = HEADER) -> Path:
    file = folder / "own.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def test_supabase_is_as_it_was_noted() -> None:
    """The table of facts: price, direct connections, memory and IOPS by size."""
    sizes = {each.size: each for each in sizes_of(read_catalog(CATALOG), "supabase", "any")}
    prices = [0, 0.01344, 0.0206, 0.0822, 0.1517, 0.2877, 0.562, 1.32, 2.562, 3.836, 5.12]
    names = ["Nano", "Micro", "Small", "Medium", "Large", "XL", "2XL", "4XL", "8XL", "12XL", "16XL"]
    assert [sizes[name].price_per_hour for name in names] == prices
    assert [sizes[name].max_connections for name in names] == [60, 60, 90, 120, 160, 240, 380, 480, 490, 500, 500]
    assert [sizes[name].memory_gib for name in names] == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 192, 256]
    assert [sizes[name].iops for name in names][-3:] == [40000, 50000, 80000]
    assert [name for name in names if sizes[name].burstable] == names[:4]


def test_every_figure_has_a_source_and_every_price_its_own() -> None:
    catalog = read_catalog(CATALOG)
    assert {each.service for each in catalog} == {"supabase", "ec2", "rds", "elasticache", "rds_gp3", "supabase_gp3"}
    assert len(catalog) >= 60
    for each in catalog:
        assert each.source and each.date
        assert (each.price_per_hour is None) == (not each.price_source)
        if each.price_per_hour is not None:
            assert each.currency == "USD" and each.basis and each.price_date


def test_an_unknown_price_is_unknown_and_comes_last() -> None:
    sizes = sizes_of(read_catalog(CATALOG), "rds", "us-east-1")
    prices = [each.price_per_hour for each in sizes]
    known = [price for price in prices if price is not None]
    assert known == sorted(known)
    assert None in prices and prices[: len(known)] == known
    assert 0 not in known


def test_a_burstable_size_sustains_its_baseline_and_one_without_is_unknown() -> None:
    catalog = read_catalog(CATALOG)
    assert find_size(catalog, "ec2", "t3.medium", "us-east-1").sustained_vcpu == pytest.approx(0.4)
    assert find_size(catalog, "ec2", "m6g.large", "us-east-1").sustained_vcpu == 2
    assert find_size(catalog, "supabase", "Medium", "us-east-1").sustained_vcpu is None


def test_rows_of_ones_own_replace_and_extend(tmp_path: Path) -> None:
    cheaper = "ec2,m6g.large,us-east-1,2,8,no,,0.05,USD,reserved,my contract,2026-11-01,my contract,2026-11-01"
    catalog = read_catalog(CATALOG, [written(tmp_path, ROW, cheaper)])
    assert find_size(catalog, "ec2", "own.large", "us-east-1").memory_gib == 8
    assert find_size(catalog, "ec2", "m6g.large", "us-east-1").price_per_hour == 0.05
    assert len(catalog) == len(read_catalog(CATALOG)) + 1


def test_an_empty_cell_is_unknown(tmp_path: Path) -> None:
    (size,) = read_catalog(tmp_path) if written(tmp_path, "ec2,x,us-east-1,,,,,,,,s,d,,") else []
    assert size == Size(service="ec2", size="x", region="us-east-1", source="s", date="d")


@pytest.mark.parametrize(
    ("rows", "header", "sentence"),
    [
        (["ec2,x,us-east-1,s"], "service,size,region,source", "line 1: the column 'date' is missing"),
        ([ROW + ",red"], HEADER + ",colour", "line 1: there is no column 'colour'; accepted are service, size,"),
        (
            [ROW.replace(",0.1,", ",ten,")],
            HEADER,
            "line 2: price_per_hour: must be a number and is 'ten'",
        ),
        (
            [ROW.replace(",0.1,", ',"0,1",')],
            HEADER,
            "line 2: price_per_hour: is '0,1'; write the decimal mark as a point, as 0.1",
        ),
        ([ROW.replace(",0.1,", ",inf,")], HEADER, "line 2: price_per_hour: must be a finite number and is"),
        ([ROW.replace(",2,8,", ",0,8,")], HEADER, "line 2: vcpu: must be more than 0 and is '0'"),
        (
            [ROW.replace(",no,,", ",yes,1.5,")],
            HEADER,
            "line 2: baseline_share: must be 1 or less and is '1.5'",
        ),
        ([ROW.replace(",no,,", ",maybe,,")], HEADER, "line 2: burstable: must be true or false and is 'maybe'"),
        ([ROW.replace(",USD,", ",,")], HEADER, "line 2: currency: must be given with a price and is ''"),
        (
            [ROW.replace("my invoice,2026-11-01,my", ",2026-11-01,my")],
            HEADER,
            "line 2: source: the key is missing (where its figures come from)",
        ),
        ([ROW, ROW], HEADER, "line 3: ec2 own.large us-east-1 is there twice; keep one of them"),
        (
            [ROW + ",more"],
            HEADER,
            "line 2: the row has not as many values as the header; quote a text that has a comma",
        ),
    ],
)
def test_what_is_no_catalogue_is_refused_with_its_line(
    tmp_path: Path, rows: list[str], header: str, sentence: str
) -> None:
    with pytest.raises(CapacityError) as refused:
        read_catalog(tmp_path) if written(tmp_path, *rows, header=header) else None
    assert f"{tmp_path / 'own.csv'}" in str(refused.value)
    assert sentence in str(refused.value)


def test_what_the_catalogue_has_not_is_named(tmp_path: Path) -> None:
    catalog = read_catalog(tmp_path) if written(tmp_path, ROW) else []
    with pytest.raises(CapacityError, match=r"^the catalogue has no rds in us-east-1; it has ec2 in us-east-1$"):
        sizes_of(catalog, "rds", "us-east-1")
    with pytest.raises(CapacityError, match=r"^the catalogue has no ec2 t3\.huge in us-east-1; it has own\.large$"):
        find_size(catalog, "ec2", "t3.huge", "us-east-1")
    with pytest.raises(CapacityError, match=r"^there is no catalogue in .*nowhere: a CSV file with the columns"):
        read_catalog(tmp_path / "nowhere")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_file_is_read_as_table_programs_write_it(tmp_path: Path, mark: str, separator: str) -> None:
    """With a byte order mark before the first name, and semicolons or tabs between the values."""
    text = mark + "\r\n".join([HEADER, ROW]).replace(",", separator)
    (tmp_path / "own.csv").write_bytes(text.encode())
    (size,) = read_catalog(tmp_path)
    assert (size.service, size.size, size.price_per_hour) == ("ec2", "own.large", 0.1)


def test_a_decimal_comma_between_semicolons_is_refused_and_one_in_a_text_is_not(tmp_path: Path) -> None:
    row = ROW.replace(",", ";").replace("0.1", "0,1").replace("my invoice", "7,5 of my invoice", 1)
    with pytest.raises(CapacityError, match=r"line 2: price_per_hour: is '0,1'; write the decimal mark as a point"):
        read_catalog(tmp_path) if written(tmp_path, row, header=HEADER.replace(",", ";")) else None
    (size,) = (
        read_catalog(tmp_path)
        if written(tmp_path, row.replace(";0,1;", ";0.1;"), header=HEADER.replace(",", ";"))
        else []
    )
    assert size.source == "7,5 of my invoice"


def test_sizes_of_another_region_are_named() -> None:
    catalog = read_catalog(CATALOG)
    here = other_regions(catalog, ["rds", "supabase"], "us-east-1")
    assert here == []
    moved = [each.model_copy(update={"region": "eu-central-1"}) for each in catalog if each.service == "rds"][:2]
    assert other_regions([*catalog, *moved], ["rds", "rds", "ec2"], "us-east-1") == [
        "2 sizes of rds are of eu-central-1, and the plan is of us-east-1: they are not chosen from"
    ]
    assert other_regions(moved[:1], ["rds"], "us-east-1") == [
        "1 size of rds is of eu-central-1, and the plan is of us-east-1: it is not chosen from"
    ]


def test_a_class_takes_no_more_connections_than_its_memory_gives_it() -> None:
    """RDS: LEAST(memory / 9,531,392, 5,000), of the memory that the class leaves."""
    for each in sizes_of(read_catalog(CATALOG), "rds", "us-east-1"):
        if each.max_connections is not None and each.memory_gib is not None:
            assert each.max_connections <= min(each.memory_gib * 2**30 / 9531392, 5000) * 1.0001


def test_a_size_with_a_volume_has_the_least_of_both_and_what_is_not_known_stays_so(tmp_path: Path) -> None:
    volume = Size(service="v", size="20 GiB", region="any", iops=3000, storage_gib=20, source="s", date="d")
    catalog = read_catalog(CATALOG)
    small, large = (find_size(catalog, "rds", name, "us-east-1") for name in ("db.t3.medium", "db.m5.24xlarge"))
    assert [with_volume(each, volume).iops for each in (small, large)] == [2000, 3000]
    assert with_volume(small, volume).price_per_hour is None
    assert with_volume(small, volume).title == "db.t3.medium + 20 GiB"
    assert with_volume(small, volume.model_copy(update={"iops": None})).iops is None
    assert [of_unknown_volume(each, [volume]).iops for each in (small, large)] == [2000, None]
