#!/bin/sh
# Lists the Debian packages that a folder's programs and libraries come from, and compares their versions with packages.lock, which lies beside
# this script:
#   packages.sh STAGE MODE FOLDER      MODE `pinned` fails where a version is another one, `current` takes what the archive has
# Each line it prints: PACKAGE VERSION ARCHITECTURE SOURCE SOURCE-VERSION. The folder must be made of the files of the system this runs on.
set -eu
stage=$1 mode=$2 folder=$3
lock=$(dirname "$0")/packages.lock
owner_of() {
  for path in $(find /usr/bin /usr/sbin /usr/lib -name "$1" ! -type d); do
    # The package may name the path as it was before /bin and /lib became links.
    dpkg-query -S "$path" 2>/dev/null || dpkg-query -S "${path#/usr}" 2>/dev/null || continue
    return
  done
  echo "packages: no package has $1" >&2
  return 1
}
names=$(find "$folder" -type f \( -path '*/bin/*' -o -name '*.so*' \) ! -name ld.so -printf '%f\n' | sort -u)
packages=$(for name in $names; do owner_of "$name"; done | cut -d: -f1 | sort -u)
[ -n "$packages" ]
# shellcheck disable=SC2016,SC2086
found=$(dpkg-query -W -f '${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n' $packages)
printf '%s\n' "$found"
moved=$(printf '%s\n' "$found" | while read -r name version rest; do
  wanted=$(awk -v stage="$stage" -v name="$name" '$1 == stage && $2 == name { print $3 }' "$lock")
  # A rebuild of the same source: each architecture has its own number of these.
  [ "$(echo "$version" | sed 's/+b[0-9]*$//')" = "$wanted" ] || echo "$stage $name $version${wanted:+ (pinned: $wanted)}"
done)
[ -n "$moved" ] || exit 0
{
  echo "packages: Debian's archive has other versions than scripts/image/packages.lock:"
  printf '%s\n' "$moved"
} >&2
[ "$mode" != pinned ] || {
  cat >&2 <<'END'
packages: either build what is pinned, from the archive as it was: MIRROR=http://snapshot.debian.org/archive/debian/<the date in the lock file>
packages: or take what the archive has: PACKAGES=current. When `make test` passes with it, write the versions above into the lock file.
END
  exit 1
}
