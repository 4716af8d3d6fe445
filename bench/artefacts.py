"""Builds what is measured: the runtime stand-in, the naive peer as SAM packages it, and our own `sam build`.

Everything lands in one cache directory and is rebuilt when its inputs change. Nothing here is timed.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.subjects import JOBS

HERE = Path(__file__).parent
PEERS = HERE / "peers"
ROOT = HERE.parent
PREFERRED_VERSION = (3, 13)


class BuildError(RuntimeError):
    """A tool needed for building failed; the message holds what it printed."""


def run(command: list[str], *, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Run a build tool and return what it printed. Raises BuildError when it fails or does not exist."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise BuildError(f"cannot run {command[0]}: {error}") from error
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed ({done.returncode}):\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def find_python() -> Path:
    """Return the interpreter to measure with: the template's own version where this machine has it, else this one."""
    name = "python{}.{}".format(*PREFERRED_VERSION)
    candidates = [Path(folder) / name for folder in os.get_exec_path()]
    candidates += sorted((Path.home() / ".pyenv" / "versions").glob("{}.{}.*/bin/python".format(*PREFERRED_VERSION)))
    for candidate in candidates:
        # pyenv leaves shims on PATH for versions that are not active; those exist and cannot be run.
        if candidate.is_file() and _version(candidate) == PREFERRED_VERSION:
            return candidate
    return Path(sys.executable)


def find_uv() -> str | None:
    """Return the uv to install with, on PATH or where `make` keeps its own; None where pip must do."""
    return shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))


def _version(python: Path) -> tuple[int, int] | None:
    done = subprocess.run(
        [str(python), "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def size_unzipped(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def size_zipped(directory: Path, archive: Path) -> int:
    """Zip a directory as `sam package` does (deflate) and return the archive's bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                zipped.write(path, path.relative_to(directory))
    size = archive.stat().st_size
    archive.unlink()
    return size


@dataclass(frozen=True)
class NaivePeer:
    """The naive peer's built artefact: one directory per function and the layer's python/ directory."""

    functions: Path
    layer: Path


@dataclass(frozen=True)
class Workshop:
    """Builds into `cache` for one interpreter."""

    cache: Path
    python: Path

    @cached_property
    def tag(self) -> str:
        """Short name of the interpreter, part of every cached directory's name."""
        version = run([str(self.python), "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"])
        return f"python{version.strip()}"

    def _fresh(self, name: str, *inputs: Path) -> tuple[Path, bool]:
        """Return the directory for these inputs, and whether it is already built."""
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()[:12]
        directory = self.cache / f"{name}-{self.tag}-{digest}"
        return directory, (directory / ".built").is_file()

    def _install(self, requirements: Path, *destination: str, python: Path) -> None:
        if uv := find_uv():
            command = [uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps", *destination]
        else:
            target = [option for option in destination if option != "--compile-bytecode"]
            compiling = [] if len(target) < len(destination) else ["--no-compile"]
            command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", *compiling, *target]
        run([*command, "-r", str(requirements)])

    def runtime_python(self) -> Path:
        """Return a bare virtual environment's interpreter that has Lambda's runtime interface client, compiled."""
        requirements = PEERS / "runtime-requirements.txt"
        directory, built = self._fresh("runtime", requirements)
        python = directory / "bin" / "python"
        if not built:
            shutil.rmtree(directory, ignore_errors=True)
            if uv := find_uv():
                run([uv, "venv", "--quiet", "--python", str(self.python), str(directory)])
            else:
                run([str(self.python), "-m", "venv", str(directory)])
            self._install(requirements, "--compile-bytecode", python=python)
            (directory / ".built").touch()
        return python

    def naive(self, *, bytecode: bool) -> NaivePeer:
        """Return the naive peer as SAM packages it (no bytecode), or with unchecked-hash bytecode added.

        A function with requirements of its own gets them into its own directory, as SAM does it.
        The dependencies are cached; the peer's few own files are laid beside them at every run.
        """
        requirements = PEERS / "requirements.txt"
        own_requirements = sorted((PEERS / "naive").glob("*/requirements.txt"))
        directory, built = self._fresh("naive-bytecode" if bytecode else "naive", requirements, *own_requirements)
        peer = NaivePeer(functions=directory / "functions", layer=directory / "layer" / "python")
        runtime = self.runtime_python()
        if not built:
            shutil.rmtree(directory, ignore_errors=True)
            targets = [(requirements, peer.layer)]
            targets += [(own, peer.functions / own.parent.name) for own in own_requirements]
            for packages, target in targets:
                target.mkdir(parents=True)
                self._install(packages, "--target", str(target), python=runtime)
                # An installer's own extras, which SAM's builder does not ship either.
                shutil.rmtree(target / "bin", ignore_errors=True)
                (target / ".lock").unlink(missing_ok=True)
        sources = [PEERS / "naive" / job for job in JOBS]
        for source in sources:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, peer.functions / source.name, ignore=ignored, dirs_exist_ok=True)
        shutil.copy(PEERS / "naive" / "layer" / "common.py", peer.layer / "common.py")
        if bytecode:
            apps = [peer.functions / source.name / "app.py" for source in sources]
            self._compile(runtime, *([peer.layer, peer.functions] if not built else [peer.layer / "common.py", *apps]))
        elif stale := next(directory.rglob("*.pyc"), None):
            raise BuildError(f"{stale} should not exist: the peer is measured as SAM ships it, without bytecode.")
        (directory / ".built").touch()
        return peer

    @staticmethod
    def _compile(python: Path, *paths: Path) -> None:
        options = ["-q", "-f", "--invalidation-mode", "unchecked-hash"]
        run([str(python), "-m", "compileall", *options, *map(str, paths)])

    def ours(self) -> Path:
        """Run the project's own `sam build` for this interpreter and return the build directory."""
        directory = self.cache / f"ours-{self.tag}"
        sam = shutil.which("sam", path=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))
        if sam is None:
            raise BuildError("`sam` is not installed here. Run `uv sync`, then try again.")
        if not (ROOT / "template.yaml").is_file():
            raise BuildError(f"{ROOT / 'template.yaml'} does not exist.")
        # Wheels and bytecode must fit the machine and the interpreter that measure, not those that are deployed to.
        machine = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
        path = os.pathsep.join([str(self.python.parent), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        run(
            [
                sam,
                "build",
                "--template-file",
                str(ROOT / "template.yaml"),
                "--build-dir",
                str(directory),
                "--parameter-overrides",
                f"Architecture={machine}",
            ],
            cwd=ROOT,
            environment={
                "PATH": path,
                "SAM_CLI_TELEMETRY": "0",
                "AWS_DEFAULT_REGION": "us-east-1",
                "DIALPLANE_BUILD_ARCH": machine,
                "DIALPLANE_BUILD_PYTHON": ".".join(self.tag.removeprefix("python").split(".")[:2]),
            },
        )
        return directory
