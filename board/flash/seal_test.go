package flash

import (
	"bytes"
	"testing"
	"time"
)

// FuzzSlot: any bytes in a slot's place are refused, or are exactly what was
// written once.
func FuzzSlot(f *testing.F) {
	for _, i := range []Image{
		{[]byte("version = 1\n"), 7, Note{Time: time.Unix(1772373906, 0), By: "root", Comment: "added the office"}},
		{[]byte("no newline"), 0, Note{}},
		{[]byte("a = 1\n"), 8, Note{By: "x comment=\"y\" by=\"z\"", Comment: " by=\"w\"", Confirm: 5 * time.Minute, Fate: FateReplaced}},
		{[]byte("\x00\n\n"), 1<<64 - 1, Note{Comment: "\x00 sha256=00 comment=\"\" ü"}},
	} {
		file := encode(i)
		f.Add(file)
		f.Add(file[:len(file)-1])
		f.Add(bytes.Repeat(file, 2))
		f.Add(bytes.Replace(file, []byte("slot 1"), []byte("slot 2"), 1))
	}
	f.Add([]byte{})
	f.Add([]byte{'\n'})
	f.Add(make([]byte, 512))
	f.Add([]byte("# spigate slot 1 length=0 sequence=1 sha256=00\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if i, err := decode(file); err == nil && !bytes.Equal(encode(i), file) {
			t.Errorf("read as %+v, which would be written as %q", i, encode(i))
		}
		if len(file) == 0 || len(file) > MaxText {
			return
		}
		// The same bytes as a configuration come back, whatever they look like.
		note := Note{Comment: string(file[:min(len(file), MaxComment)]), By: string(file[max(0, len(file)-MaxBy):])}
		i, err := decode(encode(Image{file, 3, note}))
		if err != nil || !bytes.Equal(i.Text, file) || i.Note != note && string([]rune(note.Comment+note.By)) == note.Comment+note.By {
			t.Errorf("%q came back as %+v, %v", file, i, err)
		}
	})
}

// Seals that have the right sum and the wrong words.
func TestASealMustSayExactlyWhatItSeals(t *testing.T) {
	good := encode(Image{[]byte("a = 1\n"), 3, Note{Comment: "x"}})
	for _, words := range [][2]string{
		{"length=6", "length=7"}, {"length=6", "length=4"}, {"length=6", "length=-1"}, {"length=6", "length=06"}, {"sequence=3", "sequence=x"},
		{"sequence=3", "time=yesterday"}, {"sequence=3", "more=1"}, {`"x"`, "x"}, {`"x"`, `""`}, {"slot 1", "slot 2"}, {"length=6 sequence=3", "sequence=3 length=6"},
		{"sequence=3", "sequence=3 confirm=0"}, {"sequence=3", "sequence=3 confirm=-1"}, {"sequence=3", "sequence=3 fate=none"}, {"sequence=3", "sequence=3 by=root"},
		{` comment="x"`, ` comment="x" by="y"`},
	} {
		body, _, _ := bytes.Cut(good, []byte(sumWord))
		bad := sealed(bytes.Replace(body, []byte(words[0]), []byte(words[1]), 1))
		if i, err := decode(bad); err == nil {
			t.Errorf("%s is taken: %+v", bad, i)
		} else {
			t.Log(err)
		}
	}
	body, _, _ := bytes.Cut(good, []byte(sumWord))
	if _, err := decode(sealed(body)); err != nil {
		t.Error(err)
	}
}

// FuzzRevision: any bytes in a revision's place are refused, or are a whole
// image; nothing is unpacked that would not fit.
func FuzzRevision(f *testing.F) {
	good := compress(Image{[]byte("version = 1\n"), 7, Note{By: "root", Comment: "x", Fate: FateNotConfirmed}})
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(bytes.Repeat(good, 2))
	f.Add(compress(Image{bytes.Repeat([]byte{0}, MaxText), 7, Note{}}))
	f.Add([]byte("version = 1\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if i, err := decompress(file); err == nil {
			if again, err := decompress(compress(i)); err != nil || !bytes.Equal(again.Text, i.Text) || again.Note != i.Note {
				t.Errorf("%+v came back as %+v, %v", i, again, err)
			}
		}
	})
}
