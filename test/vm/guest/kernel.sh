#!/bin/sh
# Unpacks Debian's cloud kernel with its modules in the root filesystem in which this runs, where scripts/rootfs.ts has left apt's
# lists. Not installed as a package: that would bring a boot loader's tools and make an initial RAM disk that nothing here uses.
set -eu
cd /tmp
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
apt-get -o Acquire::Retries=3 -qq download "$kernel"
dpkg-deb -x "$kernel"_*.deb /
rm "$kernel"_*.deb
depmod "${kernel#linux-image-}"
