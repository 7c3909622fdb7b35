// Package script is what the host tells the test guest to do: one JSON document,
// /guest.json in the guest's initramfs.
//
// The package owns the document's types and the texts that the guest answers with
// on its console. It never carries anything out; that is package main of
// qemu/guest.
package script

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/plan"
)

// File is where the script lies in the guest's initramfs.
const File = "/guest.json"

// Marker begins every line that the guest itself puts on the console, so that no
// kernel message can be taken for one.
const Marker = "GUEST: "

// Script is everything that the guest does. It ends with powering off unless a
// step ends it before.
type Script struct {
	// Modules are files of the initramfs, loaded in this order.
	Modules []string `json:"modules,omitempty"`
	// Steps are carried out in this order; the first that fails ends the
	// script.
	Steps []Step `json:"steps"`
}

// Step is one thing to do: exactly one field is set.
type Step struct {
	// Mount mounts a file system, waiting some seconds for its device.
	Mount *Mount `json:"mount,omitempty"`
	// Fill makes memory worth dumping.
	Fill *Fill `json:"fill,omitempty"`
	// Run runs a command, copies what it prints to the console and then says
	// [Marker] "exit N: COMMAND". A command that fails does not end the script.
	Run []string `json:"run,omitempty"`
	// List puts every file below a directory on the console, with its size.
	List string `json:"list,omitempty"`
	// EndIfAny ends the script with List's output if the directory holds
	// anything: the way for a guest that crashed to know that it is back.
	EndIfAny string `json:"end_if_any,omitempty"`
	// Carry copies a directory to another disk, if it is there.
	Carry *Carry `json:"carry,omitempty"`
	// Canaries marks memory of all kinds, as package canary has it, some of it in
	// files of this directory; its report goes to the console, behind [Marker].
	Canaries string `json:"canaries,omitempty"`
	// FreeCanaries gives back those that are to be freed and waits for a line on the
	// console; see package canary.
	FreeCanaries bool `json:"free_canaries,omitempty"`
	// Tasks puts every task's id and name on the console: lines of JSON, objects
	// of id to name, each behind [Marker] [TasksPrefix], and then [TasksEnd].
	Tasks bool `json:"tasks,omitempty"`
	// Network brings up a network and waits until a server answers.
	Network *Network `json:"network,omitempty"`
	// Panic crashes the kernel through /proc/sysrq-trigger.
	Panic *Panic `json:"panic,omitempty"`
	// Idle does nothing for ever.
	Idle bool `json:"idle,omitempty"`
	// SwitchRoot mounts a file system and makes it the root of its own init,
	// which then takes this program's place.
	SwitchRoot *Mount `json:"switch_root,omitempty"`
}

// TasksPrefix stands before the JSON that a Tasks step prints.
const TasksPrefix = "tasks "

// TasksEnd stands in the line behind the last of a Tasks step.
const TasksEnd = "that were all tasks"

// Mount is a file system to mount; the directory is made.
type Mount struct {
	Device string `json:"device"`
	FSType string `json:"fstype"`
	Dir    string `json:"dir"`
}

// Network is a network to bring up, and a server behind it: its address and TCP
// port.
type Network struct {
	Plan   plan.Network `json:"plan"`
	Server string       `json:"server"`
	Port   int          `json:"port"`
	// Leased has the kernel told that the addresses of IPv4 are leases.
	Leased bool `json:"leased,omitempty"`
}

// Carry copies the directory From, as a whole, into the directory of the same
// path on the file system To, which is mounted only for that.
type Carry struct {
	From string `json:"from"`
	To   Mount  `json:"to"`
}

// Fill says what memory to use up. Sizes are MiB.
type Fill struct {
	// Workers is the number of processes, named gokdump-w00 and so on.
	Workers int `json:"workers"`
	// AnonMiB is touched anonymous memory in each worker.
	AnonMiB int `json:"anon_mib"`
	// ShmMiB is the size of the tmpfs file that each worker writes.
	ShmMiB int `json:"shm_mib"`
	// CacheMiB is page cache: files written to CacheDir and synced.
	CacheMiB int `json:"cache_mib,omitempty"`
	// CacheDir is a directory on a disk, made if it is not there.
	CacheDir string `json:"cache_dir,omitempty"`
}

// WorkerName is the name of worker i in the task list.
func WorkerName(i int) string { return fmt.Sprintf("gokdump-w%02d", i) }

// Panic says where the kernel is to crash.
type Panic struct {
	// CPU is the processor that panics, from 0.
	CPU int `json:"cpu"`
	// Drain puts pages just before where they come to in time: off the lists of
	// CPUs on which free pages and new ones of page cache wait, with nothing on them
	// that says so.
	Drain bool `json:"drain,omitempty"`
}

// Parse reads a script. It refuses a step that has no field or more than one.
func Parse(b []byte) (*Script, error) {
	var s Script
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	for i, st := range s.Steps {
		n := 0
		for _, set := range []bool{st.Mount != nil, st.Fill != nil, st.Run != nil, st.List != "", st.EndIfAny != "", st.Tasks, st.Panic != nil, st.Idle, st.SwitchRoot != nil, st.Carry != nil, st.Canaries != "", st.FreeCanaries, st.Network != nil} {
			if set {
				n++
			}
		}
		if n != 1 {
			return nil, fmt.Errorf("script: step %d asks for %d things: want one", i, n)
		}
		if st.Run != nil && (len(st.Run) == 0 || st.Run[0] == "") {
			return nil, fmt.Errorf("script: step %d runs no program", i)
		}
	}
	if len(s.Steps) == 0 {
		return nil, errors.New("script: no steps")
	}
	return &s, nil
}

// Marshal gives the document that [Parse] reads.
func (s *Script) Marshal() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	if _, err := Parse(b); err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}
