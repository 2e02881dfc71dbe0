#!/usr/bin/env bash
# Installs, with apt-get, what the grid's SDKs need and this machine lacks: a
# JDK 17 and Maven, or newer. Node.js 20 is the Makefile's affair. Rust 1.94 is
# newer than most distributions have: rustup brings it.
set -euo pipefail
missing=()
command -v javac >/dev/null || missing+=(default-jdk-headless)
command -v mvn >/dev/null || missing+=(maven)
if ((${#missing[@]})); then
  echo "installing ${missing[*]}"
  apt-get update --quiet=2
  apt-get install --yes --no-install-recommends "${missing[@]}"
fi
command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.94 or newer, https://rustup.rs"; exit 1; }
