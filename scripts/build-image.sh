#!/bin/sh
# Builds the two images of the Dockerfile, with buildah (as root, with its storage in the cache) or else with docker. NAME is the sidecar's; the
# control plane's has `-control-plane` before its tag.
#   scripts/build-image.sh NAME                    builds both, prints their names and digests
#   scripts/build-image.sh --archive NAME          writes them to build/reprieve-image.tar and build/reprieve-control-plane-image.tar
#   scripts/build-image.sh --digest NAME           prints the digest of what was built before
#   scripts/build-image.sh --rootfs FOLDER NAME    unpacks it (buildah only)
# BASE names the base image. Where it is not given and no registry is reachable, a Debian made by debootstrap serves. ARCH is amd64 or arm64, the
# machine's if it is not given. MIRROR is Debian's archive, NPM_REGISTRY that of npm; PACKAGES=current takes what they have (packages.sh).
set -eu
cd "$(dirname "$0")/.."
archive= rootfs_out= digest_only=
case "${1:-}" in
--archive) archive=yes; shift ;;
--digest) digest_only=yes; shift ;;
--rootfs) rootfs_out=${2:?usage: build-image.sh --rootfs FOLDER NAME}; shift 2 ;;
esac
name=${1:?usage: build-image.sh [--archive | --digest | --rootfs FOLDER] NAME}
control_plane=$(printf %s "$name" | sed -E 's|(:[^:/]+)?$|-control-plane\1|')
cache=${REPRIEVE_CACHE:-/var/cache/reprieve}
say() { echo "image: $*" >&2; }
fail() { say "$*"; exit 1; }

case ${ARCH:-$(uname -m)} in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
*) fail "ARCH is amd64 or arm64" ;;
esac

# Files have no time, so that of the same sources come the same layers.
epoch=0
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
created=$(date -u -d "@$(git log -1 --format=%ct 2>/dev/null || echo 0)" +%Y-%m-%dT%H:%M:%SZ)

# TARGET NAME TITLE: what both builders are told.
words_for() {
  printf '%s\n' --target "$1" -t "$2" --platform "linux/$arch" --build-arg "SOURCE_DATE_EPOCH=$epoch"
  for key in MIRROR NPM_REGISTRY PACKAGES; do
    eval "value=\${$key:-}"
    [ -z "$value" ] || printf '%s\n' --build-arg "$key=$value"
  done
  # Whom this machine trusts, the build trusts to be npm's registry.
  [ ! -r /etc/ssl/certs/ca-certificates.crt ] || printf '%s\n' --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
  for label in "title=$3" "version=$version" "revision=$revision" "created=$created" licenses=Apache-2.0 \
    "description=Checkpoints pods before they end, and restores them in their replacements" \
    source=https://github.com/reprieve-dev/reprieve documentation=https://github.com/reprieve-dev/reprieve/tree/main/docs; do
    printf '%s\n' --label "org.opencontainers.image.$label"
  done
}

# COMMAND... TARGET NAME TITLE, from the words above. No word of them has a line break.
build_with() {
  command=$1 base=$2 target=$3 as=$4 title=$5
  words=$(words_for "$target" "$as" "$title")
  set -f
  old_ifs=$IFS
  IFS='
'
  # shellcheck disable=SC2086
  set -- $words ${base:+--build-arg
BASE=$base}
  IFS=$old_ifs
  set +f
  $command "$@" . >&2 || fail "the build failed or took longer than 25 minutes"
}

if ! command -v buildah >/dev/null; then
  command -v docker >/dev/null || fail "neither buildah nor docker is installed: run make setup"
  if [ -n "$archive" ]; then
    mkdir -p build
    docker save -o build/reprieve-image.tar "$name"
    docker save -o build/reprieve-control-plane-image.tar "$control_plane"
    exit 0
  fi
  export DOCKER_BUILDKIT=1
  build_with "docker build" "${BASE:-}" sidecar "$name" "Reprieve's sidecar"
  build_with "docker build" "${BASE:-}" control-plane "$control_plane" "Reprieve's control plane"
  for one in "$name" "$control_plane"; do echo "$one $(docker image inspect --format '{{.Id}}' "$one")"; done
  exit 0
fi

[ "$(id -u)" = 0 ] || fail "buildah needs root here (chroot isolation)"
mkdir -p "$cache/buildah" "$cache/tmp"
export TMPDIR="$cache/tmp"
driver=overlay
# Overlay upon overlay does not work: inside a container the slower driver serves.
[ "$(stat -f -c %T "$cache/buildah")" != overlayfs ] || driver=vfs
store="--root $cache/buildah/storage --runroot $cache/buildah/run --storage-driver $driver"
# shellcheck disable=SC2086
build() { buildah $store "$@"; }

if [ -n "$archive" ]; then
  mkdir -p build
  rm -f build/reprieve-image.tar build/reprieve-control-plane-image.tar
  build push -q "$name" "docker-archive:build/reprieve-image.tar:$name" >&2
  build push -q "$control_plane" "docker-archive:build/reprieve-control-plane-image.tar:$control_plane" >&2
  echo build/reprieve-image.tar build/reprieve-control-plane-image.tar
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
  # shellcheck disable=SC2086
  if ! timeout 60 buildah $store pull -q --policy missing --arch "$arch" "$BASE" >/dev/null 2>&1; then
    [ "$arch" = "$(dpkg --print-architecture)" ] ||
      fail "no registry answers, and debootstrap makes a base for this machine only: name one for $arch by BASE"
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

# Chroot isolation and the host's network: what a RUN needs are the archives, and no container runtime.
builder="timeout 1500 buildah $store bud --layers --isolation chroot --network host --timestamp $epoch"
build_with "$builder" "$BASE" sidecar "$name" "Reprieve's sidecar"
build_with "$builder" "$BASE" control-plane "$control_plane" "Reprieve's control plane"
for one in "$name" "$control_plane"; do
  echo "$one $(build inspect --type image --format '{{.FromImageDigest}}' "$one")"
done
