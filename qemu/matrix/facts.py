# Says as JSON what drgn finds in a core or dump: everything that a person looks for
# first. Two files of the same memory must give the same. Works with drgn 0.3.0.
import json
import sys

from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg
from drgn.helpers.linux.sched import cpu_curr, task_cpu
from drgn.helpers.linux.slab import (
    for_each_slab_cache,
    slab_cache_for_each_allocated_object,
)


def text(value):
    return value.string_().decode(errors="replace")


def trace(t):
    return [f"{f.name or ''} {f.pc:#x}" for f in prog.stack_trace(t)]


# Each walk looks at all of memory; these two stand for large and small objects.
walked = ("task_struct", "dentry")
slabs = {}
for cache in for_each_slab_cache(prog):
    name = text(cache.name)
    slabs[name] = int(cache.size)
    if name in walked:
        objects = slab_cache_for_each_allocated_object(cache, "void")
        slabs[name + " objects"] = [hex(o.value_()) for o in objects]

cpus = {}
for cpu in for_each_online_cpu(prog):
    frames = prog.stack_trace(cpu_curr(prog, cpu))
    cpus[str(cpu)] = {
        "registers": {k: v for k, v in frames[0].registers().items()},
        "trace": [f"{f.name or ''} {f.pc:#x}" for f in frames],
    }

tasks = {}
for t in for_each_task(prog):
    stack = []
    if task_cpu(t) is not None and t.value_() != cpu_curr(prog, task_cpu(t)).value_():
        stack = trace(t)
    tasks[str(t.pid.value_())] = {"comm": text(t.comm), "trace": stack}

thread = prog.crashed_thread()
json.dump(
    {
        "release": text(prog["init_uts_ns"].name.release),
        "crashed": thread.tid,
        "frames": [f.name or "" for f in thread.stack_trace()],
        "cpus": cpus,
        "tasks": tasks,
        "modules": {
            text(m.name): hex(m.value_())
            for m in list_for_each_entry("struct module", prog["modules"].address_of_(), "list")
        },
        "slabs": slabs,
        "dmesg": get_dmesg(prog).decode(errors="surrogateescape"),
    },
    sys.stdout,
)
