#!/bin/sh
# Unpacks Ceph's S3 server and its libraries over the system in which it runs (preparedByScript). They are not installed: nothing of what
# their packages would set up is wanted, and it takes a third of the time.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Retries=3 -qq update
apt-get -o Acquire::Retries=3 -qq install --yes --no-install-recommends --download-only radosgw
for package in /var/cache/apt/archives/*.deb; do dpkg-deb --extract "$package" /; done
ldconfig
radosgw --version
