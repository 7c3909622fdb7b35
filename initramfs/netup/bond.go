package netup

import (
	"context"
	"fmt"

	"github.com/gokdump/gokdump/capture/plan"
)

// makeBond makes the bond and puts each NIC into it as soon as that is there; the
// bond is up with the first.
func (i *iface) makeBond(ctx context.Context) error {
	k := i.net.k
	name := fmt.Sprintf("kdump%d", i.order)
	index, err := k.bond(name, i.Bond.Mode)
	if err != nil {
		return err
	}
	i.is(index, name)
	for _, o := range i.Bond.Options {
		if o.Name != "primary" { // that needs the NIC
			i.option(name, o)
		}
	}
	if err := i.bringUp(); err != nil {
		return err
	}
	first := make(chan error, len(i.below))
	for _, m := range i.below {
		// Not with run's context: late ones must come in when i is long up.
		go func() {
			ctx, cancel := context.WithTimeout(ctx, i.net.plan.Deadlines.Link.Duration())
			defer cancel()
			first <- i.take(ctx, m, index, name)
		}()
	}
	for range i.below {
		if err = <-first; err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: %w", errNoMember, err)
}

func (i *iface) option(name string, o plan.BondOption) {
	if err := i.net.k.bondOption(name, o); err != nil {
		i.net.log.Warnf("network: %s: bond option %s=%s: %v", i.Name, o.Name, o.Value, err)
	}
}

// take puts m into the bond.
func (i *iface) take(ctx context.Context, m *iface, index int, name string) error {
	at, err := m.wait(ctx)
	if err != nil {
		return err
	}
	if err := i.net.k.configure(at, "", m.MTU); err != nil {
		i.net.log.Warnf("network: %s: %v", m.Name, err)
	}
	if err := i.net.k.enslave(at, index); err != nil {
		m.fail("%v", err)
		return err
	}
	i.net.log.Debugf("network: %s is in %s", m.Name, i.Name)
	for _, o := range i.Bond.Options {
		if o.Name == "primary" && o.Value == m.Name {
			i.option(name, plan.BondOption{Name: "primary", Value: m.name})
		}
	}
	return nil
}
