package wire

import (
	"slices"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
	"spigate/netstack/drop"
)

// ruins is the table: a row for every reason, in the order of package drop, and
// for those of the TCP/IP stack that packets can meet.
func ruins() []ruin {
	return slices.Concat(ruinsOfPorts(), ruinsOfHeaders(), ruinsOfListeners(), ruinsOfNAT(), ruinsOfICMP(), ruinsOfALG(), ruinsOfHelpers(), ruinsOfTunnels(), ruinsOfStack())
}

// For each reason: the packet that dies for it, what explain says of that packet
// before it is sent, with the line of the configuration that decides, and what
// makes it pass, or why nothing does.
func TestEveryReasonHasItsPacketItsExplanationAndItsRemedy(t *testing.T) {
	for _, row := range ruins() {
		t.Run(row.reason, func(t *testing.T) {
			t.Parallel()
			u := newRuined(t, &row, row.text(), false)
			u.dies()
			if row.remedy != nil {
				u.remedied(row.remedy)
			}
		})
	}
}

func TestTheTableOfRuinsIsComplete(t *testing.T) {
	rows := map[string]int{}
	for _, row := range ruins() {
		rows[row.reason]++
	}
	for r := drop.None + 1; r < drop.NumReasons; r++ {
		if rows[r.String()] == 0 {
			t.Errorf("%s has no row: which packet dies for it, what does explain say, and what helps?", r)
		}
		delete(rows, r.String())
	}
	u := newRuined(t, &ruin{}, homesBase, false)
	for _, s := range u.chassis.StackDrops() {
		if (rows[s.Word] == 0) == (unmoved[s.Word] == "") {
			t.Errorf("%s: want a row, or why no packet moves it", s.Word)
		}
		delete(rows, s.Word)
	}
	for word := range rows {
		t.Errorf("%s is no reason", word)
	}
}

// What the operator reads agrees with what was tried.
func TestWhatToDoIsNoneWhereNothingHelps(t *testing.T) {
	helps := map[string]bool{}
	for _, row := range ruins() {
		helps[row.reason] = helps[row.reason] || row.remedy != nil
		if (row.remedy == nil) == (row.none == "") || row.remedy != nil && row.remedy.what == "" {
			t.Errorf("%s: want either a remedy, in words, or why there is none", row.reason)
		}
	}
	says := map[string]string{}
	for r := drop.None + 1; r < drop.NumReasons; r++ {
		says[r.String()] = r.Info().Do
	}
	for _, s := range newRuined(t, &ruin{}, homesBase, false).chassis.StackDrops() {
		if says[s.Word] = s.Do; unmoved[s.Word] != "" {
			delete(says, s.Word)
		}
	}
	for word, do := range says {
		if none := strings.HasPrefix(do, "None: "); none == helps[word] || strings.HasPrefix(do, "None") != none {
			t.Errorf("%s: the operator reads %q, and that a remedy was found is %v", word, do, helps[word])
		}
	}
}

// dies asks explain about the packet, sends it, and fails unless it dies for its
// reason and for no other.
func (u *ruined) dies() {
	t, row := u.t, u.row
	t.Helper()
	u.play(row.lead)
	if row.before != nil {
		row.before(u)
	}
	u.prepare(row.packet, row.make)
	if row.change != nil {
		u.ethernet = row.change(u.ethernet)
	}
	u.quiet()
	u.explained()
	if u.quiet(); row.send != nil {
		row.send(u)
	} else {
		u.goes()
	}
	if row.after != "" {
		if d := u.newDrops(); d[row.reason] > 0 {
			t.Errorf("it died at once, not in time")
		}
		u.playOn(row.after)
		u.soon(row.reason)
	}
	d := u.newDrops()
	if d[row.reason] == 0 || len(d) > 1 && !row.also {
		t.Fatalf("dropped: %s, want %s", list(d), row.reason)
	}
	for _, shown := range u.views.Drops() {
		if shown.Reason == row.reason && (shown.Count == 0 || shown.Means == "" || shown.Do == "") {
			t.Errorf("show drops has %+v", shown)
		}
		if shown.Reason == row.reason && shown.Last != nil {
			u.explainable(shown.Last.Hex)
		}
	}
}

// explainable fails unless explain takes the example that show drops has.
func (u *ruined) explainable(hex string) {
	u.t.Helper()
	var f control.Filter
	for _, q := range [][2]string{{control.ByIn, u.vlan}, {control.ByHex, hex}} {
		if err := f.Set(q[0], q[1]); err != nil {
			u.t.Fatal(err)
		}
	}
	x, err := u.views.Explain(f)
	if err != nil && !strings.Contains(err.Error(), refusesPieces) {
		u.t.Errorf("of the example of show drops, %s, explain says: %v", hex, err)
	}
	if word := fateWord(&x.Fate); err == nil && word == "ip_malformed" && u.row.reason != word {
		u.t.Errorf("the example of show drops, %s, is explained as %s", hex, word)
	}
}

// playOn plays lines without forgetting what they do.
func (u *ruined) playOn(script string) {
	u.t.Helper()
	for i, text := range strings.Split(script, "\n") {
		stated := u.stated
		u.stated = u.allDrops()
		for _, p := range u.ports {
			p.came = nil
		}
		if err := u.do(line{"after", i + 1, text}); err != nil {
			u.t.Fatal(err)
		}
		u.stated = stated
	}
}

// explained fails unless explain says what it should.
func (u *ruined) explained() {
	t, row := u.t, u.row
	t.Helper()
	x, err := u.explain()
	if row.refuses != "" {
		if err == nil || !strings.Contains(err.Error(), row.refuses) {
			t.Errorf("explain says %+v, %v; want %q", x.Fate, err, row.refuses)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want := row.fate
	if want == "" {
		want = row.reason
	}
	if got := fateWord(&x.Fate); got != want {
		t.Errorf("explain says %s, want %s: %+v", got, want, x.Steps)
	}
	if x.Fate.Reason != nil && (x.Fate.Means == "" || x.Fate.Do == "") {
		t.Errorf("explain leaves one alone with it: %+v", x.Fate)
	}
	decided := ""
	for _, s := range x.Steps {
		if s.Verdict == "dropped" {
			if s.Says == "" {
				t.Errorf("%s says nothing", s.Step)
			}
			if s.Decided != nil {
				decided = s.Decided.String()
			}
		}
	}
	line := ""
	if row.line != "" {
		line = place(u.text, row.line)
	}
	if decided != line {
		t.Errorf("decided by %q, want %q", decided, line)
	}
}

// remedied applies the remedy, and fails unless the packet passes then.
func (u *ruined) remedied(m *remedy) {
	t := u.t
	t.Helper()
	if text := edited(u.text, m.edit, m.more); text != u.text || m.fresh {
		if m.fresh {
			was := u.ethernet
			u = newRuined(t, u.row, text, true)
			u.ethernet = was
			if m.lead == "" {
				u.play(u.row.lead)
				if u.row.before != nil {
					u.row.before(u)
				}
			}
		} else {
			u.reload(text)
		}
	}
	u.play(m.lead)
	if m.do != nil {
		m.do(u)
	}
	switch {
	case m.packet != "" || m.make != nil:
		u.prepare(m.packet, m.make)
	case m.fresh || m.whole:
		u.prepare(u.row.packet, u.row.make)
		if u.row.change != nil && !m.whole {
			u.ethernet = u.row.change(u.ethernet)
		}
	}
	u.quiet()
	want := m.fate
	if want == "" {
		want = "forwarded"
	}
	x, err := u.explain()
	if u.refusesStill(err) {
		err = nil
	} else if err == nil && fateWord(&x.Fate) != want {
		t.Errorf("with the remedy, explain says %s, want %s: %+v", fateWord(&x.Fate), want, x.Steps)
	}
	if err != nil {
		t.Error(err)
	}
	u.quiet()
	u.goes()
	if d := u.newDrops(); len(d) > 0 {
		t.Fatalf("with the remedy, dropped: %s", list(d))
	}
	if u.came() == 0 && want != "held" {
		t.Errorf("with the remedy, nothing came out")
	}
}

// refusesStill: explain cannot say of pieces, with a remedy either.
func (u *ruined) refusesStill(err error) bool {
	return err != nil && u.row.refuses != "" && strings.Contains(err.Error(), u.row.refuses)
}
