"""What ships: built once by the real build, then looked at and imported with nothing else on the path."""

import filecmp
import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.deployment import host_architecture

ROOT = Path(__file__).resolve().parents[2]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
UNCHECKED_HASH = 0b01  # PEP 552: based on a hash, and the hash is not checked

pytestmark = pytest.mark.timeout(300)


def _build(artefact: str, output: Path, **environment: str) -> None:
    # As sam does it: make, in a copy of nothing, with the Makefile named by its own path.
    folder, target = {
        "layer": (ROOT / "layers/common", "build-CommonLayer"),
        "functions": (ROOT / "functions", "build-InitiateFunction"),
    }[artefact]
    subprocess.run(
        ["make", "--makefile", str(folder / "Makefile"), target],
        cwd=output.parent,
        env=_environment() | {"ARTIFACTS_DIR": str(output)} | environment,
        check=True,
        capture_output=True,
        timeout=240,
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIALPLANE_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layer and functions for this interpreter and processor, so that they can be imported here."""
    folder = tmp_path_factory.mktemp("artefacts")
    target = {"DIALPLANE_BUILD_PYTHON": VERSION, "DIALPLANE_BUILD_ARCH": host_architecture()}
    _build("layer", folder / "layer", **target)
    _build("functions", folder / "functions", **target)
    return folder


def _run_clean(artefacts: Path, code: str) -> str:
    """Run the code with the artefacts and the standard library on the path, and nothing of this environment."""
    paths = [str(artefacts / "functions"), str(artefacts / "layer/python")]
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def _handlers() -> list[str]:
    return sorted(
        ".".join(path.relative_to(ROOT / "functions").with_suffix("").parts)
        for path in (ROOT / "functions").glob("*/*.py")
        if path.name != "__init__.py"
    )


@pytest.mark.parametrize("module", _handlers())
def test_every_handler_imports_from_the_artefact_alone(artefacts: Path, module: str) -> None:
    _run_clean(artefacts, f"import {module}")


def test_every_module_of_ours_imports_from_the_artefact_alone(artefacts: Path) -> None:
    """All but the boto3 client: boto3 is in Lambda's runtime, and no function loads that module."""
    code = """
import importlib, pkgutil, dialplane
for module in pkgutil.walk_packages(dialplane.__path__, "dialplane."):
    if module.name != "dialplane.aws.boto":
        importlib.import_module(module.name)
"""
    _run_clean(artefacts, code)


def test_every_source_file_ships_with_bytecode_that_is_used_unchecked(artefacts: Path) -> None:
    """Archives made by SAM have constant dates, so bytecode that is checked against dates is never used."""
    sources = [*artefacts.rglob("*.py")]
    assert len(sources) > 300
    for source in sources:
        bytecode = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        assert bytecode.read_bytes()[4] == UNCHECKED_HASH, source


def test_bytecode_names_the_files_as_they_lie_on_lambda(artefacts: Path) -> None:
    """And not the folder of the build: so two machines build the same bytes."""
    for folder, name in (
        ("layer/python/dialplane", "/opt/python/dialplane"),
        ("functions/initiate", "/var/task/initiate"),
    ):
        bytecode = artefacts / folder / "__pycache__" / f"__init__.{sys.implementation.cache_tag}.pyc"
        assert marshal.loads(bytecode.read_bytes()[16:]).co_filename == f"{name}/__init__.py"  # noqa: S302


def test_nothing_ships_that_no_function_loads(artefacts: Path) -> None:
    layer = artefacts / "layer/python"
    for absent in (
        "boto3",
        "botocore",
        "aiohttp",
        "django",
        "requests",
        "twilio/rest",
        "phonenumbers/geodata",
        "telnyx",
        "vonage",
        "elevenlabs",
        "jwt",
        "bin",
    ):
        assert not (layer / absent).exists(), absent
    assert not [*layer.rglob("tests")]
    assert not [*(artefacts / "functions").rglob("Makefile")]


def test_of_swagger_ui_ships_what_is_served(artefacts: Path) -> None:
    folder = artefacts / "layer/python/drf_spectacular_sidecar/static"
    shipped = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {name for name in shipped if "LICENSE" not in name} == {"swagger-ui-bundle.js", "swagger-ui.css"}


def test_the_description_and_its_page_are_served_from_the_artefact_alone(artefacts: Path) -> None:
    code = """
from dialplane.runtime import api_docs
from dialplane.runtime.http import HttpRequest
assert len(api_docs.openapi("https://calls.example.test").body) > 10_000
for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
    assert api_docs.file(name, HttpRequest("GET", "/docs", {}, {}, {}, b"", "request-1")).body
"""
    _run_clean(artefacts, code)


def test_the_layer_stays_far_below_lambdas_limit_of_250_mb(artefacts: Path) -> None:
    size = sum(path.stat().st_size for path in artefacts.rglob("*") if path.is_file())
    assert size < 40_000_000  # 15 MB of it are one library: what checks Telnyx's signatures and signs for Vonage


def test_two_builds_of_the_functions_are_the_same_bytes(artefacts: Path, tmp_path: Path) -> None:
    _build("functions", tmp_path / "functions", DIALPLANE_BUILD_PYTHON=VERSION)
    comparison = filecmp.dircmp(artefacts / "functions", tmp_path / "functions")
    assert not comparison.left_only
    assert not comparison.right_only
    assert comparison.subdirs
    for name in comparison.subdirs:
        for file in (artefacts / "functions" / name).rglob("*.pyc"):
            other = tmp_path / "functions" / file.relative_to(artefacts / "functions")
            assert file.read_bytes() == other.read_bytes(), file


def test_a_build_for_an_unknown_processor_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failure:
        _build("layer", tmp_path / "layer", DIALPLANE_BUILD_ARCH="riscv64")
    assert b"must be arm64 or x86_64, not 'riscv64'" in failure.value.stderr


def test_a_build_without_the_targets_interpreter_works_and_says_what_is_missing(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, str(ROOT / "tools/build_artifact.py"), "functions", str(tmp_path)],
        env=_environment() | {"DIALPLANE_BUILD_PYTHON": "3.99"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "NO BYTECODE" in finished.stderr
    assert (tmp_path / "initiate/app.py").exists()
    assert not [*tmp_path.rglob("*.pyc")]
