#!/usr/bin/env bash
# Installs the packages of the lists named (build, demo, test), as root; as a normal user says which are missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wanted=()
for list in "$@"; do
  while read -r name; do wanted+=("$name"); done < <(grep -v '^#' "$here/packages/$list.txt")
done
is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
missing=()
for name in "${wanted[@]}"; do is_installed "$name" || missing+=("$name"); done

# Postfix is a peer of the tests. It cannot stand beside another mail server of Debian, so one that is there is left alone.
case " $* " in *" test "*)
  if ! is_installed postfix && ! is_installed exim4-base && ! is_installed opensmtpd; then missing+=(postfix); fi ;;
esac

if [ ${#missing[@]} -eq 0 ]; then
  echo "packages: everything needed is installed"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "packages missing; install them as root with:" >&2
  echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The mail and DNS servers are started by the tests and the demo, each with its own folder: not by their installation.
rule=/usr/sbin/policy-rc.d
if [ ! -e "$rule" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$rule"
  chmod +x "$rule"
  trap 'rm -f "$rule"' EXIT
fi
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"
