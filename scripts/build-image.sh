#!/bin/sh
# Builds the image from the Dockerfile with buildah (as root, with its storage in the cache) or else with docker.
#   scripts/build-image.sh NAME                    builds it, prints its name and digest
#   scripts/build-image.sh --archive NAME          writes it to build/reprieve-image.tar
#   scripts/build-image.sh --digest NAME           prints the digest of what was built before
#   scripts/build-image.sh --rootfs FOLDER NAME    unpacks it (buildah only)
# BASE names the base image. Where it is not given and no registry is reachable, a Debian made by debootstrap serves.
set -eu
cd "$(dirname "$0")/.."
archive= rootfs_out= digest_only=
case "${1:-}" in
--archive) archive=build/reprieve-image.tar; shift ;;
--digest) digest_only=yes; shift ;;
--rootfs) rootfs_out=${2:?usage: build-image.sh --rootfs FOLDER NAME}; shift 2 ;;
esac
name=${1:?usage: build-image.sh [--archive | --digest | --rootfs FOLDER] NAME}
cache=${REPRIEVE_CACHE:-/var/cache/reprieve}
node_package=node-linux-$(node -p process.arch)
say() { echo "image: $*" >&2; }
fail() { say "$*"; exit 1; }

if ! command -v buildah >/dev/null; then
  command -v docker >/dev/null || fail "neither buildah nor docker is installed: run make setup"
  if [ -n "$archive" ]; then mkdir -p build; docker save -o "$archive" "$name"; echo "$archive"; exit 0; fi
  docker build -t "$name" --build-arg "NODE_PACKAGE=$node_package" ${BASE:+--build-arg "BASE=$BASE"} .
  echo "$name $(docker image inspect --format '{{.Id}}' "$name")"
  exit 0
fi

[ "$(id -u)" = 0 ] || fail "buildah needs root here (chroot isolation)"
mkdir -p "$cache/buildah" "$cache/tmp"
export TMPDIR="$cache/tmp"
driver=overlay
# Overlay upon overlay does not work: inside a container the slower driver serves.
[ "$(stat -f -c %T "$cache/buildah")" != overlayfs ] || driver=vfs
build() { buildah --root "$cache/buildah/storage" --runroot "$cache/buildah/run" --storage-driver "$driver" "$@"; }

if [ -n "$archive" ]; then
  mkdir -p build
  rm -f "$archive"
  build push -q "$name" "docker-archive:$archive:$name" >&2
  echo "$archive"
  exit 0
fi

if [ -n "$digest_only" ]; then
  build inspect --type image --format '{{.FromImageDigest}}' "$name"
  exit 0
fi

if [ -n "$rootfs_out" ]; then
  container=$(build from --pull-never "$name")
  trap 'build rm "$container" >/dev/null' EXIT
  cp -a "$(build mount "$container")/." "$rootfs_out"
  build umount "$container" >/dev/null
  exit 0
fi

if [ -z "${BASE:-}" ]; then
  BASE=docker.io/library/debian:trixie-slim
  if ! timeout 60 buildah --root "$cache/buildah/storage" --runroot "$cache/buildah/run" --storage-driver "$driver" \
    pull -q --policy missing "$BASE" >/dev/null 2>&1; then
    rootfs=$(node scripts/base-rootfs.ts)
    BASE=localhost/reprieve-base:$(basename "$rootfs")
    if ! build image inspect "$BASE" >/dev/null 2>&1 && ! build inspect --type image "$BASE" >/dev/null 2>&1; then
      say "no registry answers: $BASE is made from $rootfs"
      container=$(build from scratch)
      build add -q "$container" "$rootfs/" / >/dev/null
      build config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd /bin/bash "$container"
      build commit -q --rm "$container" "$BASE" >/dev/null
    fi
  fi
fi

# Chroot isolation and the host's network: what a RUN needs are apt's mirrors, and no container runtime.
timeout 1500 buildah --root "$cache/buildah/storage" --runroot "$cache/buildah/run" --storage-driver "$driver" \
  bud --layers --isolation chroot --network host --build-arg "BASE=$BASE" --build-arg "NODE_PACKAGE=$node_package" \
  -t "$name" . >&2 || fail "the build failed or took longer than 25 minutes"
echo "$name $(build inspect --type image --format '{{.FromImageDigest}}' "$name")"
