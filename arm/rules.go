package arm

import "strings"

// rule says why a word of the running kernel's command line does not go to the
// crash kernel.
type rule struct {
	// keys are parameter names, separated by white space. One that ends in *
	// stands for every name that begins so.
	keys string
	why  string
}

func (r rule) match(key string) bool {
	for pattern := range strings.FieldsSeq(r.keys) {
		if matchKey(pattern, key) {
			return true
		}
	}
	return false
}

func matchKey(pattern, key string) bool {
	if stem, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(key, stem)
	}
	return key == pattern
}

// removals lists what is taken out, for every architecture. Names are written
// with _, see [canonical].
var removals = []rule{
	{"crashkernel", "it would reserve memory inside the reservation"},
	{"elfcorehdr dmcryptkeys", "the kernel adds it by itself"},
	{"mem memmap memblock reserve_mem kernelcore movablecore movable_node memhp_default_state",
		"it describes the whole machine's memory, the crash kernel has the reservation alone"},
	{"hugepages hugepagesz default_hugepagesz hugetlb_cma hugetlb_free_vmemmap cma numa_cma cma_pernuma kvm_cma_resv_ratio",
		"it sets memory aside"},
	{"swiotlb", "bounce buffers take up to 64 MiB"},
	{"log_buf_len", "a large log buffer eats the reservation"},
	{"slub_debug slab_debug page_owner page_poison kmemleak debug_pagealloc page_table_check kasan* kfence* kmsan* stack_depot*",
		"debugging aids multiply the memory that the kernel needs"},
	{"ftrace* trace_event trace_buf_size trace_options trace_clock trace_instance tp_printk kprobe_event bootconfig initcall_debug",
		"tracing takes memory and time"},
	{"panic_on_warn panic_on_taint oops softlockup_panic hardlockup_panic hung_task_panic nmi_watchdog unknown_nmi_panic panic_on_io_nmi panic_print",
		"a lesser fault must not end the capture"},
	{"sysctl.*", "it tunes the running system; some take memory, kernel.panic would undo ours"},
	{"quiet splash rhgb vt.handoff", "the console is where a capture says how it goes"},
	{"root rootflags rootfstype rootwait rootdelay ro rw resume resume_offset resumewait resumedelay resume_wait noresume hibernate nfsroot nfsaddrs boot abm",
		"the crash image is the root; the plan names the target"},
	{"init rdinit", "kdump-init is /init of the crash image"},
	{"initrd initrdmem noinitrd retain_initrd keepinitrd load_ramdisk prompt_ramdisk ramdisk_size ramdisk_start",
		"the crash image is given by kexec and freed after unpacking"},
	{"ip ifname netroot bootdev bond bridge team vlan rd_* nameserver fcoe iscsi_*", "the plan names the network"},
	{"rd.* systemd.* udev.* dracut* ostree ignition.* luks* plymouth.* cloud_init ds fsck.* showopts BOOT_IMAGE single emergency rescue",
		"it is for programs that the crash image does not have"},
	{"isolcpus nohz_full rcu_nocbs irqaffinity maxcpus possible_cpus nosmp", "it names CPUs that the crash kernel does not start"},
	{"kgdbwait", "the crash kernel would wait for a debugger"},
}

// addition is one word for the crash kernel.
type addition struct {
	text string
	// arch limits it to one GOARCH; "" is every one.
	arch string
	why  string
	// unless leaves it out on some machines; nil adds it always.
	unless func(Machine) bool
	// beside says that the kernel obeys all words of the name: those of the running
	// kernel stay.
	beside bool
}

// additions lists what is put in. A word with the same name that the running
// kernel has goes. panic=, nr_cpus= and disable_cpu_apicid= are made in
// [Derive].
var additions = []addition{
	{text: "reset_devices", why: "drivers must not trust the state that the crashed kernel left"},
	{text: "irqpoll", why: "devices may still raise interrupts that nobody handles",
		// Graviton's interrupt controller loses interrupts with it.
		unless: func(m Machine) bool { return m.Arch == "arm64" && m.Vendor == "Amazon EC2" }},
	{text: "cgroup_disable=memory", why: "saves memory for every page"},
	{text: "transparent_hugepage=never", why: "saves memory"},
	{text: "nokaslr", why: "saves memory and time"},
	{text: "novmcoredd", why: "device dumps take memory"},
	{text: "cma=0", why: "no memory set aside"},
	{text: "hugetlb_cma=0", why: "no memory set aside"},
	{text: "kfence.sample_interval=0", why: "no memory set aside"},
	{text: "pcie_ports=compat", why: "no PCIe port services: errors of dying devices would storm in"},
	{text: "acpi_no_memhotplug", why: "memory outside the reservation must not come in"},
	{text: "random.trust_cpu=on", why: "nothing may wait for entropy"},
	{text: "cryptomgr.notests", why: "testing ciphers takes time"},
	{text: "mitigations=off", why: "nothing but kdump-init runs there, and its system calls and faults would be slower"},
	{text: "initcall_blacklist=tracer_init_tracefs", beside: true,
		why: "files for all trace events take memory and time"},
	{text: "mce=off", arch: "amd64", why: "a machine check under way must not end the capture"},
	{text: "numa=off", arch: "amd64", why: "saves memory for every node"},
	{text: "hest_disable", arch: "amd64", why: "saves memory; firmware error sources may storm"},
	{text: "swiotlb=noforce", arch: "arm64", why: "bounce buffers take up to 64 MiB"},
}

// refused lists what --append may not bring in.
var refused = []rule{
	{"init rdinit initrd initrdmem noinitrd", "the crash image and its /init would not run"},
	{"crashkernel mem memmap", "the crash kernel would lose its memory"},
	{"elfcorehdr", "the kernel adds it by itself"},
}
