package wire

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"spigate/alg/ipsec"
	"spigate/configs"
	"spigate/netstack/frame"
)

// acts are the verbs that do something to the world, beside hosts that send.
var acts = map[string]func(*world, *words){
	"host":     (*world).actHost,
	"advance":  (*world).actAdvance,
	"wall":     (*world).actWall,
	"restart":  (*world).actRestart,
	"reload":   (*world).actReload,
	"failover": (*world).actFailover,
	"flush":    (*world).actFlush,
	"profile":  (*world).actProfile,
	"unbind":   (*world).actUnbind,

	"apply":    (*world).actApply,
	"confirm":  (*world).actConfirm,
	"rollback": (*world).actRollback,
}

// actHost reads "host NAME PORT ADDRESS [via HOST]".
func (w *world) actHost(in *words) {
	name, on, address, via := in.next("a name"), in.next("a port"), in.next("an address"), ""
	if in.flag("via") {
		via = in.next("a host")
	}
	if _, err := w.addHost(name, on, address, via); err != nil {
		in.fail("%w", err)
	}
}

// actAdvance reads "advance DURATION".
func (w *world) actAdvance(in *words) {
	d := in.duration(in.next("a duration"))
	if in.err == nil {
		w.advance(d)
	}
}

// actWall reads "wall DURATION": the wall clock jumps.
func (w *world) actWall(in *words) { w.clock.jump += in.duration(in.next("a duration")) }

// actRestart reads "restart [next]": the router is built anew, of the same
// configuration or of that in next.toml, and knows nothing.
func (w *world) actRestart(in *words) {
	if in.flag("next") {
		c, warnings, err := configs.Parse("next.toml", []byte(w.next))
		if err != nil || len(warnings) > 0 {
			in.fail("next.toml: %v %v", warnings, err)
			return
		}
		w.config = c
	}
	w.reboot(in)
}

// actReload reads "reload": next.toml becomes the configuration while the
// router runs, as SIGHUP does.
func (w *world) actReload(in *words) {
	c, warnings, err := configs.Parse("next.toml", []byte(w.next))
	if err != nil || len(warnings) > 0 {
		in.fail("next.toml: %v %v", warnings, err)
		return
	}
	v := newViews(w.config)
	if err := (&Daemon{views: v, chassis: w.chassis}).Reload(c); err != nil {
		in.fail("%w", err)
		return
	}
	w.config = c
	w.collect()
}

func (w *world) reboot(in *words) {
	if err := w.close(); err != nil {
		in.fail("%w", err)
	}
	if err := w.boot(); err != nil {
		in.fail("%w", err)
	}
	w.stated = w.allDrops()
}

// actFailover reads "failover": a second router takes over with what the ALG
// of the first has replicated (R72). The NAT's own sessions are not.
func (w *world) actFailover(in *words) {
	states := map[uint16][]byte{}
	for _, r := range w.chassis.Routers() {
		states[r.Domain()] = r.ALG().Snapshot(nil, r.Now())
	}
	w.reboot(in)
	profiles := map[string]*ipsec.Profile{}
	for name, p := range algProfiles(w.config) {
		profiles[name] = &p
	}
	for _, r := range w.chassis.Routers() {
		if _, _, err := r.ALG().Restore(states[r.Domain()], profiles, r.Now()); err != nil {
			in.fail("%w", err)
		}
		r.ALG().TakeOver(r.Now())
	}
}

// actFlush reads "flush [src=CLIENT] [nat=NAT] [dst=SERVER] [td=N]", as the
// operator's command does.
func (w *world) actFlush(in *words) {
	var f ipsec.Filter
	for key, to := range map[string]*frame.Addr{"src": &f.Inside, "nat": &f.NAT, "dst": &f.Server} {
		if name, ok := in.key(key); ok {
			*to = w.addr(in, name)
		}
	}
	for _, r := range w.routers(in) {
		r.FlushALG(f)
	}
	w.collect()
}

// actProfile reads "profile NAME esp_gate_timeout=3s …": a live change (R10),
// as a reload of the file would make it.
func (w *world) actProfile(in *words) {
	name := in.next("a profile")
	profiles := algProfiles(w.config)
	p, ok := profiles[name]
	if !ok {
		in.fail("no profile is called %q", name)
		return
	}
	for key, to := range map[string]*time.Duration{
		"ike_session_timeout": &p.IKESessionTimeout, "esp_session_timeout": &p.ESPSessionTimeout,
		"esp_gate_timeout": &p.ESPGateTimeout, "ike_half_open_timeout": &p.IKEHalfOpenTimeout,
	} {
		if text, ok := in.key(key); ok {
			*to = in.duration(text)
		}
	}
	profiles[name] = p
	for _, r := range w.chassis.Routers() {
		r.SetProfiles(lsnConfig(w.config, r.Domain()).Groups, profiles)
	}
	w.collect()
}

// actUnbind reads "unbind GROUP": its ALG profile is taken away (R11).
func (w *world) actUnbind(in *words) {
	name := in.next("a group")
	for _, r := range w.chassis.Routers() {
		groups := lsnConfig(w.config, r.Domain()).Groups
		for i := range groups {
			if groups[i].Name == name {
				groups[i].ALGProfile = ""
			}
		}
		r.SetProfiles(groups, algProfiles(w.config))
	}
	w.collect()
}

// expand unrolls loops and macros and drops comments.
func expand(script []line) ([]line, error) {
	var out []line
	for i := 0; i < len(script); i++ {
		l := script[i]
		l.text, _, _ = strings.Cut(l.text, "#")
		l.text = strings.TrimSpace(l.text)
		switch f := strings.Fields(l.text); {
		case len(f) == 0:
		case f[0] == "for":
			end := i + 1
			for end < len(script) && script[end].text != "end" {
				end++
			}
			body, err := repeat(l, f, script[i+1:min(end, len(script))])
			if err != nil {
				return nil, err
			}
			out = append(out, body...)
			i = end
		case len(f) > 1 && macros[f[1]] != nil:
			texts, err := macros[f[1]](f[0], newWords(strings.Join(f[2:], " ")))
			if err != nil {
				return nil, l.errorf("%w", err)
			}
			for _, t := range texts {
				out = append(out, line{l.file, l.n, t})
			}
		default:
			out = append(out, l)
		}
	}
	return out, nil
}

// repeat unrolls "for VAR FIRST LAST": $VAR stands for the number.
func repeat(l line, f []string, body []line) ([]line, error) {
	if len(f) != 4 {
		return nil, l.errorf("want: for VAR FIRST LAST")
	}
	first, err1 := strconv.Atoi(f[2])
	last, err2 := strconv.Atoi(f[3])
	if err1 != nil || err2 != nil || last-first > 10000 {
		return nil, l.errorf("want: for VAR FIRST LAST")
	}
	var out []line
	for n := first; n <= last; n++ {
		var round []line
		for _, b := range body {
			b.text = strings.ReplaceAll(b.text, "$"+f[1], strconv.Itoa(n))
			round = append(round, b)
		}
		round, err := expand(round)
		if err != nil {
			return nil, err
		}
		out = append(out, round...)
	}
	return out, nil
}

// macros are longer conversations that always go the same way, each message
// with what must come of it.
var macros = map[string]func(client string, in *words) ([]string, error){
	"phase1": macroPhase1,
	"phase2": macroPhase2,
	"tunnel": macroTunnel,
}

// tunnelWords are the words of a macro: "ike1|ike2 spi=I:R at=nat:WORD
// [server=HOST] [id=N] [in=SPI out=SPI]".
type tunnelWords struct{ client, version, spi, at, nat, server, id, in, out string }

func readTunnel(client string, in *words) tunnelWords {
	t := tunnelWords{client: client, version: in.next("ike1 or ike2"), server: "gateway", id: "1"}
	for key, to := range map[string]*string{
		"spi": &t.spi, "at": &t.at, "server": &t.server, "id": &t.id, "in": &t.in, "out": &t.out,
	} {
		if v, ok := in.key(key); ok {
			*to = v
		}
	}
	t.nat, _, _ = strings.Cut(t.at, ":")
	return t
}

func (t tunnelWords) say(message string) string {
	return fmt.Sprintf("%s %s %s to=%s -> %s", t.client, t.version, message, t.server, t.at)
}

func (t tunnelWords) answer(message string) string {
	return fmt.Sprintf("%s %s %s to=%s -> %s", t.server, t.version, message, t.at, t.client)
}

func (t tunnelWords) phase1() []string {
	first, _, _ := strings.Cut(t.spi, ":")
	if t.version == "ike2" {
		return []string{t.say("init spi=" + first), t.answer("init resp spi=" + t.spi)}
	}
	return []string{
		t.say("mm1 spi=" + first), t.answer("mm2 spi=" + t.spi), t.say("mm3 spi=" + t.spi),
		t.answer("mm4 spi=" + t.spi), t.say("mm5 spi=" + t.spi), t.answer("mm6 spi=" + t.spi),
	}
}

func (t tunnelWords) phase2() []string {
	if t.version == "ike2" {
		kind := "child"
		if t.id == "1" {
			kind = "auth"
		}
		m := fmt.Sprintf("%s spi=%s id=%s", kind, t.spi, t.id)
		return []string{t.say(m), t.answer(m + " resp")}
	}
	m := fmt.Sprintf(" spi=%s id=%s", t.spi, t.id)
	return []string{t.say("qm1" + m), t.answer("qm2" + m), t.say("qm3" + m)}
}

func macroPhase1(client string, in *words) ([]string, error) {
	t := readTunnel(client, in)
	return t.phase1(), in.done()
}

func macroPhase2(client string, in *words) ([]string, error) {
	t := readTunnel(client, in)
	return t.phase2(), in.done()
}

// macroTunnel is phase 1, phase 2 and one ESP packet each way.
func macroTunnel(client string, in *words) ([]string, error) {
	t := readTunnel(client, in)
	out := append(t.phase1(), t.phase2()...)
	return append(out,
		fmt.Sprintf("%s esp spi=%s seq=1 to=%s -> %s", t.client, t.out, t.server, t.nat),
		fmt.Sprintf("%s esp spi=%s seq=1 to=%s -> %s", t.server, t.in, t.nat, t.client)), in.done()
}
