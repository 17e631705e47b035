package configs

import (
	"strings"
	"testing"
)

// FuzzParse: whatever the text, Parse returns, gives either a Config or faults,
// gives the same twice, and points into the text, one line for each fault.
func FuzzParse(f *testing.F) {
	f.Add(Reference())
	f.Add(IPsecPassthrough())
	f.Add(CarrierNAT())
	f.Add(twoDomains())
	f.Add("version = 1\n[lsn.pool]\nP = {addresses = ['1.2.3.4-1.2.3.9', \"1.2.3.5\"]}\n")
	f.Add("\ufeffversion=1\r\n'a\\b'.\"c\\e\" = [[1, {x.y = '''\n''''}], 1979-05-27 07:32:00]\n[[\"\"]]\n")
	f.Add("[route.'0.0.0.0/0']\nvia='0.0.0.0'\n[vlan.a]\naddresses=['1.1.1.1/32','1.1.1.0/31']\n")
	f.Add(VirtualServer())
	f.Add(Office())
	f.Add(served)
	f.Add(IPsecTunnel())
	f.Add(IPsecInterface())
	f.Add(tunnelled)
	f.Add("[net.ipsec.peer.p]\nremote_address='any'\npsk='file:'\nversion=['v1','v2']\nmy_id_value='CN=a,=,'\n[net.ipsec.policy.q]\npeer='p'\ntraffic_domain=1\n")
	f.Add("[net.ipsec]\nmanual_sa={m={spi='0x100',policy='q',source_address='1.2.3.4',destination_address='1.2.3.4',encrypt_key='0x',auth_key='file:/x'}}\npolicy.q.mode='transport'\n")
	f.Add("[net]\ntunnel.t={policy='q',addresses=['1.2.3.4/31']}\nipsec.policy.q={mode='interface',peer='p'}\n[route.r]\ntunnel='t'\nto='0.0.0.0/0'\n[ltm.virtual.v]\nvlans=['t']\n")
	f.Add("[ltm.virtual.a]\ndestination='0.0.0.0/1:0'\nmask='128.0.0.0'\nreject=true\nvlans=['']\nsource_address_translation={type='lsn',pool='g'}\n")
	f.Add("[ltm.profile.fastl4]\na={defaults_from='b'}\nb={defaults_from='a',idle_timeout=1}\n[sys.db]\n'tm.continuematching'='enable'\n")
	f.Add("[ltm.snatpool.p]\nmembers=['1.2.3.4']\n[ltm.snat.s]\norigins=['0.0.0.0/0']\nsnatpool='p'\n[ltm.nat.n]\noriginating_address='1.2.3.5'\ntranslation_address='1.2.3.4'\n")
	f.Add(switched)
	f.Add("[switch.s]\ndriver='dsa'\ncpu_port='p'\nmdio=1\n[switch.s.port]\na={device='',number=-1}\nb={}\n[port.p]\ndriver='switch'\nmtu=1\n[vlan.v]\nswitch='s'\ntagged=['a','c',1]\nuntagged=['c','']\n")
	f.Add("[port]\np={driver='raw',device='b'}\nq={driver='switch'}\n[switch]\ns={driver='soft',cpu_port='q',port={x={driver='tap',device='b'}}}\nc={driver='ar8327',cpu_port='p',port={y={number=6}}}\n[vlan]\nv={switch='s',id=1,untagged=['x']}\nw={port='p'}\n")
	f.Add("a=" + strings.Repeat("[", 40))
	f.Fuzz(func(t *testing.T, text string) {
		c, warnings, err := Parse("f", []byte(text))
		if (c == nil) != (err != nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		_, _, again := Parse("f", []byte(text))
		if err != nil && again.Error() != err.Error() {
			t.Fatalf("two answers:\n%v\n%v", err, again)
		}
		lines := strings.Count(text, "\n") + 1
		for _, fault := range Faults(err) {
			checkPlace(t, fault, lines)
		}
		for _, w := range warnings {
			checkPlace(t, Fault(w), lines)
		}
		if err := everyKeyIsLocated(strings.TrimPrefix(text, "\ufeff")); err != nil {
			t.Fatal(err)
		}
	})
}

func checkPlace(t *testing.T, f Fault, lines int) {
	t.Helper()
	if f.Line < 1 || f.Line > lines || f.Col < 1 {
		t.Fatalf("outside the text: %v", f)
	}
	if strings.ContainsAny(f.Error(), "\n\r") {
		t.Fatalf("more than one line: %q", f.Error())
	}
}
