package netup

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
)

// TestFirstAnswer: what a server does not know, another may; of two that know, the
// first counts however late it is.
func TestFirstAnswer(t *testing.T) {
	one, two := netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.0.2.54")
	a, b := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	for _, tt := range []struct {
		name string
		know map[netip.Addr]netip.Addr
		want netip.Addr // none is an error
	}{
		{"both", map[netip.Addr]netip.Addr{one: a, two: b}, a},
		{"the second only", map[netip.Addr]netip.Addr{two: b}, b},
		{"the first only", map[netip.Addr]netip.Addr{one: a}, a},
		{"none", nil, netip.Addr{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			second := make(chan struct{})
			got, err := firstAnswer([]netip.Addr{one, two}, func(server netip.Addr) ([]netip.Addr, error) {
				if server == two {
					defer close(second)
				} else {
					<-second // so they are asked together
				}
				if at, ok := tt.know[server]; ok {
					return []netip.Addr{at}, nil
				}
				return nil, errors.New("no such host")
			})
			if !tt.want.IsValid() {
				if err == nil || !strings.Contains(err.Error(), one.String()) || !strings.Contains(err.Error(), two.String()) {
					t.Errorf("%v, %v; want an error that names both servers", got, err)
				}
			} else if err != nil || !slices.Equal(got, []netip.Addr{tt.want}) {
				t.Errorf("%v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

// TestReachAsksAgain: the address that the plan knows is dead, and DNS is silent at
// first.
func TestReachAsksAgain(t *testing.T) {
	t.Parallel()
	k := &fake{all: []link{nic(1, "eth0", macA, true)}}
	server := netip.MustParseAddr("192.0.2.53")
	n := &plan.Network{
		Interfaces: []plan.Interface{{Name: "eth0", NIC: &plan.NIC{MAC: macA}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}},
		DNS:        []netip.Addr{server}, Deadlines: deadlines(time.Minute, time.Minute, time.Minute),
	}
	u := start(t.Context(), n, new(paper), k)
	asked := 0
	u.ask = func(_ context.Context, s netip.Addr, names []string) ([]netip.Addr, error) {
		if s != server || !slices.Equal(names, []string{"store.example.test"}) {
			t.Errorf("%v was asked for %q", s, names)
		}
		if asked++; asked == 1 {
			return nil, errors.New("i/o timeout")
		}
		return []netip.Addr{loopback}, nil
	}
	open, _ := answering(t)
	dead := netip.MustParseAddr("255.255.255.255") // to which the kernel refuses to connect
	at, err := u.Reach(t.Context(), Server{Host: "store.example.test", Addresses: []netip.Addr{dead}, Port: open})
	if err != nil || at != loopback || asked != 2 {
		t.Errorf("%v, %v after %d questions; want %v after 2", at, err, asked, loopback)
	}
}
