package netup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"golang.org/x/sys/unix"
)

// Times of [Net.Reach].
const (
	dialTime   = 3 * time.Second
	dialEvery  = 250 * time.Millisecond
	lookupTime = 10 * time.Second
)

// Server is a host to reach.
type Server struct {
	// Host is its name or address, Addresses what that stood for when the plan
	// was made; when there are none, or none answers, DNS is asked.
	Host      string
	Addresses []netip.Addr
	// Port is a TCP port: 1 to 65535.
	Port int
}

// Reach waits until s answers, be it that nobody listens there now, and gives the
// address that did. It goes on as soon as that happens, however many interfaces
// are still on their way. Without an answer it ends at the plan's deadline for
// routes after the last of them came to its end, at the latest; the error then
// says how far each interface got.
func (u *Net) Reach(ctx context.Context, s Server) (netip.Addr, error) {
	addresses := slices.Clone(s.Addresses)
	if a, err := netip.ParseAddr(s.Host); err == nil && !slices.Contains(addresses, a) {
		addresses = append(addresses, a)
	}
	start := time.Now()
	settled, deadline := u.settled, (<-chan time.Time)(nil)
	var lookup, lookedUp = time.Time{}, error(nil)
	told := start
	var last error
	for {
		answered, err := u.try(ctx, addresses, s.Port)
		if err == nil {
			u.log.Infof("network: %s answers at %v, after %v", s.Host, answered, time.Since(start).Round(time.Millisecond))
			return answered, nil
		}
		last = err
		// What DNS says may be news; but not before what is known had its chance. DNS
		// may be as late as anything else, so it is asked until it answers.
		wanted := len(addresses) == 0 || deadline != nil && (lookup.IsZero() || lookedUp != nil)
		if wanted && time.Since(lookup) > lookupTime/2 {
			lookup = time.Now()
			var more []netip.Addr
			if more, lookedUp = u.lookup(ctx, s.Host); lookedUp == nil {
				for _, a := range more {
					if !slices.Contains(addresses, a) {
						u.log.Infof("network: DNS says that %s is %v", s.Host, a)
						addresses = append(addresses, a)
					}
				}
			}
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			u.log.Infof("network: waiting for %s since %v; %v", s.Host, time.Since(start).Round(time.Second), u)
		}
		select {
		case <-settled:
			settled = nil
			deadline = time.After(u.plan.Deadlines.Route.Duration())
		case <-deadline:
			return netip.Addr{}, u.unreachable(s, addresses, errors.Join(last, lookedUp), start)
		case <-ctx.Done():
			return netip.Addr{}, u.unreachable(s, addresses, errors.Join(context.Cause(ctx), last, lookedUp), start)
		case <-time.After(dialEvery):
		}
	}
}

func (u *Net) unreachable(s Server, addresses []netip.Addr, err error, start time.Time) error {
	return fmt.Errorf("%s, port %d, does not answer at %v after %v: %w; interfaces: %v",
		s.Host, s.Port, addresses, time.Since(start).Round(time.Second), err, u)
}

// try asks all addresses at once, by the kernel's routes and, when there is more
// than one interface, by each of them.
func (u *Net) try(ctx context.Context, addresses []netip.Addr, port int) (netip.Addr, error) {
	if len(addresses) == 0 {
		return netip.Addr{}, errors.New("no address is known")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	type answer struct {
		from  netip.Addr
		iface *iface
		err   error
	}
	ways := append([]*iface{nil}, u.alternatives()...)
	answers := make(chan answer, len(addresses)*len(ways))
	for _, a := range addresses {
		for n, way := range ways {
			go func() {
				if n > 0 { // the kernel's own choice has the first chance
					select {
					case <-time.After(dialTime / 2):
					case <-ctx.Done():
						answers <- answer{a, way, ctx.Err()}
						return
					}
				}
				answers <- answer{a, way, dial(ctx, a, port, way)}
			}()
		}
	}
	var errs []error
	for range cap(answers) {
		x := <-answers
		if x.err != nil {
			if x.iface == nil {
				errs = append(errs, x.err)
			}
			continue
		}
		if x.iface != nil {
			u.prefer(x.iface, x.from)
		}
		return x.from, nil
	}
	return netip.Addr{}, errors.Join(errs...)
}

// alternatives are the interfaces that a server may be tried by, when there are
// several.
func (u *Net) alternatives() []*iface {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []*iface
	for _, i := range u.ifs {
		if i.master == nil && i.name != "" && i.Addressed() {
			out = append(out, i)
		}
	}
	if len(out) < 2 {
		return nil
	}
	return out
}

// prefer has the kernel go by i, since the way that it would take is dead.
func (u *Net) prefer(i *iface, to netip.Addr) {
	r := plan.Route{To: netip.PrefixFrom(to, to.BitLen()), Via: u.k.gateway(i.index, to)}
	if err := u.k.route(i.index, r, 1); err != nil {
		u.log.Warnf("network: %s: %v", i.Name, err)
		return
	}
	u.log.Infof("network: %v answers by %s, so that way is taken", to, i.Name)
}

// dial tells whether anything answers at a port: that a connection is refused is
// an answer too. way may be nil.
func dial(ctx context.Context, a netip.Addr, port int, way *iface) error {
	d := net.Dialer{}
	if way != nil {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), way.name) })
			return errors.Join(cerr, err)
		}
	}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), strconv.Itoa(port)))
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.Close()
}
