#!/bin/busybox sh
# The initial RAM disk's only script: the disk's driver, the system, what this run has brought (a tar archive on the second disk),
# and on to the system's own first process.
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox insmod /virtio_blk.ko
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root || exit 1
/bin/busybox tar -x -f /dev/vdb -C /root || exit 1
exec /bin/busybox switch_root /root /bin/sh /repository/test/vm/guest/start.sh
