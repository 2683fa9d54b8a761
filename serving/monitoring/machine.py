"""Disk and memory, as this process sees them."""

import os
import resource
import shutil
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_KIB = 1024


def disk(folder: Path) -> dict[str, int]:
    """Bytes of the file system that ``folder`` lies on, or would lie on."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    usage = shutil.disk_usage(there)
    return {"free_bytes": usage.free, "total_bytes": usage.total}


def memory() -> dict[str, int]:
    """Bytes that this process holds; where the system does not tell, the most that it ever held."""
    try:
        return {"resident_bytes": int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")}
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"resident_bytes": peak if sys.platform == "darwin" else peak * _KIB}
