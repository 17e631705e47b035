package wire

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack"
)

// Reload makes c the running configuration as far as that is possible without
// a restart: [lsn.…], [ipsecalg.…], [ltm.…], [net.ipsec.…] and [sys.db] (R10,
// R11, N28, VR11), and which ports of a switch are members of which VLAN.
// If c changes anything else, or something that a router cannot take, nothing
// is changed, and the error names it all. It waits for what else is changing the
// configuration.
func (d *Daemon) Reload(c *configs.Config) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	_, err := d.reload(c)
	return err
}

// errEnding is what a reload is told that comes too late.
var errEnding = errors.New("the router is ending, so nothing was changed")

// reload says also what became of the sessions.
func (d *Daemon) reload(c *configs.Config) (all control.ConfigSessions, err error) {
	if d.ended {
		return all, errEnding
	}
	if fixed := fixedChanges(d.views.config.Load(), c); len(fixed) > 0 {
		return all, fmt.Errorf("%s: changed in the file; that takes effect at the next start only, so nothing was changed",
			strings.Join(fixed, ", "))
	}
	var faults []error
	for _, r := range d.chassis.Routers() {
		faults = append(faults, r.CheckReload(settings(c, r.Domain())))
	}
	faults = append(faults, d.switches.check(c)...)
	if err := errors.Join(faults...); err != nil {
		return all, fmt.Errorf("nothing was changed: %w", err)
	}
	var n netstack.Reloaded
	for _, r := range d.chassis.Routers() {
		one, err := r.Reload(settings(c, r.Domain()))
		if err != nil {
			return all, err // CheckReload has all that can be told before
		}
		n.Add(one)
	}
	d.switches.apply(c)
	d.views.config.Store(c)
	if d.web != nil {
		d.web.SetWeb(c.Web)
	}
	return sessionsOf(n), nil
}

// sessionsOf says what became of the sessions of all routers.
func sessionsOf(n netstack.Reloaded) (all control.ConfigSessions) {
	for _, k := range []struct {
		kind string
		n    netstack.Survival
	}{{"lsn_session", n.Sessions}, {"ipsecalg_session", n.ALG}, {"connection", n.Connections}, {"ipsec_sa", n.SAs}} {
		all.Add(control.ConfigSessionsKind{Kind: k.kind, Kept: uint64(k.n.Kept), Cleared: uint64(k.n.Cleared), Refused: uint64(k.n.Refused)})
	}
	return all
}

// Reread is Reload with what the Keeper has. It is read only when nothing else
// changes the configuration: what was read before an apply came to its end would
// put back what ran before it.
func (d *Daemon) Reread(now time.Time) ([]configs.Warning, control.ConfigSessions, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	c, warnings, err := d.keeper.Again(now)
	if err != nil {
		return warnings, control.ConfigSessions{}, err
	}
	if w := d.window.Load(); w != nil {
		d.log.Info("config: what waits for its confirmation is read again; its time goes on", "by", w.asked.By, "left", d.left().String())
	}
	n, err := d.reload(c)
	return warnings, n, err
}

// waiting names the tables for whose sake c cannot be applied live, although
// nothing is wrong with it.
func (d *Daemon) waiting(c *configs.Config) []string {
	names := fixedChanges(d.views.config.Load(), c)
	if slices.ContainsFunc(d.chassis.Routers(), func(r *netstack.Router) bool { return r.NeedsStart(settings(c, r.Domain())) }) {
		names = append(names, "lsn")
	}
	return names
}

// settings is what of c a running router of a traffic domain may be given.
func settings(c *configs.Config, domain uint16) netstack.Settings {
	return netstack.Settings{
		LSN: lsnConfig(c, domain), Profiles: algProfiles(c), Logged: natLog(c, domain).Groups,
		Listeners: ltmConfig(c, domain), KeepSilent: !c.DB.RejectUnmatched,
		IPsec: ipsecConfig(c, domain), Keying: keyingConfig(c, domain),
	}
}

// fixedChanges names the tables in which two configurations differ and that
// are read at the start only.
func fixedChanges(was, is *configs.Config) (names []string) {
	for _, table := range []struct {
		name    string
		was, is any
	}{
		{"system", was.System, is.System},
		{"control", was.Control, is.Control},
		{"board", was.Board, is.Board},
		{"limits", was.Limits, is.Limits},
		{"offload", was.Offload, is.Offload},
		{"port", was.Ports, is.Ports},
		{"switch", was.Switches, is.Switches},
		{"vlan", fixedVLANs(was), fixedVLANs(is)},
		{"net.tunnel", fixedTunnels(was), fixedTunnels(is)},
		{"route", fixedRoutes(was), fixedRoutes(is)},
		{"log", was.Log, is.Log},
		{"web", fixedWeb(was), fixedWeb(is)},
	} {
		if !reflect.DeepEqual(table.was, table.is) {
			names = append(names, table.name)
		}
	}
	return names
}

// fixedWeb is [web] without what its server takes while it runs.
func fixedWeb(c *configs.Config) configs.Web {
	fixed := c.Web
	fixed.Users, fixed.SessionTimeout = nil, 0
	if fixed.Key.Signer() != nil { // no two of them are equal: it goes with its certificate
		fixed.Key = configs.PrivateKey{}
	}
	return fixed
}

// fixedVLANs are the VLANs without their members: those are a matter of the
// switch alone.
func fixedVLANs(c *configs.Config) (out []configs.VLAN) {
	for _, v := range c.VLANs {
		fixed := *v
		fixed.Tagged, fixed.Untagged = nil, nil
		out = append(out, fixed)
	}
	return out
}

// fixedTunnels is what of the tunnels a router is built with: their interfaces
// and whose they are. What their policies say may change.
func fixedTunnels(c *configs.Config) (out []string) {
	for _, t := range c.Tunnels {
		out = append(out, fmt.Sprintln(t.Name, t.Domain, t.Policy.Name, t.Addresses, t.MTU))
	}
	return out
}

// fixedRoutes likewise.
func fixedRoutes(c *configs.Config) (out []netstack.Route) {
	for _, domain := range c.Domains() {
		out = append(out, routes(c, domain)...)
	}
	return out
}
