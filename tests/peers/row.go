package peers

import (
	"fmt"
	"time"
)

// Row is a combination of daemons: two clients, one gateway.
type Row struct {
	Name            string
	Version         int
	Client, Gateway Kind
	NoEncapsulation bool // encapsulation=no on both sides (libreswan)
	Beside          bool // with two more clients that use NAT traversal, one for each version of IKE
}

// Rows are the rows of the matrix.
func Rows() []Row {
	return []Row{
		{Name: "v1 libreswan-strongSwan", Version: 1, Client: Libreswan, Gateway: StrongSwan},
		{Name: "v1 libreswan-libreswan", Version: 1, Client: Libreswan, Gateway: Libreswan, NoEncapsulation: true},
		{Name: "v2 OpenIKED-strongSwan", Version: 2, Client: OpenIKED, Gateway: StrongSwan},
		{Name: "v2 strongSwan-OpenIKED", Version: 2, Client: StrongSwan, Gateway: OpenIKED},
		{Name: "v2 libreswan-libreswan", Version: 2, Client: Libreswan, Gateway: Libreswan, NoEncapsulation: true},
		{Name: "v1+v2 NAT-T beside", Version: 2, Client: OpenIKED, Gateway: StrongSwan, Beside: true},
	}
}

// Timers are what a scenario asks of the daemons.
type Timers struct {
	ClientLifetime, GatewayLifetime time.Duration // only where there is no command to rekey
	ClientDPD, GatewayDPD           time.Duration
}

// roles returns how clients and gateway behave in the row.
func (r Row) client(t Timers) Role {
	return Role{Kind: r.Client, Version: r.Version, Plain: true, Encap: r.NoEncapsulation, Lifetime: t.ClientLifetime, DPD: t.ClientDPD}
}

func (r Row) gateway(t Timers) Role {
	return Role{Kind: r.Gateway, Version: r.Version, Plain: true, Encap: r.NoEncapsulation, Lifetime: t.GatewayLifetime, DPD: t.GatewayDPD}
}

// traversal is how the clients beside the row behave: client 3 speaks IKEv1,
// client 4 IKEv2.
func traversal(version int) Role { return Role{Kind: StrongSwan, Version: version} }

// String says who is who.
func (r Row) String() string {
	return fmt.Sprintf("%s (IKEv%d, %v to %v)", r.Name, r.Version, r.Client, r.Gateway)
}
