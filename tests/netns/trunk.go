package netns

import (
	"errors"
	"fmt"
	"sync"

	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// trunk is a switch with one tagged port and an untagged one for each VLAN. It
// is in user space, over the project's own packet rings, because not every
// kernel that runs the tests has 802.1Q.
type trunk struct {
	tagged link.Driver
	access map[uint16]link.Driver // by 802.1Q id
	loops  sync.WaitGroup
}

// Trunk lets the frames of a namespace's device pass to and from its devices
// in access, by their 802.1Q id.
func (l *Lab) Trunk(in *Namespace, device string, access map[uint16]string) error {
	s := &trunk{access: map[uint16]link.Driver{}}
	err := in.Do(func() (err error) {
		if s.tagged, err = link.OpenRing(link.RingConfig{Device: device, Threads: 1}); err != nil {
			return err
		}
		for id, name := range access {
			d, err := link.OpenRing(link.RingConfig{Device: name, Threads: 1})
			if err != nil {
				return err
			}
			s.access[id] = d
		}
		return nil
	})
	l.later(s.close)
	if err != nil {
		return fmt.Errorf("namespace %s: trunk: %w", in.Name, err)
	}
	s.loops.Go(func() { pump(s.tagged, s.fromTrunk) })
	for id, d := range s.access {
		s.loops.Go(func() { pump(d, func(f []frame.Frame) { s.toTrunk(f, id) }) })
	}
	return nil
}

// pump gives what comes in on d to pass, until d is closed.
func pump(d link.Driver, pass func([]frame.Frame)) {
	batch := make([]frame.Frame, frame.Batch)
	for {
		n, err := d.Read(batch)
		if err != nil {
			return
		}
		pass(batch[:n])
	}
}

// fromTrunk takes the tags off. What has a tag of nobody ends here.
func (s *trunk) fromTrunk(batch []frame.Frame) {
	for i := range batch {
		f := &batch[i]
		f.StripTag() // where the ring has left it in the frame
		if d, ok := s.access[f.VLAN]; ok {
			f.VLAN = 0
			d.Write(batch[i : i+1])
		}
	}
}

func (s *trunk) toTrunk(batch []frame.Frame, id uint16) {
	for i := range batch {
		batch[i].VLAN = id
	}
	s.tagged.Write(batch)
}

func (s *trunk) close() error {
	var errs []error
	if s.tagged != nil {
		errs = append(errs, s.tagged.Close())
	}
	for _, d := range s.access {
		errs = append(errs, d.Close())
	}
	s.loops.Wait()
	return errors.Join(errs...)
}
