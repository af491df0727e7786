"""Files in the container's writable layer that nobody has open."""
import os
import shutil
import stat
import struct

from state_report import kind, same

IMAGE = '/data'
OWN = '/data/own'
MIB = 1 << 20


def write(path, text, mode='w'):
    with open(path, mode) as file:
        file.write(text)


def read(path):
    with open(path) as file:
        return file.read()


def tree(path):
    """Every name below, with what a symbolic link or a file holds."""
    found = {}
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            full = os.path.join(folder, name)
            below = os.path.relpath(full, path)
            if os.path.islink(full):
                found[below] = '-> ' + os.readlink(full)
            elif os.path.isfile(full):
                found[below] = read(full)
            else:
                found[below] = 'folder'
    return found


@kind
def changed():
    "files of the image that were changed"
    write(f'{IMAGE}/change.txt', 'more\n', 'a')
    write(f'{IMAGE}/overwrite.txt', 'new')
    os.truncate(f'{IMAGE}/truncate.txt', 3)

    def look():
        same(read(f'{IMAGE}/change.txt'), 'of the image\nmore\n', 'the file that was appended to')
        same(read(f'{IMAGE}/overwrite.txt'), 'new', 'the file that was overwritten')
        same(read(f'{IMAGE}/truncate.txt'), 'of ', 'the file that was cut')
        same(read(f'{IMAGE}/keep.txt'), 'of the image\n', 'the file that was left alone')
    return look


@kind
def created():
    "files and folders that were created"
    os.makedirs(f'{OWN}/deep/er/still')
    os.mkdir(f'{OWN}/empty')
    write(f'{OWN}/deep/er/still/file', 'deep')
    write(f'{OWN}/nothing', '')
    write(f'{IMAGE}/folder/added', 'added')
    write('/at-the-root', 'root')
    write('/etc/made-by-program', 'etc')

    def look():
        same(tree(f'{OWN}/deep'), {'er': 'folder', 'er/still': 'folder', 'er/still/file': 'deep'}, 'the tree')
        same(os.listdir(f'{OWN}/empty'), [], 'the empty folder')
        same(os.path.getsize(f'{OWN}/nothing'), 0, 'the size of the empty file')
        same(sorted(os.listdir(f'{IMAGE}/folder')), ['added', 'x'], 'the folder of the image')
        same(read('/at-the-root') + read('/etc/made-by-program'), 'rootetc', 'files elsewhere')
    return look


@kind
def deleted():
    "files and a folder tree of the image that were deleted"
    os.unlink(f'{IMAGE}/delete.txt')
    os.unlink(f'{IMAGE}/delete me * [a]\n')
    shutil.rmtree(f'{IMAGE}/tree')

    def look():
        for gone in ('delete.txt', 'delete me * [a]\n', 'tree'):
            same(os.path.lexists(f'{IMAGE}/{gone}'), False, f'the existence of {gone!r}')
        same(os.path.lexists(f'{IMAGE}/delete me * kept [a]\n'), True, 'the existence of its neighbour')
    return look


@kind
def emptied():
    "a folder of the image that was deleted and made anew"
    shutil.rmtree(f'{IMAGE}/anew')
    os.makedirs(f'{IMAGE}/anew/sub')
    write(f'{IMAGE}/anew/sub/mine', 'mine')
    return lambda: same(tree(f'{IMAGE}/anew'), {'sub': 'folder', 'sub/mine': 'mine'}, 'the folder')


@kind
def of_another_type():
    "names of the image that have become something else"
    shutil.rmtree(f'{IMAGE}/to-file')
    write(f'{IMAGE}/to-file', 'file')
    os.rmdir(f'{IMAGE}/to-file-empty')
    write(f'{IMAGE}/to-file-empty', 'file')
    os.unlink(f'{IMAGE}/to-folder')
    os.mkdir(f'{IMAGE}/to-folder')
    write(f'{IMAGE}/to-folder/in', 'in')
    os.unlink(f'{IMAGE}/link-to-folder')
    os.mkdir(f'{IMAGE}/link-to-folder')
    write(f'{IMAGE}/link-to-folder/in', 'in')
    shutil.rmtree(f'{IMAGE}/to-link')
    os.symlink('keep.txt', f'{IMAGE}/to-link')

    def look():
        same(read(f'{IMAGE}/to-file') + read(f'{IMAGE}/to-file-empty'), 'filefile', 'what were folders')
        same(tree(f'{IMAGE}/to-folder'), {'in': 'in'}, 'what was a file')
        same(os.path.islink(f'{IMAGE}/link-to-folder'), False, 'what was a link: being a link')
        same(tree(f'{IMAGE}/link-to-folder'), {'in': 'in'}, 'what was a link')
        same(os.readlink(f'{IMAGE}/to-link'), 'keep.txt', 'what has become a link')
        same(sorted(os.listdir(f'{IMAGE}/folder')), ['added', 'x'], 'the folder that the link led to')
    return look


@kind
def renamed():
    "renamed files and folders"
    os.rename(f'{IMAGE}/rename.txt', f'{OWN}/renamed.txt')
    shutil.move(f'{IMAGE}/rename', f'{OWN}/renamed')
    os.makedirs(f'{OWN}/before/sub')
    write(f'{OWN}/before/sub/file', 'file')
    os.rename(f'{OWN}/before', f'{OWN}/after')

    def look():
        same(read(f'{OWN}/renamed.txt'), 'of the image\n', 'the file')
        same(tree(f'{OWN}/renamed'), {'y': 'of the image\n'}, 'the folder of the image')
        same(tree(f'{OWN}/after'), {'sub': 'folder', 'sub/file': 'file'}, 'the folder')
        for gone in (f'{IMAGE}/rename.txt', f'{IMAGE}/rename', f'{OWN}/before'):
            same(os.path.lexists(gone), False, f'the existence of {gone}')
    return look


@kind
def links():
    "symbolic links, hard links, named pipes and devices"
    write(f'{OWN}/one', 'linked')
    os.link(f'{OWN}/one', f'{OWN}/two')
    os.mkdir(f'{OWN}/other')
    os.link(f'{OWN}/one', f'{OWN}/other/three')
    os.symlink('nowhere/at all', f'{OWN}/dangling')
    os.symlink('/data/folder', f'{OWN}/absolute')
    os.mkfifo(f'{OWN}/fifo', 0o640)
    os.mknod(f'{OWN}/null', stat.S_IFCHR | 0o666, os.makedev(1, 3))

    def look():
        inodes = {os.stat(f'{OWN}/{name}').st_ino for name in ('one', 'two', 'other/three')}
        same((len(inodes), os.stat(f'{OWN}/one').st_nlink), (1, 3), 'the number of inodes and of links')
        same(read(f'{OWN}/other/three'), 'linked', 'the linked file')
        same(os.readlink(f'{OWN}/dangling'), 'nowhere/at all', 'the dangling link')
        same(os.readlink(f'{OWN}/absolute'), '/data/folder', 'the absolute link')
        same(stat.filemode(os.lstat(f'{OWN}/fifo').st_mode), 'prw-r-----', 'the named pipe')
        same(os.lstat(f'{OWN}/null').st_rdev, os.makedev(1, 3), 'the device')
    return look


@kind
def metadata():
    "modes, owners, times, extended attributes, capabilities and access lists"
    path, folder, link = f'{OWN}/meta', f'{OWN}/meta-folder', f'{OWN}/meta-link'
    write(path, 'meta')
    os.mkdir(folder)
    os.symlink('meta', link)
    os.chown(path, 1234, 4321)
    os.chown(folder, 1, 2)
    os.chown(link, 3, 4, follow_symlinks=False)
    os.chmod(path, 0o6751)
    os.chmod(folder, 0o3770)
    os.chmod(f'{IMAGE}/mode-only.txt', 0o600)
    os.setxattr(path, 'user.note', b'\0 bytes \xff')
    os.setxattr(folder, 'user.note', b'folder')
    # Version 2 of vfs_cap_data (linux/capability.h): effective, permitted CAP_NET_BIND_SERVICE.
    capability = struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0)
    write(f'{OWN}/capable', '')
    os.setxattr(f'{OWN}/capable', 'security.capability', capability)
    # Version 2 of posix_acl_xattr (linux/posix_acl_xattr.h): u::rw-, u:1234:r--, g::r--, m::r--, o::---
    entries = [(1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]
    access = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)
    write(f'{OWN}/listed', '')
    os.setxattr(f'{OWN}/listed', 'system.posix_acl_access', access)
    os.utime(path, ns=(1_000_000_000_123_456_789, 1_234_567_890_987_654_321))
    os.utime(folder, ns=(1, 946_684_800_000_000_001))
    os.utime(f'{IMAGE}/time-only.txt', ns=(0, 5_000_000_007))

    def look():
        found = os.stat(path)
        same((found.st_uid, found.st_gid, oct(found.st_mode & 0o7777)), (1234, 4321, '0o6751'), 'the file')
        same(found.st_mtime_ns, 1_234_567_890_987_654_321, 'its time')
        found = os.stat(folder)
        same((found.st_uid, found.st_gid, oct(found.st_mode & 0o7777)), (1, 2, '0o3770'), 'the folder')
        same(found.st_mtime_ns, 946_684_800_000_000_001, 'its time')
        same((os.lstat(link).st_uid, os.lstat(link).st_gid), (3, 4), 'the owner of the link')
        same(oct(os.stat(f'{IMAGE}/mode-only.txt').st_mode & 0o777), '0o600', 'the mode of a file of the image')
        same(os.stat(f'{IMAGE}/time-only.txt').st_mtime_ns, 5_000_000_007, 'the time of a file of the image')
        same(os.getxattr(path, 'user.note'), b'\0 bytes \xff', 'the attribute')
        same(os.getxattr(folder, 'user.note'), b'folder', 'the attribute of the folder')
        same(os.getxattr(f'{OWN}/capable', 'security.capability'), capability, 'the capabilities')
        same(os.getxattr(f'{OWN}/listed', 'system.posix_acl_access'), access, 'the access list')
    return look


@kind
def names():
    "names with spaces, line ends, globs, quotes, backslashes, hyphens and bytes that are no UTF-8"
    odd = [b' ', b'a  b ', b'line\nend', b'*?[a-z]', b'"\'`$(x)', b'back\\slash\\n', b'-rf', b'--', b'\xff\xfe\x80',
           'übermäßig ☃'.encode(), b'x' * 255, b'~', b'%s%d', b'\x01\x7f\t\r']
    for name in odd:
        os.makedirs(os.path.join(b'/data/own/odd', name))
        with open(os.path.join(b'/data/own/odd', name, name), 'wb') as file:
            file.write(name)

    def look():
        same(sorted(os.listdir(b'/data/own/odd')), sorted(odd), 'the folder')
        for name in odd:
            with open(os.path.join(b'/data/own/odd', name, name), 'rb') as file:
                same(file.read(), name, 'the file')
    return look


@kind
def sparse():
    "a sparse file, which stays sparse"
    with open(f'{OWN}/sparse', 'wb') as file:
        file.truncate(256 * MIB)
        file.seek(100 * MIB)
        file.write(b'island')

    def look():
        same(os.path.getsize(f'{OWN}/sparse'), 256 * MIB, 'its size')
        with open(f'{OWN}/sparse', 'rb') as file:
            file.seek(100 * MIB - 2)
            same(file.read(10), b'\0\0island\0\0', 'its island')
        if os.stat(f'{OWN}/sparse').st_blocks * 512 > MIB:
            raise AssertionError(f'it takes {os.stat(f"{OWN}/sparse").st_blocks * 512} bytes')
    return look
