#!/bin/sh
# Brings a Debian 12 machine with Node, npm and root to where everything else here can run: npm packages (among them
# the Node that this project needs), Debian packages, root filesystems. Cheap when there is nothing to do.
set -eu
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# COMMAND, which may well fail or be missing.
quietly() { "$@" >/dev/null 2>&1 || true; }

# COMMAND up to three times, each at most SECONDS long.
try() {
  seconds=$1; shift
  for attempt in 1 2 3; do
    if timeout --kill-after=10 "$seconds" "$@" >&2; then return 0; fi
    say "attempt $attempt of 3 failed: $*"
    sleep "$attempt"
  done
  return 1
}

stamp=node_modules/.reprieve-setup
wanted=$(sha256sum package-lock.json | cut -c1-64)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
  if [ -d node_modules ] && npm ls --all >/dev/null 2>&1; then
    say "npm packages are as the lock file says"
  else
    command -v npm >/dev/null || fail "npm is missing: install Node.js (any version brings it)"
    # Not `npm ci`: it refuses a lock file made where the registry lacks other platforms' optional packages (oxlint's), as some
    # mirrors do. The versions are the lock file's all the same, and it is left as it is. npm warns that its own Node is too old for
    # packages that will run on the one that it installs.
    try 600 npm install --no-save --no-audit --no-fund --loglevel=error || fail "npm install failed: is a registry reachable?"
  fi
  echo "$wanted" >"$stamp"
fi

# containers; pod networks and nsenter
needed="runc iproute2 util-linux"
# root filesystems where no registry is reachable; make image, with its policy, registries.conf and the seccomp profile
needed="$needed debootstrap buildah ca-certificates golang-github-containers-common golang-github-containers-image"
# the small application image; the launcher and the harness's shim
needed="$needed busybox-static make gcc musl-tools linux-libc-dev"
# disks, the virtual machine's and small ones that tests make slow; QEMU itself comes out of a newer Debian (test/vm/qemu.ts)
needed="$needed e2fsprogs"
# the registry that images are looked up in; the kubectl that manifests are rendered with comes in an archive
needed="$needed docker-registry unzip"
missing=
for package in $needed; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
  [ "$(id -u)" = 0 ] || fail "these Debian packages are missing, and only root can install them:$missing"
  command -v apt-get >/dev/null || fail "this machine has no apt-get; install these by hand:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # docker-registry's package would start a server on port 5000 of every interface; only its program is wanted.
  quietly systemctl mask --runtime docker-registry.service
  try 120 apt-get -o Acquire::Retries=3 update || fail "apt-get update failed: is the Debian mirror reachable?"
  # shellcheck disable=SC2086
  try 600 apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $missing ||
    fail "apt-get could not install:$missing"
  quietly systemctl disable docker-registry.service
  quietly systemctl unmask --runtime docker-registry.service
fi

if [ "$(id -u)" = 0 ]; then
  exec "node_modules/node-linux-$(node -p process.arch)/bin/node" test/images/prepare.ts
fi
say "not root: containers cannot be run, so their root filesystems are not made"
