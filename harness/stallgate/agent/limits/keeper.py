"""Runs one command within limits: ``python -I -S keeper.py LIMITS.json COMMAND... CHANNEL LIFELINE``.

It stands between stallgate and a measuring child, and needs the standard library only::

    stallgate ── keeper ── opener ── first ── the command ── what it starts

*opener* opens namespaces. *first* is process 1 of a new PID namespace where the system allows one: when it ends, all
others end. The keeper passes on the lines of the channel, counts processes and memory, and ends everything that goes
over a limit. The memory that the referee lends is a descriptor of a process that the command cannot see; the keeper
opens it and hands it to *first*, where the command finds it.

LIMITS.json has the keys of ``isolate.py``'s ``Limits`` and ``_Surroundings``. What was found is appended to the file
``report`` as one line of JSON.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import math
import os
import re
import resource
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

WATCH_S = 0.1
"""How often processes are counted."""

LEFT_S = 0.5
"""Seconds that processes get to end after the command itself has."""

OVER_LIMIT = 97
"""Exit status where the command was ended for a limit."""

_MOST_HELD = 2**20
"""Bytes that are held for a process that does not read."""

_KEPT = 4
"""Descriptors of lent memory that stay open: the referee uses at most two at a time."""

LimitTable = dict[str, Any]


class Protection(NamedTuple):
    """Namespaces to try."""

    user: bool
    """Through a user namespace, which needs no rights; else by the rights of root."""
    pids: bool
    mounts: bool
    net: bool

    @property
    def flags(self) -> int:
        chosen = [
            (self.user, 0x10000000),  # CLONE_NEWUSER
            (self.pids, 0x20000000 | 0x08000000),  # CLONE_NEWPID, CLONE_NEWIPC
            (self.mounts, 0x00020000),  # CLONE_NEWNS
            (self.net, 0x40000000),  # CLONE_NEWNET
        ]
        return sum(flag for wanted, flag in chosen if wanted)

    @property
    def names(self) -> list[str]:
        named = [(self.pids, "processes"), (self.mounts, "files"), (self.net, "network")]
        return [name for has, name in named if has]


PROTECTIONS = (
    Protection(user=False, pids=True, mounts=True, net=True),
    Protection(user=True, pids=True, mounts=True, net=True),
    Protection(user=True, pids=False, mounts=True, net=True),
    Protection(user=False, pids=False, mounts=False, net=False),
)
"""From the best to the least; the first that the system allows is used."""


def main(arguments: list[str]) -> int:
    """Runs the command; the exit status is its own, or ``OVER_LIMIT``."""
    limits: LimitTable = json.loads(Path(arguments[0]).read_text())
    command, channel, lifeline = arguments[1:-2], int(arguments[-2]), int(arguments[-1])
    parent = socket.socket(fileno=channel)
    _libc.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what loses its parent becomes this process's
    for protection in PROTECTIONS if limits["namespaces"] else PROTECTIONS[-1:]:
        kept = Kept(limits, command, protection, lifeline)
        if kept.start():
            return Keeper(limits, kept, parent, lifeline).keep()
    return 1


# --- the kept command -------------------------------------------------------------------------------------------------


class Kept:
    """The command in its namespaces: started, handed descriptors, counted, ended whole."""

    def __init__(self, limits: LimitTable, command: list[str], protection: Protection, lifeline: int) -> None:
        self._limits = limits
        self._command = command
        self._lifeline = lifeline
        self.protection = protection
        self.channel, self._their_channel = socket.socketpair()
        self.control, self._their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._own: set[int] = set()
        """Numbers of *opener* and *first*."""
        self._group = _ProcessCounter(limits)
        self._first = ""
        """The number of *first*, as the command sees it."""
        self._handed: dict[tuple[int, int], str] = {}
        """Device and inode of lent memory -> the number of its descriptor in *first*."""
        self.lent = 0
        """Bytes of lent memory: they are no memory of the command's own."""
        self.status: int | None = None
        """Exit status of the command, negative for a signal; None while it runs."""
        self.left = 0
        """Processes that were there after it had ended."""

    def start(self) -> bool:
        """Whether it runs; if not, these namespaces cannot be had."""
        keeper = os.getpid()
        opener = os.fork()
        if opener == 0:
            _die_with(keeper)
            self.channel.close()
            self.control.close()
            self._group.enter()
            open_namespaces(self.protection)
            first = _First(self._limits, self._command, self._their_control, self._their_channel, self._lifeline)
            first.begin(self.protection)
        self._their_control.close()
        self._their_channel.close()
        word, _, number = self._said().partition(b" ")
        if word == b"ready":
            self._first = number.decode()
            self._own = {opener, *descendants(opener)[:1]}
            return True
        self.end()
        return False

    def hand(self, path: str) -> str:
        """Hands the memory behind a path to *first*; the path under which the command finds it.

        Raises:
            OSError: it is not there any more, or *first* is gone.
        """
        descriptor = os.open(path, os.O_RDWR)
        try:
            facts = os.fstat(descriptor)
            key = (facts.st_dev, facts.st_ino)
            if key not in self._handed:
                while len(self._handed) >= _KEPT:
                    self.control.send(b"drop " + self._handed.pop(next(iter(self._handed))).encode())
                socket.send_fds(self.control, [b"take"], [descriptor])
                self._handed[key] = self._answer(b"took")
            self.lent = max(self.lent, 2 * facts.st_size)
        finally:
            os.close(descriptor)
        return f"/proc/{self._first}/fd/{self._handed[key]}"

    def _answer(self, wanted: bytes) -> str:
        while True:
            word, _, rest = self._said().partition(b" ")
            if word == wanted:
                return rest.decode()
            if not word:
                raise OSError("the first process is gone")
            self._note(word, rest)

    def hear(self) -> None:
        """Takes what *first* says: how the command ended."""
        word, _, rest = self._said().partition(b" ")
        if word:
            self._note(word, rest)
        elif self.status is None:
            self.status = -int(signal.SIGKILL)

    def _note(self, word: bytes, rest: bytes) -> None:
        if word == b"exit":
            status, left = rest.split()
            self.status, self.left = int(status), int(left)

    def _said(self) -> bytes:
        try:
            return self.control.recv(64)
        except OSError:
            return b""

    @property
    def processes(self) -> list[int]:
        """What runs: the command and all that it has started."""
        return [pid for pid in descendants(os.getpid()) if pid not in self._own]

    @property
    def was_refused_a_process(self) -> bool:
        return self._group.was_hit

    def end(self) -> None:
        """Ends everything that is left, however often it has forked.

        A PID namespace ends as a whole with its first process. Elsewhere that one goes last: it is the parent of those
        whose own has ended, by which they are found.
        """
        for _ in range(1000):
            left = self.processes
            for pid in [*left, *self._own] if self.protection.pids or not left else left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                break
            time.sleep(0.005)
        with suppress(ChildProcessError):
            while True:
                os.wait()
        self.control.close()
        self.channel.close()
        self._group.remove()


class _ProcessCounter:
    """A control group that holds the number of processes and threads down, where one can be made."""

    def __init__(self, limits: LimitTable) -> None:
        self._folder: Path | None = None
        for base in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
            with suppress(OSError):
                if (base / "cgroup.procs").exists() and self._folder is None:
                    self._folder = self._made(base / f"stallgate-{os.getpid()}", limits["tasks"])

    @staticmethod
    def _made(folder: Path, most: int) -> Path | None:
        folder.mkdir()
        try:
            (folder / "pids.max").write_text(str(most))
        except OSError:  # the controller is not switched on here
            folder.rmdir()
            return None
        return folder

    def enter(self) -> None:
        """Puts this process, and all that it starts, into it."""
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / "cgroup.procs").write_text(str(os.getpid()))

    @property
    def was_hit(self) -> bool:
        if self._folder is None:
            return False
        with suppress(OSError, ValueError, IndexError):
            return int((self._folder / "pids.events").read_text().split()[1]) > 0
        return False

    def remove(self) -> None:
        """It can be removed as soon as the last process is gone."""
        for _ in range(100):
            if self._folder is None:
                return
            try:
                self._folder.rmdir()
                self._folder = None
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.01)


# --- the keeper -------------------------------------------------------------------------------------------------------


class Keeper:
    """Passes lines on, watches, and says how it went."""

    def __init__(self, limits: LimitTable, kept: Kept, parent: socket.socket, lifeline: int) -> None:
        self._limits = limits
        self._kept = kept
        self._lifeline = lifeline
        self._up = _Flow(kept.channel, parent)
        self._down = _Flow(parent, kept.channel, self._translated)
        self._asked = False
        self._ends_by = math.inf
        """The moment at which a command that was asked to end is ended."""
        self._exceeded = ""
        self._most_processes = 0
        self._most_memory = 0
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        """Passes on the request to end, and gives it its grace."""
        if not self._asked:
            self._asked = True
            self._ends_by = time.monotonic() + self._limits["grace_s"]
            for pid in self._kept.processes[:1] if self._limits["grace_s"] else []:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def keep(self) -> int:
        """Until the command ends, goes over a limit, or is no longer wanted; then nothing of it is left."""
        looked = 0.0
        while self._kept.status is None and time.monotonic() < self._ends_by and not self._exceeded:
            self._pass_on()
            if time.monotonic() - looked >= WATCH_S:
                looked = time.monotonic()
                self._exceeded = self._over()
        self._kept.end()
        self._up.drain()
        if not self._exceeded and self._kept.was_refused_a_process:
            self._exceeded = "processes"
        self._report()
        if self._exceeded:
            return OVER_LIMIT
        status = self._kept.status
        if status is not None and status < 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        return status if status is not None else 1

    def _pass_on(self) -> None:
        control = self._kept.control
        reading: list[Any] = [control, self._lifeline, *self._up.reading, *self._down.reading]
        ready, free, _ = select.select(reading, [*self._up.writing, *self._down.writing], [], WATCH_S)
        if control in ready:
            self._kept.hear()
        if self._lifeline in ready:  # stallgate is gone
            self._asked, self._ends_by = True, 0.0
        for flow in (self._up, self._down):
            flow.move(can_read=flow.source in ready, can_write=flow.target in free)

    def _translated(self, line: bytes) -> bytes:
        """A line for the command, in which memory of the referee is where the command can reach it."""
        if b'"host"' not in line:
            return line
        message = json.loads(line)
        memory = message.get("memory")
        if isinstance(memory, dict) and "host" in memory:
            with suppress(OSError):
                memory["host"] = self._kept.hand(memory["host"])
        return json.dumps(message).encode()

    # --- limits ---

    def _over(self) -> str:
        """The limit that it is over, if there is one."""
        running = self._kept.processes
        memory = sum(own_memory(pid) for pid in running) - self._kept.lent
        if memory > self._limits["memory"]:  # what processes share after a fork was counted for each of them
            memory = sum(own_memory(pid, shared=True) for pid in running) - self._kept.lent
        self._most_processes = max(self._most_processes, len(running))
        self._most_memory = max(self._most_memory, memory)
        if time.monotonic() > self._limits["until"]:
            return "time"
        if len(running) > self._limits["processes"]:
            return "processes"
        return "memory" if memory > self._limits["memory"] else ""

    def _report(self) -> None:
        found = {
            "protected": self._kept.protection.names,
            "exceeded": self._exceeded,
            "asked_to_end": self._asked,
            "left": self._kept.left,
            "processes": self._most_processes,
            "memory": self._most_memory,
        }
        with Path(self._limits["report"]).open("a") as file:
            file.write(json.dumps(found) + "\n")


class _Flow:
    """Bytes from one socket to another; a line may be changed on its way."""

    def __init__(self, source: socket.socket, target: socket.socket, change: Any = None) -> None:
        self.source = source
        self.target = target
        self._change = change
        self._line = b""
        self._held = b""
        self._is_open = True

    @property
    def reading(self) -> list[socket.socket]:
        return [self.source] if self._is_open and len(self._held) < _MOST_HELD else []

    @property
    def writing(self) -> list[socket.socket]:
        return [self.target] if self._held else []

    def move(self, *, can_read: bool, can_write: bool) -> None:
        if can_read:
            self._read()
        if can_write or self._held:
            self._write()

    def _read(self) -> None:
        try:
            received = self.source.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        self._is_open = bool(received)
        if self._change is None:
            self._held += received
            return
        *whole, self._line = (self._line + received).split(b"\n")
        self._held += b"".join(self._change(line) + b"\n" for line in whole)

    def _write(self) -> None:
        try:
            sent = self.target.send(self._held, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            self._held = self._held[sent:]
        except BlockingIOError:
            return
        except OSError:  # nobody is there to read it
            self._held = b""

    def drain(self) -> None:
        """Passes on what is still on its way from a process that has ended; the reader gets a second for it."""
        end = time.monotonic() + 1
        while (self._is_open or self._held) and time.monotonic() < end:
            self._read() if self._is_open else None
            self._write() if self._held else None


# --- processes --------------------------------------------------------------------------------------------------------


def descendants(root: int) -> list[int]:
    """The processes below one, its children first; those that have ended are not among them."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError, ValueError, IndexError):
                state, parent = (folder / "stat").read_text("latin-1").rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    children.setdefault(int(parent), []).append(int(folder.name))
    found, level = [], [root]
    while level:
        level = [child for pid in level for child in children.get(pid, [])]
        found += level
    return found


def own_memory(pid: int, *, shared: bool = False) -> int:
    """Bytes of memory of a process; files that it maps are not among them.

    Args:
        pid: its number.
        shared: divide memory that processes share among them, which takes longer to find out.
    """
    file, names = ("smaps_rollup", ("Pss_Anon:", "Pss_Shmem:")) if shared else ("status", ("RssAnon:", "RssShmem:"))
    with suppress(OSError, ValueError):
        lines = Path("/proc", str(pid), file).read_text("latin-1").splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(names))
    return 0


# --- namespaces -------------------------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)


def _demanded(result: int, what: str) -> None:
    """Raises an OSError if a call of the system failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), what)


def _die_with(parent: int) -> None:
    """Ends this process as soon as its parent ends."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() not in (parent, 0):
        os._exit(1)


def open_namespaces(protection: Protection) -> None:
    """Opens them for this process; the processes that it starts are in the new PID namespace. Ends it if it cannot."""
    user, group = os.getuid(), os.getgid()
    try:
        if protection.flags:
            _demanded(_libc.unshare(protection.flags), "unshare")
        if protection.user:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError:
        os._exit(1)


class _First:
    """The first process of the new namespace: it prepares it, starts the command, and ends with it."""

    def __init__(
        self, limits: LimitTable, command: list[str], control: socket.socket, channel: socket.socket, lifeline: int
    ) -> None:
        self._limits = limits
        self._command = [*command, str(channel.fileno()), str(lifeline)]
        self._control = control
        self._inherited = (channel.fileno(), lifeline)

    def begin(self, protection: Protection) -> NoReturn:
        """Forks it, and waits for its end."""
        opener = os.getpid()
        pid = os.fork()
        if pid == 0:
            _die_with(opener)
            try:
                self._prepare(protection)
                self._run()
            finally:
                os._exit(1)
        self._control.close()
        os.waitpid(pid, 0)
        os._exit(0)

    def _prepare(self, protection: Protection) -> None:
        if protection.mounts:
            set_mounts(self._limits, own_processes=protection.pids)
        if protection.net:
            raise_loopback()
        _libc.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
        if not self._limits["keeps_rights"]:
            drop_rights()

    def _run(self) -> None:
        pid = os.fork()
        if pid == 0:
            self._become()
        self._control.send(b"ready %d" % os.getpid())
        status = self._wait_for(pid)
        left = self._wait_for_the_rest()
        self._control.send(b"exit %d %d" % (status, left))
        while True:  # the keeper ends it
            signal.pause()

    def _become(self) -> NoReturn:
        """The command, in this process."""
        try:
            set_limits(self._limits)
            for descriptor in self._inherited:
                os.set_inheritable(descriptor, True)
            os.setpgid(0, 0)
            os.execve(self._command[0], self._command, kept_environment(self._limits))
        except BaseException as error:  # noqa: BLE001  (whatever it is: it must not go on as a copy of *first*)
            os.write(2, f"{self._command[0]}: {error}\n".encode())
        finally:
            os._exit(127)

    def _wait_for(self, command: int) -> int:
        """The command's exit status. Meanwhile takes descriptors, and what other processes leave behind."""
        while True:
            if select.select([self._control], [], [], 0.02)[0]:
                self._obey()
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return 1
                if pid == command:
                    return os.waitstatus_to_exitcode(status)
                if pid == 0:
                    break

    def _obey(self) -> None:
        said, descriptors, *_ = socket.recv_fds(self._control, 64, 1)
        if not said:  # the keeper is gone
            os._exit(1)
        if descriptors:
            self._control.send(b"took %d" % descriptors[0])
        elif said.startswith(b"drop "):
            os.close(int(said[5:]))

    def _wait_for_the_rest(self) -> int:
        """How many processes do not end by themselves after the command has."""
        end = time.monotonic() + LEFT_S
        while time.monotonic() < end:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.01)
            except ChildProcessError:
                return 0
        return len(descendants(os.getpid()))


def kept_environment(limits: LimitTable) -> dict[str, str]:
    """The environment of the command: of this process's own what it needs and is no secret, and private folders."""
    passed, secret = re.compile(limits["passed_on"]), re.compile(limits["secret"])
    kept = {name: value for name, value in os.environ.items() if passed.fullmatch(name) and not secret.search(name)}
    return {**kept, **limits["environment"]}


def set_limits(limits: LimitTable) -> None:
    """Those that the kernel holds for each process. Where memory runs out, this process is ended, and no other."""
    with suppress(OSError):  # where /proc cannot be written, the kernel chooses
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    wanted = {
        resource.RLIMIT_CPU: limits["cpu_s"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: limits["address_space"],
    }
    for kind, most in wanted.items():
        if most is not None:
            hard = resource.getrlimit(kind)[1]
            value = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (value, value))


def drop_rights() -> None:
    """Gives up what root may do, for good; a program that is started cannot get it back."""
    for capability in range(64):
        _libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    _libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(none))


def set_mounts(limits: LimitTable, *, own_processes: bool) -> None:
    """Makes every file read-only but those of two empty folders, and hides what the command has no use for.

    Raises:
        OSError: the system does not allow it.
    """
    _mount(None, "/", None, 0x44000)  # MS_REC | MS_PRIVATE
    for name in limits["hidden"]:
        if Path(name).is_dir():
            _mount("tmpfs", name, "tmpfs", 0, "size=1m,mode=0755")
        elif Path(name).exists():
            _mount("/dev/null", name, None, 0x1000)  # MS_BIND
    writable = [limits["tmpdir"], "/dev/shm"]
    for name in writable:
        _mount("tmpfs", name, "tmpfs", 0, f"size={limits['folder_bytes']},mode=0700")
    if own_processes:
        _mount("proc", "/proc", "proc", 0)
    _set_read_only("/", on=True, below=True)
    for name in [*writable, *(["/proc"] if own_processes else [])]:
        _set_read_only(name, on=False, below=False)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    texts = [each.encode() if each else None for each in (source, target, kind)]
    _demanded(_libc.mount(*texts, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def _set_read_only(path: str, *, on: bool, below: bool) -> None:
    """Sets or clears MOUNT_ATTR_RDONLY of a mount, or of all below it too."""
    attributes = struct.pack("=QQQQ", on, not on, 0, 0)
    recursive = ctypes.c_uint(0x8000 if below else 0)
    number = ctypes.c_long(442)  # mount_setattr, on every architecture
    size = ctypes.c_size_t(len(attributes))
    made = _libc.syscall(number, -100, path.encode(), recursive, ctypes.c_char_p(attributes), size)
    _demanded(made, f"mount_setattr {path}")


def raise_loopback() -> None:
    """Switches on the loopback of a new network namespace: some programs talk to themselves."""
    with suppress(OSError), socket.socket() as any_socket:
        request = struct.pack("=16sh14x", b"lo", 0x1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
