#!/bin/sh
# Starts the kernel's NFS server on a folder, and two nodes: network namespaces that have it mounted. NFS takes a node for another one by its
# host name, so each mount has its own. Run once, as root, in the guest.
#   server.sh EXPORT a|b...    mounts /mnt/NODE-4 (NFSv4.2) and /mnt/NODE-3 (NFSv3, with locks)
set -eu
export=$1
shift
# Without this no lock is granted in the first minutes, since an earlier client might claim it.
modprobe lockd nlm_timeout=3 nlm_grace_period=3
modprobe nfsd
mkdir -p "$export" /run/netns /var/lib/nfs/v4recovery /run/rpcbind
mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
ip link set lo up
rpcbind -w
echo "$export *(rw,no_root_squash,no_subtree_check,sync,insecure,fsid=1)" >/etc/exports
exportfs -ra
rpc.statd --no-notify
rpc.mountd
echo 60 >/proc/fs/nfsd/nfsv4leasetime
echo 10 >/proc/fs/nfsd/nfsv4gracetime
rpc.nfsd 8
echo Y >/proc/fs/nfsd/v4_end_grace
number=0
for node in "$@"; do
  number=$((number + 1))
  ip netns add "$node"
  ip link add "to-$node" type veth peer name eth0 netns "$node"
  ip addr add "10.99.$number.1/24" dev "to-$node"
  ip link set "to-$node" up
  nsenter --net="/run/netns/$node" ip link set lo up
  nsenter --net="/run/netns/$node" ip addr add "10.99.$number.2/24" dev eth0
  nsenter --net="/run/netns/$node" ip link set eth0 up
  for version in 4 3; do
    mkdir -p "/mnt/$node-$version"
    case $version in
    4) options=vers=4.2 ;;
    # The server's statd would be told of this client's locks by a statd in its namespace, which is not there.
    3) options=vers=3,proto=tcp,mountproto=tcp ;;
    esac
    nsenter --net="/run/netns/$node" unshare --uts sh -c "hostname node-$node && mount -t nfs -o $options,hard 10.99.$number.1:$export /mnt/$node-$version"
  done
done
