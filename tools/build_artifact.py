# ruff: noqa: S603 - a build starts programs on purpose
"""Build what Lambda unpacks: the layer's packages or the functions' handlers, with bytecode the target runtime accepts.

`sam build` calls this through layers/common/Makefile and functions/Makefile. Nothing here knows AWS, and nothing
outside the standard library is imported: it runs under whichever Python 3.9+ the machine has first.

Why bytecode is part of the build: /var/task and /opt are read-only, so a function that arrives without it compiles
every module at every cold start; and because archives made by SAM carry constant dates, only *unchecked-hash* bytecode
is believed. docs/performance.md has the numbers.

Environment:
  DIALPLANE_BUILD_PYTHON    minor version of the target runtime, "3.13" unless set
  DIALPLANE_BUILD_ARCH      processor of the target, "arm64" unless set; must equal the Architecture parameter
  DIALPLANE_BUILD_PLATFORM  the platform in the words of `uv pip install --python-platform`, for targets other than
                            Lambda's Linux
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYER_SOURCE = ROOT / "layers" / "common"
FUNCTIONS_SOURCE = ROOT / "functions"
# Where Lambda unpacks each, so that tracebacks name files that exist there and two machines build the same bytes.
LAYER_TARGET = "/opt/python"
FUNCTIONS_TARGET = "/var/task"

# twilio requires these for its REST client, and Swagger UI's package a framework; no function loads either.
NOT_SHIPPED = frozenset(
    [
        "aiohappyeyeballs",
        "aiohttp",
        "aiohttp-retry",
        "aiosignal",
        "asgiref",
        "attrs",
        "certifi",
        "charset-normalizer",
        "django",
        "frozenlist",
        "idna",
        "multidict",
        "propcache",
        "pyjwt",
        "requests",
        "sqlparse",
        "yarl",
    ]
)
# Parts of shipped packages that no function loads. tests/template imports every module of ours from the artefact, so a
# line too many fails there.
PRUNED = (
    "twilio/rest",
    "twilio/http",
    "twilio/jwt",
    "twilio/auth_strategy",
    "twilio/credential",
    "phonenumbers/geodata",
    "phonenumbers/geocoder.py",
    "phonenumbers/carrierdata",
    "phonenumbers/carrier.py",
    "phonenumbers/shortdata/region_*.py",
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/data_masking",
    "aws_lambda_powertools/utilities/feature_flags",
    "aws_lambda_powertools/utilities/idempotency",
    "aws_lambda_powertools/utilities/kafka",
    "aws_lambda_powertools/utilities/parameters",
    "aws_lambda_powertools/utilities/parser",
    "aws_lambda_powertools/utilities/streaming",
    "aws_lambda_powertools/utilities/validation",
    # Of Swagger UI only what is served: runtime/api_docs.py names the files.
    "drf_spectacular_sidecar/apps.py",
    "drf_spectacular_sidecar/static/drf_spectacular_sidecar/redoc",
    "drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist/*.map",
    "drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist/favicon-32x32.png",
    "drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist/oauth2-redirect.*",
    "drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-standalone-preset.js",
    "pydantic/v1",
    "pydantic/mypy.py",
    "bin",
    "**/tests",
    "**/*.pyi",
    "**/py.typed",
    "**/__pycache__",
    # What describes the installation, not the package. METADATA and licences stay: importlib.metadata and the terms of
    # the licences need them.
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/uv_cache.json",
    "*.dist-info/direct_url.json",
    ".lock",
)
UV_PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
SOURCES_ONLY = shutil.ignore_patterns("__pycache__", "*.pyc", "*.md")
PIP_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}


class BuildError(Exception):
    """The build cannot go on; the message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Build one artefact; the exit status is 0, or 1 with a message on stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artefact", choices=["layer", "functions"])
    parser.add_argument("output", type=Path, help="folder to fill; SAM's ARTIFACTS_DIR")
    options = parser.parse_args(arguments)
    version = os.environ.get("DIALPLANE_BUILD_PYTHON") or "3.13"
    architecture = os.environ.get("DIALPLANE_BUILD_ARCH") or "arm64"
    try:
        if not re.fullmatch(r"3\.\d+", version):
            raise BuildError(f"DIALPLANE_BUILD_PYTHON must be a minor version such as 3.13, not {version!r}.")
        if architecture not in UV_PLATFORMS:
            raise BuildError(f"DIALPLANE_BUILD_ARCH must be arm64 or x86_64, not {architecture!r}.")
        if options.artefact == "layer":
            build_layer(options.output / "python", version, architecture)
        else:
            build_functions(options.output, version)
    except BuildError as error:
        sys.stderr.write(f"build_artifact: {error}\n")
        return 1
    return 0


def build_layer(output: Path, version: str, architecture: str) -> None:
    """Fill `output` with the pinned packages for the target, `dialplane` and bytecode. Raises BuildError."""
    output.mkdir(parents=True, exist_ok=True)
    requirements = output.parent / "requirements.txt"
    requirements.write_text(select_shipped((LAYER_SOURCE / "requirements.txt").read_text()))
    install(requirements, output, version, architecture)
    requirements.unlink()
    prune(output)
    shutil.copytree(LAYER_SOURCE / "dialplane", output / "dialplane", dirs_exist_ok=True, ignore=SOURCES_ONLY)
    compile_all(output, LAYER_TARGET, version)


def build_functions(output: Path, version: str) -> None:
    """Fill `output` with the handlers and their bytecode."""
    for package in sorted(FUNCTIONS_SOURCE.iterdir()):
        if package.is_dir() and package.name != "__pycache__":
            shutil.copytree(package, output / package.name, dirs_exist_ok=True, ignore=SOURCES_ONLY)
    compile_all(output, FUNCTIONS_TARGET, version)


def select_shipped(requirements: str) -> str:
    """Return the requirements without the packages of NOT_SHIPPED; pins and hashes stay as exported."""
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", requirements)
    return "".join(b for b in blocks if re.split(r"[=<>~!\[; ]", b, maxsplit=1)[0].lower() not in NOT_SHIPPED)


def install(requirements: Path, output: Path, version: str, architecture: str) -> None:
    """Install wheels for the target, never building one here; by uv if there is one, else by pip."""
    common = ["--only-binary=:all:", "--no-deps", "--require-hashes", "--target", str(output), "-r", str(requirements)]
    uv = find_uv()
    platform = os.environ.get("DIALPLANE_BUILD_PLATFORM")
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python-version", version]
        command += ["--python-platform", platform or UV_PLATFORMS[architecture], *common]
    elif platform:
        raise BuildError(f"building for {platform} needs uv on PATH; pip is only used for Lambda's own platform.")
    else:
        machine = PIP_MACHINES[architecture]
        command = [find_python_with_pip(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--implementation", "cp", "--python-version", version]
        command += [f"--platform={name}_{machine}" for name in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
        command += common
    # A virtual environment that happens to be active is neither the source nor the target of this installation.
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if finished.returncode:
        output_text = finished.stderr.strip() or finished.stdout.strip()
        raise BuildError(f"installing the layer's packages failed.\n{' '.join(command)}\n{output_text}")


def find_uv() -> str | None:
    """Return the uv to install with: the one that runs us, the one on PATH, or the one that `make` keeps in .tools."""
    for candidate in (os.environ.get("UV"), shutil.which("uv"), str(ROOT / ".tools" / "bin" / "uv")):
        if candidate and runs([candidate, "--version"]):
            return candidate
    return None


def find_python_with_pip() -> str:
    """Return a Python that has pip: a virtual environment made by uv has none, its base has. Raises BuildError."""
    base = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
    for candidate in (sys.executable, base, shutil.which("python3")):
        if candidate and runs([candidate, "-m", "pip", "--version"]):
            return candidate
    raise BuildError("neither uv nor pip found; install uv (https://docs.astral.sh/uv/) and try again.")


def prune(folder: Path) -> None:
    """Delete what no function loads."""
    for pattern in PRUNED:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()


def compile_all(folder: Path, target: str, version: str) -> None:
    """Write unchecked-hash bytecode beside every source file, or say loudly why there is none."""
    interpreter = find_interpreter(version)
    if interpreter is None:
        sys.stderr.write(
            f"build_artifact: WARNING: no Python {version} found on this machine, so this build ships NO BYTECODE.\n"
            f"build_artifact: It works, but every cold start compiles its modules again (about three times slower).\n"
            f"build_artifact: Install Python {version}, for example with `uv python install {version}`.\n"
        )
        return
    command = [interpreter, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(folder), "-p", target, str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        output_text = "\n".join([finished.stdout.strip(), finished.stderr.strip()])
        raise BuildError(f"compiling {folder} with {interpreter} failed.\n{output_text}")


def find_interpreter(version: str) -> str | None:
    """Return an interpreter of exactly this minor version that really runs, or None.

    Bytecode fits one minor version only. A name on PATH proves nothing: pyenv puts a `python3.13` there that fails
    unless it is selected.
    """
    name = f"python{version}"
    candidates = [sys.executable]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidates += [os.path.join(folder, name), os.path.join(folder, "python3")]
    candidates.append(str(ROOT / ".venv" / "bin" / "python"))
    candidates += [f"{folder}/{name}" for folder in ("/usr/local/bin", "/opt/homebrew/bin", "/usr/bin")]
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    candidates += sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/{name}"), reverse=True)
    uv = find_uv()
    if uv:  # it also knows the interpreters that it installed itself
        find = [uv, "python", "find", "--no-project", version]
        candidates.append(subprocess.run(find, capture_output=True, text=True, check=False, cwd="/").stdout.strip())
    probe = "import sys; sys.exit(sys.implementation.cache_tag != 'cpython-' + sys.argv[1].replace('.', ''))"
    for candidate in dict.fromkeys(candidates):
        if candidate and os.access(candidate, os.X_OK) and runs([candidate, "-I", "-c", probe, version]):
            return candidate
    return None


def runs(command: list[str]) -> bool:
    """Whether the command starts and succeeds."""
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    raise SystemExit(main())
