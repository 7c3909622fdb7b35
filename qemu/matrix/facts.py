# Says as JSON what drgn finds in a core or dump: everything that a person looks for
# first. Two files of the same memory must give the same. Works with drgn 0.3.0.
import hashlib
import json
import sys

from drgn import FaultError, cast
from drgn.helpers.linux import slab
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mm import PageSlab, for_each_page
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg, get_printk_records
from drgn.helpers.linux.sched import cpu_curr, task_cpu


def text(value):
    return value.string_().decode(errors="replace")


def frames(t):
    return [f"{f.name or ''} {f.pc:#x}" for f in prog.stack_trace(t)]


def slab_pages():
    """All pages of slabs, by the address of their cache."""
    kind = slab._get_slab_type(prog)
    pages = {}
    for page in for_each_page(prog):
        try:
            if PageSlab(page):
                pages.setdefault(cast(kind, page).slab_cache.value_(), []).append(page)
        except FaultError:  # no struct page
            pass
    return pages


def slabs():
    """Each cache: what its own counters say, and each object that a walk of all its
    slabs finds in use. drgn's walk looks at all of memory for each cache, so it is
    given the pages of the cache instead."""
    pages, found = slab_pages(), {}
    for cache in slab.for_each_slab_cache(prog):
        mine = pages.pop(cache.value_(), [])
        slab.for_each_page = lambda _: iter(mine)
        objects = [o.value_() for o in slab.slab_cache_for_each_allocated_object(cache, "void")]
        found[f"{text(cache.name)} {cache.value_():#x}"] = {
            "size": int(cache.size),
            "slabs": len(mine),
            "usage": usage(cache),
            "objects": len(objects),
            "addresses": hashlib.sha256(repr(objects).encode()).hexdigest(),
            # what a person looks at is in the objects themselves
            "contents": contents(objects, int(cache.object_size)),
        }
    if pages:
        sys.exit(f"slabs of caches that are not listed: {[hex(p) for p in pages]}")
    return found


def usage(cache):
    try:
        return slab.slab_cache_usage(cache)
    except AttributeError:  # drgn before 0.1
        return None


def contents(objects, size):
    digest = hashlib.sha256()
    for o in objects:
        digest.update(prog.read(o, size))
    return digest.hexdigest()


def cpus():
    found = {}
    for cpu in for_each_online_cpu(prog):
        trace = prog.stack_trace(cpu_curr(prog, cpu))
        found[str(cpu)] = {
            "registers": trace[0].registers(),
            "trace": [f"{f.name or ''} {f.pc:#x}" for f in trace],
        }
    return found


def tasks():
    found = {}
    for t in for_each_task(prog):
        running = cpu_curr(prog, task_cpu(t)).value_() == t.value_()
        found[str(t.pid.value_())] = {"comm": text(t.comm), "running": running, "trace": [] if running else frames(t)}
    return found


thread = prog.crashed_thread()
json.dump(
    {
        "release": text(prog["init_uts_ns"].name.release),
        "crashed": thread.tid,
        "frames": [f.name or "" for f in thread.stack_trace()],
        "cpus": cpus(),
        "tasks": tasks(),
        "modules": {
            text(m.name): hex(m.value_())
            for m in list_for_each_entry("struct module", prog["modules"].address_of_(), "list")
        },
        "slabs": slabs(),
        "dmesg": get_dmesg(prog).decode("latin-1"),
        "records": [
            {"ns": r.timestamp, "text": r.text.decode("latin-1")} for r in get_printk_records(prog)
        ],
    },
    sys.stdout,
)
