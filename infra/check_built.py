"""Checks what `cargo lambda build` made: that it starts on Lambda, and that it is small.

Prints a line for each function; exits with 1 if one is too large, or needs a newer C library than
Lambda has.
"""

import io
import re
import sys
import zipfile
from pathlib import Path

# What `provided.al2023` has. A binary that asks for more does not start there.
GLIBC = (2, 34)
# What a cold start has to fetch and unpack; Lambda itself would take 50 MB.
ZIP_BYTES = 4 * 1024 * 1024
# `api` has the page to try it, Swagger UI, with 430 KB that are compressed already, and a fourth
# AWS client, as `deliver` has, which is an HTTP client of its own beside them.
LARGER = {"api": 2 * 1024 * 1024, "deliver": 1024 * 1024}


def bootstraps(directory):
    """The functions and their binaries, whether zipped or not."""
    for function in sorted(Path(directory).iterdir()):
        plain, zipped = function / "bootstrap", function / "bootstrap.zip"
        if zipped.is_file() and not (plain.is_file() and plain.stat().st_mtime > zipped.stat().st_mtime):
            with zipfile.ZipFile(zipped) as archive:
                yield function.name, archive.read("bootstrap"), zipped.stat().st_size
        elif plain.is_file():
            yield function.name, plain.read_bytes(), None


def zip_size(binary):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bootstrap", binary)
    return len(packed.getvalue())


def newest_glibc(binary):
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", binary)
    return max(((int(major), int(minor)) for major, minor in versions), default=(0, 0))


def main(directory):
    found = list(bootstraps(directory))
    if not found:
        sys.exit(f"{directory}: no function is built there")
    wrong = []
    for name, binary, size in found:
        size, glibc = size or zip_size(binary), newest_glibc(binary)
        print(f"{name:12} {len(binary) / 2**20:5.2f} MB, {size / 2**20:5.2f} MB zipped, glibc {glibc[0]}.{glibc[1]}")
        if glibc > GLIBC:
            wrong.append(f"{name} needs glibc {glibc[0]}.{glibc[1]}, and Lambda has {GLIBC[0]}.{GLIBC[1]}")
        if size > (bound := ZIP_BYTES + LARGER.get(name, 0)):
            wrong.append(f"{name} has {size} bytes zipped, more than {bound}")
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main(sys.argv[1])
