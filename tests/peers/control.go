package peers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"spigate/tests/netns"
)

// Control runs set-up and traffic of a row against stock masquerading and
// demands what that is known to do: IKE of both clients completes, the first
// one's ESP passes, none of the second one's does, and what the gateway sends
// to the second is delivered to the first. It shows that the test can fail.
func (b *Bed) Control(ctx context.Context, row Row) Result {
	st := b.story()
	res := Result{Row: row.Name, Scenario: control}
	res.try(ctx, st, func() error { return b.control(ctx, row, st) })
	res.Took = time.Since(st.began)
	return res
}

func (b *Bed) control(ctx context.Context, row Row, st *story) (err error) {
	ctx, cancel := context.WithTimeout(ctx, scenarioLimit)
	defer cancel()
	lab := netns.New()
	defer func() { err = errors.Join(err, lab.Close()) }()
	router, err := b.Site.NewRouter(lab)
	if err != nil {
		return err
	}
	if err := router.Masquerade(ctx); err != nil {
		return err
	}
	r := &Run{Site: b.Site, Row: row, Say: st.say}
	err = r.suffer(ctx)
	return errors.Join(err, b.Site.Kill(context.WithoutCancel(ctx), b.Site.Hosts()...))
}

// suffer is set-up and traffic behind masquerading.
func (r *Run) suffer(ctx context.Context) error {
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
	first, second := r.Clients[0], r.Clients[1]
	if _, err := r.bringUp(ctx, first); err != nil {
		return err
	}
	if err := r.pingBoth(ctx, first); err != nil {
		return err
	}
	if _, err := r.bringUp(ctx, second); err != nil {
		return err
	}
	for _, way := range [][2]*Host{{second, r.Gateway}, {r.Gateway, second}} {
		p, err := r.Ping(ctx, way[0], way[1], burst, 2*time.Second)
		if err != nil {
			return err
		}
		r.Say("%s to %s: %d of %d pings answered", way[0].Name, way[1].Name, p.Received, p.Sent)
		if p.Received != 0 {
			return fmt.Errorf("%s to %s: %d pings were answered, expected none", way[0].Name, way[1].Name, p.Received)
		}
	}
	return errors.Join(r.pingAll(ctx, first, r.Gateway), r.checkMisdelivery(ctx))
}

// checkMisdelivery demands that all ESP for the second client that reached any
// client reached the first.
func (r *Run) checkMisdelivery(ctx context.Context) error {
	d, err := r.Watch.Deliveries(ctx)
	if err != nil {
		return err
	}
	stolen := 0
	for _, w := range d.Wrong {
		if strings.Contains(w, `of "c2" at c1`) {
			stolen++
		}
	}
	r.Say("of c2's packets %d were delivered to c1 and %d to c2", stolen, d.Right["c2"])
	if stolen < burst || d.Right["c2"] != 0 {
		return fmt.Errorf("of c2's packets %d were delivered to c1 and %d to c2, expected %d or more, and none", stolen, d.Right["c2"], burst)
	}
	return nil
}
