package beside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"spigate/tests/bench/inside"
	"spigate/tests/bench/report"
	"spigate/tests/netns"
)

// pings is how many round trips an idle path is measured with, and pause what
// lies between two of them: long enough for everything to fall asleep.
const (
	pings = 100
	pause = 5 * time.Millisecond
)

// sideBySide lays out all paths and measures them in turns. A path that cannot
// be laid is named at the end; the others are measured all the same.
func sideBySide(ctx context.Context, o Options, dir string, out io.Writer) (err error) {
	lab := netns.New()
	defer func() { err = errors.Join(err, lab.Close()) }()
	paths, missing := layPaths(ctx, lab, o, dir)
	defer func() {
		for _, p := range paths {
			p.close()
		}
	}()
	for _, size := range inside.Sizes {
		if err := throughput(ctx, o, paths, size, out); err != nil {
			return errors.Join(missing, err)
		}
	}
	return errors.Join(missing, latency(ctx, paths, out), hits(ctx, paths, out), setUps(ctx, o, paths, out))
}

func layPaths(ctx context.Context, lab *netns.Lab, o Options, dir string) (paths []*path, missing error) {
	for i, r := range routers {
		p, err := newPath(lab, r.name)
		if err == nil {
			err = os.MkdirAll(pathDir(dir, i), 0o700)
		}
		if err == nil {
			err = r.start(ctx, o, pathDir(dir, i), p)
		}
		if err == nil {
			err = p.open()
		}
		if err != nil {
			missing = errors.Join(missing, fmt.Errorf("%s: %w", r.name, err))
			continue
		}
		paths = append(paths, p)
	}
	return paths, missing
}

// hits prints which way the packets went: a figure for spigate is one of the
// flow table only if next to nothing went through the stack.
func hits(ctx context.Context, paths []*path, out io.Writer) error {
	for _, p := range paths {
		text, err := p.hits(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if text != "" {
			fmt.Fprintln(out, text)
		}
	}
	return nil
}

// rates is what the rounds gave for one path: packets a second, and the time of
// processors that its routers took for each that arrived, in microseconds, if
// they are in this process.
type rates struct{ sent, arrived, work []float64 }

func throughput(ctx context.Context, o Options, paths []*path, size int, out io.Writer) error {
	all := make([]rates, len(paths))
	for range o.Rounds {
		for i, p := range paths {
			if err := ctx.Err(); err != nil {
				return err
			}
			f, err := p.flood(size, o.Each)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			all[i].sent = append(all[i].sent, f.sent)
			all[i].arrived = append(all[i].arrived, f.arrived)
			all[i].work = append(all[i].work, f.work/max(f.arrived, 1)*1e6)
		}
	}
	t := report.Table{Head: []string{
		fmt.Sprintf("UDP, one flow, %d bytes, median of %d rounds of %s", size, o.Rounds, o.Each),
		"offered kpps", "arrived kpps", "Gbit/s", "ratio",
	}}
	if paths[0].here {
		t.Head = append(t.Head, "us of work", "ratio")
	}
	for i, p := range paths {
		pps, cells := report.Median(all[i].arrived), []string(nil)
		if p.here {
			work := report.Median(all[i].work)
			cells = []string{fmt.Sprintf("%.1f", work), report.Ratio(report.Median(all[0].work), work)}
		}
		t.Row(append([]string{p.name, fmt.Sprintf("%.0f", report.Median(all[i].sent)/1e3), fmt.Sprintf("%.0f", pps/1e3),
			fmt.Sprintf("%.2f", pps*float64(size)*8/1e9), report.Ratio(pps, report.Median(all[0].arrived))}, cells...)...)
	}
	t.Print(out)
	return nil
}

// flooded is what a flood did in a second: packets, and seconds of processors
// that this process took but for the sender.
type flooded struct{ sent, arrived, work float64 }

// flood sends as fast as it can for d.
func (p *path) flood(size int, d time.Duration) (f flooded, err error) {
	b, err := p.frame(size)
	if err != nil {
		return f, err
	}
	s, err := newSender(p.source, "eth0", b)
	if err != nil {
		return f, err
	}
	defer s.close()
	before, err := p.received()
	if err != nil {
		return f, err
	}
	already := worked(unix.RUSAGE_SELF)
	n, took, err := s.run(d)
	if err != nil {
		return f, err
	}
	after, err := p.settled()
	f.work = (worked(unix.RUSAGE_SELF) - already - s.worked) / took.Seconds()
	f.sent, f.arrived = float64(n)/took.Seconds(), float64(after-before)/took.Seconds()
	return f, err
}

// worked is how many seconds of processors the process or thread has taken.
func worked(who int) float64 {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// settled waits until nothing arrives any more, and returns the sink's count.
func (p *path) settled() (n uint64, err error) {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for last := ^uint64(0); n != last; {
		last = n
		<-t.C
		if n, err = p.received(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// latency measures round trips on paths that are otherwise idle.
func latency(ctx context.Context, paths []*path, out io.Writer) error {
	trips := make([][]float64, len(paths))
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for range pings {
		for i, p := range paths {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			d, err := p.echo.roundTrip()
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			trips[i] = append(trips[i], float64(d.Microseconds()))
		}
	}
	t := report.Table{Head: []string{fmt.Sprintf("round trip when idle, %d pings", pings), "median us", "99 % us", "ratio (less is better)"}}
	for i, p := range paths {
		m := report.Median(trips[i])
		t.Row(p.name, fmt.Sprintf("%.0f", m), fmt.Sprintf("%.0f", report.Quantile(trips[i], 0.99)), report.Ratio(m, report.Median(trips[0])))
	}
	t.Print(out)
	return nil
}
