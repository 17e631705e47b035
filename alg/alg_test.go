package alg

import "testing"

func TestWords(t *testing.T) {
	if In2Out.Reverse() != Out2In || Out2In.Reverse() != In2Out {
		t.Error("the reverse of a direction is the other one")
	}
	for got, want := range map[string]string{
		In2Out.String(): "in2out", Out2In.String(): "out2in",
		Forward.String(): "forward", Hold.String(): "hold", Drop.String(): "drop",
	} {
		if got != want {
			t.Errorf("word %q, want %q", got, want)
		}
	}
}
