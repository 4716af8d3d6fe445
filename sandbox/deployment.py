"""Build the real template with SAM and deploy it to the emulator. Describes no resource: only template.yaml does."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import platform
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from dialplane.aws.client import AwsClient

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
STACK_NAME = "dialplane"
ARTEFACTS_BUCKET = "dialplane-artefacts"


class DeploymentFailed(Exception):
    """`sam build` or `sam deploy` failed; the message ends with what SAM said last."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """Where the emulated AWS is. Its credentials are the emulator's convention, not secrets."""

    url: str

    def environment(self) -> dict[str, str]:
        """Environment variables that turn every AWS tool to the emulator and to nowhere else."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
        return inherited | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            # The user's own profiles must play no part, not even by a syntax error.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.1",
        }


class Deployment:
    """One build folder and the stack made from it."""

    def __init__(self, directory: Path, logs: Path, *, python_version: str | None = None) -> None:
        """``python_version`` is that of whatever will run the functions: by default this very interpreter."""
        self._python_version = python_version or f"{sys.version_info.major}.{sys.version_info.minor}"
        self._build = directory / "build"
        self._cache = directory / "cache"
        self._logs = logs

    def build(self) -> None:
        """Build for the processor of this machine, since the emulator runs functions on it. Raises DeploymentFailed."""
        version = self._python_version
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
        environment |= {
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": REGION,
            "DIALPLANE_BUILD_PYTHON": version,
            "DIALPLANE_BUILD_ARCH": host_architecture(),
            # The build looks for `python3` and `uv` there: this environment's come first.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        }
        if platform.system() == "Darwin":
            machine = "aarch64" if host_architecture() == "arm64" else "x86_64"
            environment["DIALPLANE_BUILD_PLATFORM"] = f"{machine}-apple-darwin"
        self._sam(
            "build",
            environment,
            template_file=ROOT / "template.yaml",
            parameters={"Architecture": host_architecture()},
            # SAM's cache knows the sources but not what builds them, so that is part of the folder's name.
            cache_dir=self._cache / f"{version}-{host_architecture()}-{_recipe_digest()}",
            build_dir=self._build,
            flags=["--cached", "--parallel"],
        )

    def deploy(self, emulator: Emulator, parameters: Mapping[str, str]) -> dict[str, str]:
        """Deploy the built template and return the stack's outputs. Raises DeploymentFailed."""
        session = _session()
        session.client("s3", endpoint_url=emulator.url).create_bucket(Bucket=ARTEFACTS_BUCKET)
        self._sam(
            "deploy",
            emulator.environment(),
            template_file=self.template,
            parameters=parameters,
            stack_name=STACK_NAME,
            s3_bucket=ARTEFACTS_BUCKET,
            region=REGION,
            capabilities="CAPABILITY_IAM",
            flags=["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"],
        )
        stacks = session.client("cloudformation", endpoint_url=emulator.url).describe_stacks(StackName=STACK_NAME)
        return {output["OutputKey"]: output["OutputValue"] for output in stacks["Stacks"][0]["Outputs"]}

    @property
    def template(self) -> Path:
        """The built template."""
        return self._build / "template.yaml"

    def function_variables(self, emulator: Emulator) -> dict[str, dict[str, str]]:
        """The environment of each deployed function by its logical id, as `sam local --env-vars` reads it."""
        session = _session()
        stack = session.client("cloudformation", endpoint_url=emulator.url)
        functions = session.client("lambda", endpoint_url=emulator.url)
        return {
            resource["LogicalResourceId"]: functions.get_function_configuration(
                FunctionName=resource["PhysicalResourceId"]
            )["Environment"]["Variables"]
            for resource in stack.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
            if resource["ResourceType"] == "AWS::Lambda::Function"
        }

    def _sam(
        self,
        command: str,
        environment: Mapping[str, str],
        *,
        parameters: Mapping[str, str],
        flags: list[str],
        **options: str | Path,
    ) -> None:
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()] + flags
        arguments += ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"sam-{command}.log"
        with log.open("wb") as output:
            finished = subprocess.run(
                [sys.executable, "-m", "samcli", command, *arguments],
                env=dict(environment),
                cwd=self._logs,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if finished.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
            raise DeploymentFailed(f"sam {command} failed.\n{tail}\n(whole log: {log})")


def warm_up(outputs: Mapping[str, str], aws: AwsClient) -> None:
    """Have each function that somebody waits for started once: by requests and a handshake that it refuses, by messages
    about no call.

    Started by somebody's call it could still be starting when that call's dial window ends, or its callee says hello.
    """
    nobody = {"organization_id": "none", "call_id": "none"}
    for queue, message in (("DialsQueueUrl", nobody), ("ConversationTasksQueueUrl", {"kind": "look", **nobody})):
        aws.call("sqs", "SendMessage", {"QueueUrl": outputs[queue], "MessageBody": json.dumps(message)})
    paths = ["/calls/initiate", "/wallet/deposits", "/twiml/twilio/none/none/none", "/status/twilio/none/none/none"]
    with ThreadPoolExecutor() as pool:
        for path in paths:
            pool.submit(_post_nothing, outputs["PublicBaseUrl"] + path)
        pool.submit(_shake_hands, f"{outputs['PublicSocketUrl']}?call=none.twilio.none.none.none")


def _post_nothing(url: str) -> None:
    # A refusal is what is expected; that something answers at all is for the first call to show.
    with contextlib.suppress(OSError), urllib.request.urlopen(url, data=b"", timeout=30):  # noqa: S310
        pass


def _shake_hands(url: str) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)  # urllib would close it before the upgrade
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", f"{address.path}?{address.query}", headers=handshake)
        connection.getresponse().read()


def _session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)  # noqa: S106


def host_architecture() -> str:
    """This machine's processor in the template's words. Raises DeploymentFailed for any other."""
    machine = platform.machine().lower()
    names = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
    if machine not in names:
        raise DeploymentFailed(f"the sandbox builds for x86_64 and arm64, and this machine is {machine}.")
    return names[machine]


def _recipe_digest() -> str:
    recipe = [ROOT / "tools/build_artifact.py", ROOT / "layers/common/Makefile", ROOT / "functions/Makefile"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in recipe)).hexdigest()[:12]
