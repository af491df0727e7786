#!/bin/sh
# Collects the programs that run inside an application's mount namespace, with every library they need and the dynamic
# linker, so that they start in a container that holds nothing of its own:
#   collect-tools.sh FOLDER     makes FOLDER/bin/{criu,tar,find,cp}, FOLDER/lib/*.so*, FOLDER/lib/ld.so, FOLDER/criu-version
set -eu
out=$1
mkdir -p "$out/bin" "$out/lib"
for name in criu tar find cp; do
  path=$(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v "$name") || { echo "collect-tools: no $name" >&2; exit 1; }
  cp -L "$path" "$out/bin/$name"
  # ldd prints "libfoo.so.1 => /lib/.../libfoo.so.1 (0x...)", and the linker itself without an arrow.
  ldd "$path" | while read -r library arrow target rest; do
    case "$library $arrow" in
    *'=>') [ "$target" != not ] || { echo "collect-tools: $name lacks $library" >&2; exit 1; } ;;
    /*) cp -L "$library" "$out/lib/ld.so"; continue ;;
    *) continue ;;
    esac
    cp -L "$target" "$out/lib/$library"
  done
done
# To learn what the kernel's mounts can do, CRIU makes a folder in /tmp, which an image of one static program lacks and a read-only
# one keeps shut; /dev/shm is there and writable in every container of a pod. The new name is as long as the old one.
old='/tmp/\.criu\.move_mount_set_group\.' new='/dev/shm/.criu.move_mount_group.'
[ "$(LC_ALL=C grep -a -o "$old" "$out/bin/criu" | wc -l)" = 1 ] || { echo "collect-tools: criu does not name $old once" >&2; exit 1; }
LC_ALL=C sed -i "s|$old|$new|" "$out/bin/criu"
chmod 0755 "$out"/bin/* "$out"/lib/*
# The proof: each starts by the collected linker and libraries alone.
for name in criu tar find cp; do
  "$out/lib/ld.so" --library-path "$out/lib" "$out/bin/$name" --version >/dev/null
done
"$out/lib/ld.so" --library-path "$out/lib" "$out/bin/criu" --version | sed -n 's/^Version: //p' >"$out/criu-version"
