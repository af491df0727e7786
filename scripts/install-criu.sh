#!/bin/sh
# Installs CRIU 4.2 or newer on Debian 13, whose own is 4.1.1: on Linux 6.16 and newer that one can dump no program that has a
# TCP or UDP socket (criu#2705). Only CRIU and the libraries it needs are taken from Debian's unstable suite.
#   install-criu.sh [MIRROR]
set -eu
# Its Release file is valid for a week, which a frozen mirror or a machine's clock outlasts; its signature is checked all the same.
echo "deb [check-valid-until=no] ${1:-http://deb.debian.org/debian} unstable main" >/etc/apt/sources.list.d/unstable.list
printf 'Package: *\nPin: release a=unstable\nPin-Priority: 100\n' >/etc/apt/preferences.d/unstable
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Retries=3 -qq update
apt-get -o Acquire::Retries=3 -qq install --yes --no-install-recommends --target-release unstable criu
