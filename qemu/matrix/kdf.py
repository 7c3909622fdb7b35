# Compares a dump with the core that it was made of through libkdumpfile alone:
# argv: core, dump, file of a bitmap of pages that the dump must store, number of pages,
# file of a bitmap of pages that are RAM.
# Every stored page is read from both and compared, every other page of RAM is asked
# for and must not be there, and the map by which libkdumpfile finds pages must have no
# other page, be it RAM or not.
# Prints how many pages were equal and how many were absent; exits 1 with the reason
# otherwise.
import sys

import kdumpfile

try:
    from kdumpfile.exceptions import NoDataError as Absent

    def opened(path):
        ctx = kdumpfile.Context()
        ctx.open(path)
        return ctx, lambda addr, n: bytes(ctx.read(kdumpfile.MACHPHYSADDR, addr, n << 12))

    def mapped(ctx, limit):
        return bytes(ctx.attr["file.pagemap"].get_bits(0, limit - 1))

except ImportError:  # before 0.5.5, whose bindings have no map
    from kdumpfile.exceptions import NoDataException as Absent

    def opened(path):
        ctx = kdumpfile.kdumpfile(path)
        return ctx, lambda addr, n: ctx.read(kdumpfile.KDUMP_MACHPHYSADDR, addr, n << 12)

    mapped = None


(_, core), (ctx, dump) = opened(sys.argv[1]), opened(sys.argv[2])
limit = int(sys.argv[4])
with open(sys.argv[3], "rb") as f:
    stored = f.read()
with open(sys.argv[5], "rb") as f:
    ram = f.read()

if mapped:
    have = mapped(ctx, limit)
    for i, (a, b) in enumerate(zip(stored, have.ljust(len(stored), b"\0"), strict=True)):
        if a != b:
            sys.exit(f"pages {i * 8:#x} to {i * 8 + 7:#x}: stored {a:08b}, in libkdumpfile's map {b:08b}")


def bit(bits, pfn):
    return bits[pfn >> 3] >> (pfn & 7) & 1


equal = absent = pfn = 0
while pfn < limit:
    if bit(stored, pfn):
        n = 1
        while n < 64 and pfn + n < limit and bit(stored, pfn + n):
            n += 1
        if dump(pfn << 12, n) != core(pfn << 12, n):
            sys.exit(f"one of {n} pages from {pfn:#x} on differs")
        equal += n
        pfn += n
        continue
    if bit(ram, pfn):
        try:
            dump(pfn << 12, 1)
        except Absent:
            absent += 1
        else:
            sys.exit(f"page {pfn:#x} is there and should not be")
    pfn += 1
print(equal, absent)
