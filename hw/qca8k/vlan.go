package qca8k

import (
	"fmt"
	"slices"

	"spigate/hw"
)

// SetVLAN implements hw.Chip: one command replaces the row.
func (x *chip) SetVLAN(v hw.VLAN) error {
	data, err := x.encode(v)
	if err != nil {
		return err
	}
	if err := x.begin(); err != nil {
		return err
	}
	if len(v.Tagged)+len(v.Untagged) == 0 {
		return x.purge(v.ID)
	}
	return x.load(v.ID, data)
}

func (x *chip) load(id uint16, data uint32) error {
	answer, err := x.command(regVTU, vtuBusy, uint32(id)<<vtuID|vtuLoad, func() error { return x.write(regVTUData, data) })
	if err != nil {
		return err
	}
	if answer&vtuFull != 0 {
		return fmt.Errorf("VLAN %d: the table is full", id)
	}
	return nil
}

// RemoveVLAN implements hw.Chip.
func (x *chip) RemoveVLAN(id uint16) error {
	if err := x.begin(); err != nil {
		return err
	}
	if id == 0 || id > hw.MaxVLAN {
		return nil // is none
	}
	return x.purge(id)
}

func (x *chip) purge(id uint16) error {
	_, err := x.command(regVTU, vtuBusy, uint32(id)<<vtuID|vtuPurge, nil)
	return err
}

// encode makes a row's data.
func (x *chip) encode(v hw.VLAN) (uint32, error) {
	if v.ID == 0 || v.ID > hw.MaxVLAN {
		return 0, fmt.Errorf("VLAN %d: there are 1 to %d", v.ID, hw.MaxVLAN)
	}
	data := uint32(vtuValid | vtuOwn)
	for n := range ports {
		data |= modeNot << vtuShift(n)
	}
	for mode, names := range map[uint32][]string{modeTag: v.Tagged, modeUntag: v.Untagged} {
		for _, name := range names {
			n, err := x.port(name)
			if err != nil {
				return 0, fmt.Errorf("VLAN %d: %w", v.ID, err)
			}
			if modeIn(data, n) != modeNot {
				return 0, fmt.Errorf("VLAN %d: port %s is a member twice", v.ID, name)
			}
			data = withMode(data, n, mode)
		}
	}
	return data, nil
}

func modeIn(data uint32, port int) uint32 { return data >> vtuShift(port) & vtuPortMode }

func withMode(data uint32, port int, mode uint32) uint32 {
	return data&^(vtuPortMode<<vtuShift(port)) | mode<<vtuShift(port)
}

// decode is the row of data. A port whose frames leave as they came is called
// tagged: tidy leaves none such.
func (x *chip) decode(id uint16, data uint32) hw.VLAN {
	v := hw.VLAN{ID: id}
	for _, p := range x.config.all() {
		switch modeIn(data, p.Number) {
		case modeTag, modeAsIs:
			v.Tagged = append(v.Tagged, p.Name)
		case modeUntag:
			v.Untagged = append(v.Untagged, p.Name)
		}
	}
	slices.Sort(v.Tagged)
	slices.Sort(v.Untagged)
	return v
}

// walk visits the valid rows in the order of their ids. A chip whose ids do not
// ascend is not to be believed.
func (x *chip) walk(visit func(id uint16, data uint32) error) error {
	for id := uint32(0); ; {
		answer, err := x.command(regVTU, vtuBusy, id<<vtuID|vtuNext, nil)
		if err != nil {
			return err
		}
		next := answer >> vtuID & idMask
		if next == 0 {
			return nil
		}
		if next <= id {
			return silent("its VLAN table goes from row %d to %d", id, next)
		}
		id = next
		data, err := x.read(regVTUData)
		if err != nil {
			return err
		}
		if data&vtuValid == 0 {
			continue
		}
		if err := visit(uint16(id), data); err != nil {
			return err
		}
	}
}

// tidy sets rows right that hw has no words for: with ports that nobody named,
// with frames that leave as they came, or of an id that is none.
func (x *chip) tidy() error {
	type row struct {
		id   uint16
		data uint32
	}
	var wrong []row
	err := x.walk(func(id uint16, data uint32) error {
		is := data
		for n := range ports {
			switch {
			case x.named()&(1<<n) == 0:
				is = withMode(is, n, modeNot)
			case modeIn(is, n) == modeAsIs:
				is = withMode(is, n, modeTag)
			}
		}
		if is != data || id > hw.MaxVLAN || x.nobody(is) {
			wrong = append(wrong, row{id, is | vtuOwn})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range wrong {
		if x.nobody(r.data) || r.id > hw.MaxVLAN {
			err = x.purge(r.id)
		} else {
			err = x.load(r.id, r.data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nobody reports whether a row has no members.
func (x *chip) nobody(data uint32) bool {
	v := x.decode(0, data)
	return len(v.Tagged)+len(v.Untagged) == 0
}

// Table implements hw.Chip.
func (x *chip) Table() (hw.Table, error) {
	if err := x.begin(); err != nil {
		return hw.Table{}, err
	}
	t := hw.Table{PVID: map[string]uint16{}, On: map[string]bool{}}
	err := x.walk(func(id uint16, data uint32) error {
		if !x.nobody(data) {
			t.VLANs = append(t.VLANs, x.decode(id, data))
		}
		return nil
	})
	if err != nil {
		return hw.Table{}, err
	}
	for _, p := range x.config.all() {
		if err := x.portState(p, &t); err != nil {
			return hw.Table{}, err
		}
	}
	frame, err := x.read(regFrame)
	if err != nil {
		return hw.Table{}, err
	}
	t.MTU = max(0, int(frame&frameMask)-frameMore)
	return t, nil
}
