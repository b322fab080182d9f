"""Packs what `sam build` has built, for people who install it without a compiler.

    python .ci/package.py x86_64 dist

makes dist/spot-interruption-handler-<version>-x86_64.zip: the template with the function's zip beside it, and what else
an installation needs. The same files give the same bytes.
"""

import io
import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BINARY = ROOT / ".aws-sam/build/Function/bootstrap"
# ELF's numbers of the processors.
MACHINES = {"x86_64": 62, "arm64": 183}
BESIDE = [
    "*.md",
    "LICENSE",
    "docs/*",
    "events/*.json",
    "examples/*/*.yaml",
    "examples/cdk/*.js*",
    "examples/*/*.md",
    "kubernetes/*.yaml",
    "member.yaml",
    "samconfig.toml",
]


def pack(architecture, binary, folder):
    """Writes the package, and returns its path."""
    machine = int.from_bytes(binary[18:20], "little")
    if machine != MACHINES[architecture]:
        raise SystemExit(f"the built function is not for {architecture}: its ELF machine is {machine}")
    found = [path for pattern in BESIDE for path in ROOT.glob(pattern)]
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in found}
    files |= {"template.yaml": template(architecture).encode(), "function.zip": archive({"bootstrap": binary})}

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"spot-interruption-handler-{version()}-{architecture}.zip"
    path.write_bytes(archive(files))
    return path


def version():
    manifest = (ROOT / "Cargo.toml").read_text().partition("[package]")[2]
    return re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)[1]


def template(architecture):
    """template.yaml for the built function. Another architecture, which an old stack may have, is refused."""
    text = (ROOT / "template.yaml").read_text()
    changes = {
        "      CodeUri: .\n": "      CodeUri: function.zip\n",
        "    AllowedValues: [x86_64, arm64]\n    Default: x86_64\n    ConstraintDescription: must be x86_64 or arm64\n": (
            f"    AllowedValues: [{architecture}]\n    Default: {architecture}\n"
            f"    ConstraintDescription: must be {architecture}, which this package is for\n"
        ),
    }
    for old, new in changes.items():
        if text.count(old) != 1:
            raise SystemExit(f"template.yaml has {text.count(old)} times:\n{old}")
        text = text.replace(old, new)
    return text


def archive(files):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in sorted(files.items()):
            # The earliest time that a zip can hold.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, for the mode
            entry.external_attr = (0o755 if name == "bootstrap" else 0o644) << 16
            package.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)
    return target.getvalue()


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in MACHINES:
        raise SystemExit("usage: python .ci/package.py x86_64|arm64 folder")
    print(pack(sys.argv[1], BINARY.read_bytes(), Path(sys.argv[2])))


if __name__ == "__main__":
    main()
