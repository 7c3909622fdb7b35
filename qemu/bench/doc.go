// Command bench compares kdump-vmcore with makedumpfile(8), the newest that Debian
// has and the machine's own, on the same cores in the same run, and writes the
// ratios into docs/bench.md. "make bench" runs it.
//
// It owns the cores to measure on, how a run is measured, the bars and the table.
// It judges no dump: the smoke tests and the readers do. It never fails for a bar
// that is missed: times belong to a machine, and the table tells.
package main
