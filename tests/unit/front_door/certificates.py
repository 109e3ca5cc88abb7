"""Certificates for tests, made by openssl: they are valid for an hour or so, and for nobody."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    """PEM files of a certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates for the loopback addresses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        self.own = self._make("authority", "-x509", "-addext", "basicConstraints=critical,CA:TRUE")

    def sign(self, name: str) -> Certificate:
        made = self._make(name)
        extensions = self._folder / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n")
        signed = self._folder / f"{name}.signed.pem"
        self._openssl(
            "x509", "-req", "-days", "1", "-in", made.certificate, "-out", signed,
            "-CA", self.own.certificate, "-CAkey", self.own.key, "-CAcreateserial",
            "-extfile", extensions,
        )  # fmt: skip
        return Certificate(signed, made.key)

    def _make(self, name: str, *options: str) -> Certificate:
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", made.key, "-out", made.certificate, "-subj", f"/CN={name}", *options,
        )  # fmt: skip
        return made

    def _openssl(self, *arguments: str | Path) -> None:
        command = ["openssl", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
