#!/bin/sh
# Icarus Verilog and Yosys from the system's packages, where they are not there yet. Verilator comes with `make extras` or `make rtl-tools`.
set -eu
missing=""
for tool in iverilog yosys; do
  command -v "$tool" > /dev/null || missing="$missing $tool"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "missing:$missing; install them with: apt-get install$missing" >&2
  exit 1
fi
apt-get update -qq
# shellcheck disable=SC2086 # words on purpose
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing > /dev/null
