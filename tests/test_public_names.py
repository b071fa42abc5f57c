"""The names that notebooks and scripts import from `capacity` itself."""

import subprocess
import sys

import capacity


def test_each_public_name_is_there_and_stays_the_same() -> None:
    for name in capacity.__all__:
        assert getattr(capacity, name) is getattr(capacity, name)
        assert name in dir(capacity)


def test_importing_capacity_loads_neither_pandas_nor_scipy() -> None:
    said = "import sys, capacity; print(sorted({'pandas', 'scipy', 'numpy', 'pyarrow'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
