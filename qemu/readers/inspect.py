# Says as JSON what drgn finds in a dump. Works with drgn 0.0.22 and later.
import json
import sys

from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg


def text(value):
    return value.string_().decode(errors="replace")


thread = prog.crashed_thread()
trace = thread.stack_trace()
json.dump(
    {
        "release": text(prog["init_uts_ns"].name.release),
        "crashed_tid": thread.tid,
        "crashed_comm": text(thread.object.comm),
        "frames": [f.name or "" for f in trace],
        "trace": str(trace),
        "tasks": {str(t.pid.value_()): text(t.comm) for t in for_each_task(prog)},
        "modules": [
            text(m.name)
            for m in list_for_each_entry("struct module", prog["modules"].address_of_(), "list")
        ],
        "five_level": prog["__pgtable_l5_enabled"].value_() != 0,
        "dmesg": get_dmesg(prog).decode(errors="replace"),
    },
    sys.stdout,
)
