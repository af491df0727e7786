#!/bin/sh
# Collects what Node needs of a Debian system, for an image with nothing to log in to or to install with:
#   runtime.sh SYSTEM OUT      SYSTEM is the root folder of the system, OUT that of the image
set -eu
system=${1%/} out=$2
mkdir -p "$out/etc" "$out/usr/share"
triplet=$(basename "$system"/usr/lib/*-linux-gnu)
# As Debian has it, so that programs find their linker where they name it.
mkdir -p "$out/usr/lib/$triplet" "$out/usr/lib64"
ln -s usr/lib "$out/lib"
ln -s usr/lib64 "$out/lib64"
for name in libc.so.6 libdl.so.2 libgcc_s.so.1 libm.so.6 libpthread.so.0 libstdc++.so.6; do
  cp -L "$system/usr/lib/$triplet/$name" "$out/usr/lib/$triplet/$name"
done
for linker in usr/lib64/ld-linux-x86-64.so.2 usr/lib/ld-linux-aarch64.so.1; do
  [ ! -e "$system/$linker" ] || cp -L "$system/$linker" "$out/$linker"
done
# The C library reads these: names before DNS from /etc/hosts, and a name for the user of the control plane.
printf 'hosts: files dns\n' >"$out/etc/nsswitch.conf"
printf 'root:x:0:0:root:/:/nowhere\nnonroot:x:65532:65532:nonroot:/:/nowhere\n' >"$out/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$out/etc/group"
mkdir -m 1777 "$out/tmp"
# The texts that the licences of these libraries and of the tools ask to go with them.
mkdir "$out/usr/share/common-licenses"
for name in GPL-2 GPL-3 LGPL-2.1 LGPL-3; do
  cp -L "$system/usr/share/common-licenses/$name" "$out/usr/share/common-licenses/$name"
done
