package takeover

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sysctls are the device's settings that are changed: family/key and value.
// The drop alone would do; these hold if somebody removes it by hand.
func sysctls() []setting {
	return []setting{
		{"ipv4/forwarding", "0"},
		{"ipv4/bc_forwarding", "0"},
		{"ipv4/proxy_arp", "0"},
		{"ipv4/proxy_arp_pvlan", "0"},
		{"ipv4/arp_ignore", "8"}, // answer for no local address
		{"ipv4/accept_redirects", "0"},
		{"ipv4/send_redirects", "0"},
		{"ipv6/disable_ipv6", "1"}, // no link-local address, no solicitations, no forwarding
	}
}

// sysctlPath returns where a setting of the device is found. The directory is
// that of the calling thread's network namespace.
func (p *Port) sysctlPath(name string) string {
	family, key, _ := strings.Cut(name, "/")
	return filepath.Join("/proc/sys/net", family, "conf", p.name(), key)
}

// setSysctls changes the settings that differ. One that this kernel does not
// have is passed over.
func (p *Port) setSysctls() error {
	var change []setting
	for _, s := range sysctls() {
		b, err := os.ReadFile(p.sysctlPath(s.Name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if old := strings.TrimSpace(string(b)); old != s.Value {
			p.state.Sysctls = remember(p.state.Sysctls, s.Name, old)
			change = append(change, s)
		}
	}
	if err := p.save(); err != nil {
		return err
	}
	for _, s := range change {
		if err := p.writeSysctl(s); err != nil {
			return err
		}
	}
	return nil
}

func (p *Port) restoreSysctls() error {
	var errs []error
	for _, s := range slices.Backward(p.state.Sysctls) {
		if err := p.writeSysctl(s); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (p *Port) writeSysctl(s setting) error {
	if err := os.WriteFile(p.sysctlPath(s.Name), []byte(s.Value), 0); err != nil {
		return fmt.Errorf("%s = %s: %w", s.Name, s.Value, err)
	}
	return nil
}
