package capture

import (
	"context"
	"fmt"

	"github.com/gokdump/gokdump/capture/dump"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// views tells at which addresses the crashed kernel sees its memory. Its page
// tables say it; what they do not say, the program headers of an ELF core may.
func (s *save) views(ctx context.Context) []dump.View {
	var views []dump.View
	var err error
	if s.info != nil {
		views, err = kernelViews(ctx, s.src, s.info)
	} else {
		err = fmt.Errorf("the core does not describe its kernel")
	}
	if err == nil {
		return views
	}
	if told, ok := s.src.(interface{ Mapped() []vmcore.Mapped }); ok {
		for _, m := range told.Mapped() {
			views = append(views, dump.View(m))
		}
	}
	if len(views) == 0 {
		s.warn("the core that is written has no virtual addresses, so gdb cannot use it: %v", err)
	}
	return views
}

func kernelViews(ctx context.Context, src vmcore.Source, info *kernel.Info) ([]dump.View, error) {
	mem, err := src.NewReader()
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	space, err := kernel.NewSpace(info, src.Machine(), mem)
	if err != nil {
		return nil, err
	}
	ram := src.RAM()
	end := ram[len(ram)-1].End
	var direct uint64 // address in the direct map less physical address
	found := false
	const most = 256 // pieces of the image: more are no image
	var image []dump.View
	_, err = space.Walk(ctx, (end-1)/src.PageSize()+1, func(uint64, uint64) {}, func(m kernel.Mapping) {
		if !space.IsImage(m) {
			// the direct map is the first area of all, and well aligned
			if delta := m.VA - m.PA; !found && delta%(1<<21) == 0 {
				direct, found = delta, true
			}
			return
		}
		if n := len(image); n > 0 && image[n-1].Addr+(image[n-1].End-image[n-1].Start) == m.VA {
			image[n-1].End += m.Size
			return
		}
		if len(image) == most {
			return
		}
		image = append(image, dump.View{Range: vmcore.Range{Start: m.PA, End: m.PA + m.Size}, Addr: m.VA, Image: true})
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("no page table shows the direct map")
	}
	return append(image, dump.View{Range: vmcore.Range{End: end}, Addr: direct}), nil
}
