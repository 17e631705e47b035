package capture

import (
	"encoding/binary"

	"spigate/netstack/frame"
)

// Tagged is a record's data as it was on the cable, with its tag in place, and
// its length before it was cut.
func (r *Record) Tagged() (data []byte, length int) {
	if !r.Frame || r.VLAN == 0 || len(r.Data) < 12 {
		return r.Data, r.Len
	}
	data = append(make([]byte, 0, len(r.Data)+frame.TagLen), r.Data[:12]...)
	data = binary.BigEndian.AppendUint16(data, frame.TypeVLAN)
	data = binary.BigEndian.AppendUint16(data, r.VLAN)
	return append(data, r.Data[12:]...), r.Len + frame.TagLen
}

// Ether is Tagged for a file that has nothing but Ethernet frames: a packet gets
// a header with no addresses in it.
func (r *Record) Ether() (data []byte, length int) {
	if r.Frame {
		return r.Tagged()
	}
	data = make([]byte, frame.HeaderLen, frame.HeaderLen+len(r.Data))
	binary.BigEndian.PutUint16(data[12:], frame.TypeIPv4)
	return append(data, r.Data...), frame.HeaderLen + r.Len
}
