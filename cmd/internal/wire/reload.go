package wire

import (
	"fmt"
	"reflect"
	"strings"

	"spigate/configs"
)

// Reload makes c the running configuration as far as that is possible without
// a restart: the profiles of the IPsec ALG and which group has which (R10,
// R11). If c changes anything else, nothing is changed, and the error names
// the tables. Reload must not be called twice at a time.
func (d *Daemon) Reload(c *configs.Config) error {
	if fixed := fixedChanges(d.views.config.Load(), c); len(fixed) > 0 {
		return fmt.Errorf("%s: changed in the file; that takes effect at the next start only, so nothing was changed",
			strings.Join(fixed, ", "))
	}
	for _, r := range d.chassis.Routers() {
		r.SetProfiles(lsnConfig(c, r.Domain()).Groups, algProfiles(c))
	}
	d.views.config.Store(c)
	return nil
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
		{"limits", was.Limits, is.Limits},
		{"port", was.Ports, is.Ports},
		{"vlan", was.VLANs, is.VLANs},
		{"route", was.Routes, is.Routes},
		{"lsn", withoutALG(was.LSN), withoutALG(is.LSN)},
		{"log", was.Log, is.Log},
	} {
		if !reflect.DeepEqual(table.was, table.is) {
			names = append(names, table.name)
		}
	}
	return names
}

// withoutALG is [lsn.…] without what its groups say of the ALG.
func withoutALG(l configs.LSN) configs.LSN {
	groups := make([]*configs.Group, len(l.Groups))
	for i, g := range l.Groups {
		bare := *g
		bare.ALG = nil
		groups[i] = &bare
	}
	l.Groups = groups
	return l
}
