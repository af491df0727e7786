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
# The tools run among the application's files with capabilities that it lacks, so nothing of its own may be loaded into them. The
# places from which libraries and character sets come, and CRIU's cache of what the kernel can do, become names of the same length
# that are not there: below /reprieve, which the application cannot write, or for the short ones in sysfs, where nobody makes a file.
close() {
  file=$1 path=$2
  case "$path" in
  ?????????????*) closed=$(printf '/reprieve/%0100d' 0 | cut -c "1-${#path}") ;;
  *) closed=$(printf '/sys%0100d' 0 | tr 0 / | cut -c "1-${#path}") ;;
  esac
  OLD=$path NEW=$closed perl -0777 -pi -e \
    '$n = s/(?<![!-~])\Q$ENV{OLD}\E(?=\0)/$ENV{NEW}/g; END { exit($n ? 0 : 1) }' "$file" ||
    { echo "collect-tools: $file does not name $path" >&2; exit 1; }
}
system=$(uname -m)-linux-gnu
for path in /etc/ld.so.preload /etc/ld.so.cache "/lib/$system/" "/usr/lib/$system/" /lib/ /usr/lib/; do
  close "$out/lib/ld.so" "$path"
done
# GNU tar converts names that are not ASCII by iconv, in any locale.
for path in "/usr/lib/$system/gconv" "/usr/lib/$system/gconv/gconv-modules.cache"; do close "$out/lib/libc.so.6" "$path"; done
close "$out/bin/criu" /run/criu.kdat
chmod 0755 "$out"/bin/* "$out"/lib/*
# The proof: each starts by the collected linker and libraries alone.
for name in criu tar find cp; do
  "$out/lib/ld.so" --library-path "$out/lib" "$out/bin/$name" --version >/dev/null
done
"$out/lib/ld.so" --library-path "$out/lib" "$out/bin/criu" --version | sed -n 's/^Version: //p' >"$out/criu-version"
