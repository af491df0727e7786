"""Files that nobody has open in volumes that end with the pod."""
import os

from state_files import read, tree, write
from state_report import kind, same


def in_volume(path):
    os.makedirs(f'{path}/made/sub')
    write(f'{path}/made/sub/file', 'made')
    write(f'{path}/two  words', 'x' * 100_000)
    os.link(f'{path}/two  words', f'{path}/made/link')
    os.symlink('made', f'{path}/link')

    def look():
        same(tree(f'{path}/made'), {'sub': 'folder', 'sub/file': 'made', 'link': 'x' * 100_000}, 'the tree')
        same(os.stat(f'{path}/made/link').st_nlink, 2, 'the number of links')
        same(os.readlink(f'{path}/link'), 'made', 'the link')
    return look


@kind
def empty_dir():
    "an emptyDir on disk"
    return in_volume('/scratch disk')


@kind
def empty_dir_in_memory():
    "an emptyDir in memory"
    return in_volume('/scratch-memory')


@kind
def shm_folder():
    "files in /dev/shm"
    return in_volume('/dev/shm')


@kind
def filled_before():
    "what an init container put into an emptyDir, and the program changed, deleted and renamed"
    write('/filled/change', 'changed')
    os.unlink('/filled/delete')
    os.rename('/filled/rename', '/filled/renamed')

    def look():
        same(read('/filled/change'), 'changed', 'the changed file')
        same(os.path.lexists('/filled/delete'), False, 'the existence of the deleted file')
        same(os.path.lexists('/filled/rename'), False, 'the existence of the old name')
        same(tree('/filled/renamed'), {'x': 'filled\n', 'sub': 'folder', 'sub/y': 'filled\n'}, 'the renamed folder')
    return look


@kind
def filled_at_random():
    "what an init container put into an emptyDir, which is different in every pod"
    return lambda: read('/filled/random').strip()


@kind
def filled_and_changed():
    "the same where the program changed it, or holds it open"
    held = open('/filled/held')
    first = read('/filled/held')
    write('/filled/again', 'changed')

    def look():
        same(os.pread(held.fileno(), 100, 0).decode(), first, 'what is read of the open file')
        same(read('/filled/held'), first, 'the open file')
        same(read('/filled/again'), 'changed', 'the changed file')
    return look


@kind
def shared():
    "an emptyDir that another container shares"
    write('/shared/mine', 'mine')
    return lambda: same(read('/shared/mine'), 'mine', 'the file')
