package modules

import (
	"errors"
	"fmt"
	"slices"
)

// Want is a module that is asked for.
type Want struct {
	// Name is a module's name, or an alias such as a device's modalias.
	Name string
	// For says who asks, for messages: "the target's file system".
	For string
	// Optional means that its absence is no error.
	Optional bool
}

// Set is the answer to a list of wants.
type Set struct {
	// Modules are in loading order: what a module needs comes before it.
	Modules []*Module
	// Builtin are the names asked for that the kernel itself has, sorted.
	Builtin []string
	// Absent are the optional names that nothing answers to, in order.
	Absent []Want
}

// Resolve finds the modules for wants with everything that they depend on, each
// once, in loading order. The same tree and wants always give the same order. All
// that is missing is reported at once.
func (t *Tree) Resolve(wants []Want) (*Set, error) {
	r := &resolver{t: t, seen: map[string]bool{}, set: new(Set)}
	for _, w := range wants {
		r.want(w)
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	slices.Sort(r.set.Builtin)
	r.set.Builtin = slices.Compact(r.set.Builtin)
	return r.set, nil
}

type resolver struct {
	t    *Tree
	seen map[string]bool // begun: a cycle ends here
	set  *Set
	errs []error
}

func (r *resolver) want(w Want) {
	name := Canonical(w.Name)
	if r.t.builtin[name] {
		r.set.Builtin = append(r.set.Builtin, name)
		return
	}
	_, ok, err := r.t.find(name)
	if err != nil {
		r.errs = append(r.errs, err)
		return
	}
	if ok {
		r.visit(name, w.For)
		return
	}
	builtin, found, err := r.t.byAlias(w.Name)
	switch {
	case err != nil:
		r.errs = append(r.errs, err)
	case builtin:
		r.set.Builtin = append(r.set.Builtin, w.Name)
	case len(found) > 0:
		for _, f := range found {
			r.visit(f, w.For)
		}
	case w.Optional:
		r.set.Absent = append(r.set.Absent, w)
	default:
		r.errs = append(r.errs, &NotFoundError{Name: w.Name, For: w.For, Release: r.t.release})
	}
}

func (r *resolver) visit(name, why string) {
	if r.seen[name] {
		return
	}
	r.seen[name] = true
	m, err := r.t.read(name)
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%w (needed for %s)", err, why))
		return
	}
	m.For = why
	for _, p := range m.Info.Pre {
		r.want(Want{Name: p, For: "soft dependency of " + name, Optional: true})
	}
	for _, d := range m.Info.Depends {
		r.want(Want{Name: d, For: "dependency of " + name})
	}
	r.set.Modules = append(r.set.Modules, m)
	for _, p := range m.Info.Post {
		r.want(Want{Name: p, For: "soft dependency of " + name, Optional: true})
	}
}

// NotFoundError says that a kernel has no module that was asked for.
type NotFoundError struct {
	Name, For, Release string
}

// Error names the module, the kernel, and who asked.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("modules: kernel %s has no module %s, neither as a file nor built in (needed for %s)", e.Release, e.Name, e.For)
}
