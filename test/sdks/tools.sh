#!/usr/bin/env bash
# Installs, with apt-get, what the grid's SDKs need and this machine lacks:
# Node.js 20, a JDK 17 and Maven, or newer. Rust 1.94 is newer than most
# distributions have: rustup brings it.
set -euo pipefail
missing=()
command -v node npm >/dev/null || missing+=(nodejs npm)
command -v javac >/dev/null || missing+=(default-jdk-headless)
command -v mvn >/dev/null || missing+=(maven)
command -v curl >/dev/null || missing+=(curl)
if ((${#missing[@]})); then
  echo "installing ${missing[*]}"
  apt-get install --yes --no-install-recommends "${missing[@]}"
fi
command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.94 or newer, https://rustup.rs"; exit 1; }
