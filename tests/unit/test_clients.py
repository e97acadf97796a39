"""What a function pays at its start: no client, and nothing that makes one."""

import subprocess
import sys
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "functions"


@pytest.mark.parametrize("function", ["aggregate_bars", "api"])
def test_a_function_imports_what_makes_clients_only_with_the_first_of_them(function: str) -> None:
    program = "import sys, handler; print(*sorted({'boto3', 'botocore.session', 'pandas'} & sys.modules.keys()))"

    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, cwd=FUNCTIONS / function, capture_output=True, text=True, check=True).stdout

    assert loaded.split() == []
