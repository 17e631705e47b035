package metrics

import (
	"strings"

	"spigate/cmd/internal/control"
)

// gather reads everything once.
func gather(b control.Backend, p Process) []byte {
	t := &text{b: make([]byte, 0, 64<<10)}
	status, meters := b.Status(), b.Meters()
	t.daemon(b.Version(), &status, p)
	t.links(&status)
	t.drops(b.Drops())
	t.flows(&status, &meters)
	t.nat(b, &meters)
	t.alg(b, &meters)
	t.servers(b, &meters)
	t.tunnels(b)
	t.logs(b.LSNLogStats())
	t.operation(&status, &meters)
	t.switches(meters.Switches)
	return t.b
}

func (t *text) daemon(v control.Version, st *control.Status, p Process) {
	t.family("build_info", gauge, "What the running binary was built from; always 1.").
		add(1, "version", v.Version, "revision", v.Revision, "goversion", v.Go, "goarch", v.Arch)
	t.family("ready", gauge, "Whether every part of the daemon runs.").is(st.Ready)
	t.seconds("uptime_seconds", "How long the daemon has been running.", float64(st.Uptime))
	t.gauge("process_heap_bytes", "Live and not yet collected objects of the daemon.", p.Heap)
	t.gauge("process_memory_bytes", "All memory that the daemon's runtime has from the kernel and has not given back.", p.Memory)
	t.gauge("process_goroutines", "Goroutines of the daemon.", p.Goroutines)
	t.counter("process_gc_cycles_total", "Garbage collections that are complete.", p.Collections)
}

func (t *text) links(st *control.Status) {
	f := t.family("link_frames_total", counter, "Frames that came in by an interface, or left by it.")
	for _, p := range st.Ports {
		f.add(p.RxFrames, "link", p.Interface, "port", p.Port, "dir", "rx")
		f.add(p.TxFrames, "link", p.Interface, "port", p.Port, "dir", "tx")
	}
	f = t.family("link_bytes_total", counter, "Bytes of the same frames, from the Ethernet header on.")
	for _, p := range st.Ports {
		f.add(p.RxBytes, "link", p.Interface, "port", p.Port, "dir", "rx")
		f.add(p.TxBytes, "link", p.Interface, "port", p.Port, "dir", "tx")
	}
	f = t.family("port_up", gauge, "Whether the port's link is there.")
	ports := eachPort(st)
	for _, p := range ports {
		f.is(p.Up, "port", p.Port)
	}
	f = t.family("port_lost_frames_total", counter, "Frames that the kernel had no room for.")
	for _, p := range ports {
		f.add(p.Lost, "port", p.Port)
	}
}

// eachPort is one row for each port: several interfaces of a port say the same
// of it, and need not stand beside each other.
func eachPort(st *control.Status) (out []control.PortStatus) {
	had := map[string]bool{}
	for _, p := range st.Ports {
		if !had[p.Port] {
			had[p.Port] = true
			out = append(out, p)
		}
	}
	return out
}

func (t *text) drops(drops []control.Drop) {
	f := t.family("drop_frames_total", counter, "Frames that died, by the reasons of docs/drop-reasons.md.")
	for i := range drops {
		f.add(drops[i].Count, "reason", drops[i].Reason)
	}
}

func (t *text) flows(st *control.Status, m *control.Metered) {
	t.gauge("flow_entries", "Entries of the fast path: a direction of a flow each.", st.Flows)
	t.gauge("flow_capacity", "Entries that the fast path has room for.", st.FlowCapacity)
	f := t.family("flow_lookups_total", counter, "Frames that the fast path was asked for, by what it said.")
	f.add(m.Flow.Hits, "result", "hit")
	f.add(m.Flow.Misses, "result", "miss")
	f.add(m.Flow.Punts, "result", "punt")
	f = t.family("flow_inserts_failed_total", counter, "Entries that were not made.")
	f.add(m.Flow.Refused, "cause", "full")
	f.add(m.Flow.Stale, "cause", "stale")
	t.counter("flow_expired_total", "Entries that were idle for too long, or lost their next hop.", m.Flow.Expired)
	f = t.family("path_frames_total", counter, "Frames by who forwarded them: the kernel, the fast path or the stack.")
	f.add(st.Offload.Packets, "path", "offload")
	f.add(st.FastHits, "path", "fast")
	f.add(st.SlowHits, "path", "slow")
	t.gauge("offload_flows", "Entries that the kernel forwards by itself.", st.Offload.Flows)
	t.gauge("offload_capacity", "Entries that the kernel has room for; 0: nothing is offloaded.", st.Offload.Capacity)
	t.counter("offload_refused_total", "Busy flows that could not be offloaded.", st.Offload.Refused)
	f = t.family("offload_left_frames_total", counter, "Frames that the kernel left to the router, by the reasons of docs/offload.md.")
	for _, l := range st.Offload.Left {
		f.add(l.Frames, "reason", l.Reason)
	}
}

func (t *text) logs(targets []control.LSNLogStat) {
	f := t.family("natlog_records_total", counter, "Records of the NAT log, by target and by what became of them.")
	for _, l := range targets {
		f.add(l.Sent, "sink", l.Name, "result", "sent")
		f.add(l.Lost, "sink", l.Name, "result", "lost")
	}
	f = t.family("natlog_queued_records", gauge, "Records that wait to be sent.")
	for _, l := range targets {
		f.add(l.Queued, "sink", l.Name)
	}
	f = t.family("natlog_up", gauge, "Whether the last attempt to send to the target worked.")
	for _, l := range targets {
		f.is(l.Up, "sink", l.Name)
	}
	f = t.family("natlog_failures_total", counter, "Connections to the target that failed.")
	for _, l := range targets {
		f.add(l.Failures, "sink", l.Name)
	}
}

// operation is what an operator does, and hears.
func (t *text) operation(st *control.Status, m *control.Metered) {
	f := t.family("config_apply_total", counter, "Configurations that were to be applied, or rolled back to by hand, by what they came to.")
	f.add(m.Config.Applied, "result", "applied")
	f.add(m.Config.Refused, "result", "refused")
	if m.Config.Last > 0 {
		t.seconds("config_last_apply_timestamp_seconds", "When one was applied last, since 1970; not there before the first.", float64(m.Config.Last))
	}
	t.family("config_confirm_pending", gauge, "Whether what runs is rolled back unless it is confirmed.").is(st.Confirm != nil)
	if st.Confirm != nil {
		t.seconds("config_confirm_left_seconds", "How long there is to confirm it; not there if nothing waits.", float64(*st.Confirm))
	}
	f = t.family("log_messages_total", counter, "Messages of the daemon's own log to its syslog collector, and records that were too many of their kind.")
	f.add(m.Log.Sent, "result", "sent")
	f.add(m.Log.Lost, "result", "lost")
	f.add(m.Log.Suppressed, "result", "suppressed")
}

func (t *text) switches(all []control.SwitchMeter) {
	f := t.family("switch_up", gauge, "Whether the switch chip answers and does what the configuration says.")
	for _, s := range all {
		f.is(s.Kept, "switch", s.Name)
	}
	f = t.family("switch_repairs_total", counter, "How often the chip had lost something of its VLANs.")
	for _, s := range all {
		f.add(s.Repairs, "switch", s.Name)
	}
	f = t.family("switch_silent_total", counter, "How often the chip did not answer.")
	for _, s := range all {
		f.add(s.Silent, "switch", s.Name)
	}
}

// lower is a protocol's word as a label has it.
func lower(word string) string { return strings.ToLower(word) }
