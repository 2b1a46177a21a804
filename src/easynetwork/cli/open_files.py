"""The limit of open files, including sockets, of a process."""

from __future__ import annotations

__all__ = ["allow_open_files"]

from easynetwork.cli.errors import CommandError

try:
    import resource
except ImportError:  # not a POSIX system

    def allow_open_files(count: int) -> None:
        """Do nothing: this system has no such limit."""

else:

    def allow_open_files(count: int) -> None:
        """Raise the limit of open files to *count*, for this process and the processes that it starts.

        Raises:
            CommandError: the system does not allow *count* open files (status 2).
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if _enough(soft, count):
            return
        if not _enough(hard, count):
            raise CommandError(f"{count:,} open files are needed, but this system allows at most {hard:,}", status=2)
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))

    def _enough(limit: int, count: int) -> bool:
        return limit == resource.RLIM_INFINITY or limit >= count
