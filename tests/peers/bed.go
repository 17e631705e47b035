package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"spigate/tests/netns"
)

// Bed is everything that stays while rows and scenarios come and go.
type Bed struct {
	Site   *Site
	Binary string // of spigate
	Times  []Lap  // what took how long, before the first run
	// Tell is called with each line of a story as it happens, from several
	// goroutines.
	Tell func(line string)
	Look bool // tell everything after each cell, not only after one that fails
}

// Lap is the time of one part.
type Lap struct {
	Part string
	Took time.Duration
}

// NewBed builds the guest and spigate, and boots the guest.
func NewBed(ctx context.Context, l *netns.Lab, dir string) (*Bed, error) {
	b := &Bed{}
	machine, err := ChooseMachine()
	if err != nil {
		return nil, err
	}
	var img *Image
	err = b.lap("guest image", func() (err error) { img, err = Build(ctx, machine, CacheDir(machine)); return err })
	if err != nil {
		return nil, err
	}
	err = b.lap("build spigate", func() (err error) { b.Binary, err = BuildSpigate(dir); return err })
	if err != nil {
		return nil, err
	}
	err = b.lap("boot", func() (err error) {
		if b.Site, err = NewSite(ctx, l, img, dir); err != nil {
			return err
		}
		return b.Site.StartMonitors(ctx)
	})
	return b, err
}

func (b *Bed) lap(part string, do func() error) error {
	began := time.Now()
	err := do()
	b.Times = append(b.Times, Lap{part, time.Since(began)})
	return err
}

// Result is what one row did in one scenario.
type Result struct {
	Row, Scenario string
	Took          time.Duration
	Err           error
	Tries         int // 2: the first one failed, the story tells of both
}

// story is what happens in a cell, with the seconds since its beginning.
type story struct {
	began time.Time
	tell  func(line string)
}

func (b *Bed) story() *story { return &story{time.Now(), b.Tell} }

func (s *story) say(format string, args ...any) {
	s.tell(fmt.Sprintf("%6.1fs ", time.Since(s.began).Seconds()) + fmt.Sprintf(format, args...))
}

// scenarioLimit bounds one scenario; most take half a minute, and the longest,
// a dead peer of OpenIKED, four.
const scenarioLimit = 8 * time.Minute

// Play runs one scenario in one row with spigate between. One that fails is
// played once more, unless ESP went to a wrong host or left untranslated.
func (b *Bed) Play(ctx context.Context, row Row, sc Scenario) Result {
	st := b.story()
	res := Result{Row: row.Name, Scenario: sc.Name}
	res.try(ctx, st, func() error { return b.play(ctx, row, sc, st) })
	res.Took = time.Since(st.began)
	return res
}

// try plays once, and once more if that may have been the machine's fault.
func (r *Result) try(ctx context.Context, st *story, play func() error) {
	r.Tries, r.Err = 1, play()
	if r.Err != nil && !errors.Is(r.Err, errMisled) && ctx.Err() == nil {
		st.say("FAILED, and is played once more: %v", r.Err)
		r.Tries, r.Err = 2, play()
	}
}

func (b *Bed) play(ctx context.Context, row Row, sc Scenario, st *story) (err error) {
	ctx, cancel := context.WithTimeout(ctx, scenarioLimit)
	defer cancel()
	lab := netns.New()
	defer func() { err = errors.Join(err, lab.Close()) }()
	dir, err := os.MkdirTemp("", "spigate-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	router, err := b.Site.NewRouter(lab)
	if err != nil {
		return err
	}
	d, err := router.Spigate(ctx, b.Binary, dir)
	if err != nil {
		return err
	}
	r := &Run{Site: b.Site, Row: row, Say: st.say}
	if sc.Timers != nil {
		r.Timers = sc.Timers(row)
	}
	if err = r.whole(ctx, sc); err != nil || b.Look {
		b.lookAround(ctx, r, d, st)
	}
	return errors.Join(err, b.Site.Kill(context.WithoutCancel(ctx), b.Site.Hosts()...))
}

// whole is a scenario with what comes before and after it.
func (r *Run) whole(ctx context.Context, sc Scenario) error {
	if err := r.Kill(ctx, r.Hosts()...); err != nil {
		return err
	}
	var err error
	if r.Watch, err = r.Site.Watch(); err != nil {
		return err
	}
	defer r.Watch.Stop()
	if err := r.begin(ctx); err != nil {
		return err
	}
	return errors.Join(sc.Play(ctx, r), r.finish(ctx))
}

// lookAround adds to the story what helps to see why a scenario failed.
func (b *Bed) lookAround(ctx context.Context, r *Run, d *netns.Daemon, st *story) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, view := range []string{"ipsecalg session", "ipsecalg gate", "lsn session", "drops"} {
		text, err := d.Text(ctx, strings.Fields(view)...)
		st.say("show %s (%v):\n%s", view, err, text)
	}
	st.say("spigate's log:\n%s", strings.Join(d.Output(), "\n"))
	for _, h := range append(r.pair(), r.Gateway) {
		log := b.Site.daemon(h, r.role(h)).log
		text, err := b.Site.VM.Exec(ctx, h.Name, "ip -s xfrm state; grep -v '[^0-9]0$' /proc/net/xfrm_stat; tail -n 150 "+log)
		st.say("%s (%v):\n%s", h.Name, err, text)
	}
}
