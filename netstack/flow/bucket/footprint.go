package bucket

// Footprint is how many bytes the table takes off the heap: its arena and its
// shadow.
func (t *Table) Footprint() int { return len(t.shadows) * (EntrySize + shadowSize) }
