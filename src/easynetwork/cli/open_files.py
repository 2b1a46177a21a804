"""How many files, sockets among them, a process may have open."""

from __future__ import annotations

__all__ = ["allow_open_files"]

from easynetwork.cli.errors import CommandError

try:
    import resource
except ImportError:  # not a POSIX system

    def allow_open_files(count: int) -> None:
        """Do nothing: this system knows no such limit."""

else:

    def allow_open_files(count: int) -> None:
        """Let this process and those that it starts have *count* files open.

        Raises CommandError (status 2) if the system does not permit as many.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if _enough(soft, count):
            return
        if not _enough(hard, count):
            raise CommandError(f"this system lets a process open {hard:,} files, {count:,} are needed", status=2)
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))

    def _enough(limit: int, count: int) -> bool:
        return limit == resource.RLIM_INFINITY or limit >= count
