package configs

import (
	"strconv"
	"strings"
)

// service is a name for a port. The host's own list is not asked: the same file
// must mean the same everywhere.
type service struct {
	name string
	port uint16
}

// services are in the order of ports; of two names the first is printed.
func services() []service {
	return []service{
		{"ftp-data", 20}, {"ftp", 21}, {"ssh", 22}, {"telnet", 23}, {"smtp", 25}, {"time", 37}, {"tacacs", 49},
		{"domain", 53}, {"dns", 53}, {"bootps", 67}, {"bootpc", 68}, {"tftp", 69}, {"http", 80}, {"kerberos", 88},
		{"pop3", 110}, {"sunrpc", 111}, {"ident", 113}, {"nntp", 119}, {"ntp", 123}, {"netbios-ns", 137}, {"netbios-dgm", 138},
		{"netbios-ssn", 139}, {"imap", 143}, {"snmp", 161}, {"snmptrap", 162}, {"bgp", 179}, {"ldap", 389}, {"https", 443},
		{"microsoft-ds", 445}, {"isakmp", 500}, {"syslog", 514}, {"rtsp", 554}, {"submission", 587}, {"ldaps", 636},
		{"ftps-data", 989}, {"ftps", 990}, {"telnets", 992}, {"imaps", 993}, {"pop3s", 995}, {"socks", 1080},
		{"ms-sql-s", 1433}, {"l2tp", 1701}, {"pptp", 1723}, {"radius", 1812}, {"radius-acct", 1813}, {"nfs", 2049},
		{"mysql", 3306}, {"ms-wbt-server", 3389}, {"rdp", 3389}, {"ipsec-nat-t", 4500}, {"sip", 5060}, {"sips", 5061},
		{"postgresql", 5432}, {"vnc", 5900}, {"x11", 6000}, {"webcache", 8080}, {"http-alt", 8080},
	}
}

// PortText returns how a port of a virtual server is spelled: any, the name of
// its service, or the number.
func PortText(port uint16) string {
	if port == 0 {
		return "any"
	}
	for _, s := range services() {
		if s.port == port {
			return s.name
		}
	}
	return strconv.Itoa(int(port))
}

// parsePort takes a number, the name of a service, or any (0, *).
func parsePort(s string) (uint16, bool) {
	if s == "*" || strings.EqualFold(s, "any") {
		return 0, true
	}
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		return uint16(n), true
	}
	for _, known := range services() {
		if strings.EqualFold(s, known.name) {
			return known.port, true
		}
	}
	return 0, false
}

// serviceNames lists what may stand for a port.
func serviceNames() (out []string) {
	for _, s := range services() {
		out = append(out, s.name)
	}
	return append(out, "any")
}
