"""A memory cgroup of a fixed size without swap, where the machine allows one."""

import os
import pathlib

ROOT = pathlib.Path("/sys/fs/cgroup")


class MemoryCgroup:
    """A cgroup below that of this process; OSError where that is not allowed."""

    def __init__(self, limit):
        name = f"carat-test-{os.getpid()}"
        lines = pathlib.Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
        groups = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
        if "memory" in groups:
            limits = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", limit)]
            parents = [ROOT / "memory" / groups["memory"].strip("/"), ROOT / "memory"]
        else:
            limits = [("memory.max", limit), ("memory.swap.max", 0)]
            parents = [ROOT / groups[""].strip("/")]
        parent = next((path for path in parents if path.is_dir()), parents[0])
        self.path = parent / name
        self.path.mkdir()
        try:
            for file, value in limits:
                self._limit(file, value)
        except OSError:
            self.path.rmdir()
            raise

    def _limit(self, file, value):
        path = self.path / file
        # A system without accounting of swap has no such file; it must have no swap then.
        if "sw" in file and not path.exists():
            if len(pathlib.Path("/proc/swaps").read_text(encoding="ascii").splitlines()) > 1:
                raise OSError(f"{path} is missing and this machine has swap")
            return
        path.write_text(str(value), encoding="ascii")

    def enter(self):
        """Moves the process that calls it into the cgroup."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    def remove(self):
        self.path.rmdir()
