# Says as JSON what drgn finds in a dump. Works with drgn 0.0.22 and later.
import json
import sys

from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg


def text(value):
    return value.string_().decode(errors="replace")


def crashed():
    """The task that panicked; nothing in a dump of a machine that runs."""
    if prog["panic_cpu"].counter.value_() == -1:
        return {}
    thread = prog.crashed_thread()
    trace = thread.stack_trace()
    return {
        "crashed_tid": thread.tid,
        "crashed_comm": text(thread.object.comm),
        "frames": [f.name or "" for f in trace],
        "trace": str(trace),
    }


def running():
    """The stack of each CPU, where this drgn can tell."""
    try:
        from drgn.helpers.linux.cpumask import for_each_online_cpu
        from drgn.helpers.linux.sched import cpu_curr
    except ImportError:
        return []
    return [[f.name or "" for f in prog.stack_trace(cpu_curr(prog, cpu))] for cpu in for_each_online_cpu(prog)]


def five_level():
    try:
        return prog["__pgtable_l5_enabled"].value_() != 0
    except KeyError:  # a kernel built without, such as Debian's 5.10
        return False


json.dump(
    {
        "release": text(prog["init_uts_ns"].name.release),
        **crashed(),
        "running": running(),
        "tasks": {str(t.pid.value_()): text(t.comm) for t in for_each_task(prog)},
        "modules": [
            text(m.name)
            for m in list_for_each_entry("struct module", prog["modules"].address_of_(), "list")
        ],
        "five_level": five_level(),
        "dmesg": get_dmesg(prog).decode(errors="replace"),
    },
    sys.stdout,
)
