#!/bin/sh
# Unpacks moto_server over the system in which it runs (preparedByScript), without installing it: that would compile all of its two hundred
# services. What the tests need of it is compiled by being imported once.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Retries=3 -qq update
# The last three are imported by its server, and its package does not name them.
apt-get -o Acquire::Retries=3 -qq install --yes --no-install-recommends --download-only \
  python3-moto python3-flask-cors python3-joserfc python3-yaml
for package in /var/cache/apt/archives/*.deb; do dpkg-deb --extract "$package" /; done
rm /var/cache/apt/archives/*.deb
ldconfig
# A Python library does not load without this file.
mkdir -p /etc/ssl/certs
cat /usr/share/ca-certificates/mozilla/*.crt >/etc/ssl/certs/ca-certificates.crt
python3 -c 'import moto.server, moto.s3.urls, moto.sts.urls, moto.iam.urls, moto.moto_api._internal.urls'
