package configs

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// Object is a named table as a text has it: what its author wrote, not what it
// means.
type Object struct {
	Name string
	// Values are by key; of what is no list there is one. Times are as they were
	// written, numbers in decimal.
	Values map[string][]string
	Lists  map[string]bool // keys whose values are lists
	Other  []string        // keys of what is neither a value nor a list of them
}

// Objects returns the tables below a path, {"lsn", "pool"}, in the order in which
// the text has them. The text must be TOML. Whether they make sense is for Parse
// to say.
func Objects(text []byte, path ...string) ([]Object, error) {
	body := strings.TrimPrefix(string(text), "\ufeff")
	table, err := decoded(body)
	if err != nil {
		return nil, err
	}
	for _, name := range path {
		table, _ = table[name].(map[string]any)
	}
	var out []Object
	for name, value := range table {
		if inner, ok := value.(map[string]any); ok {
			out = append(out, object(name, inner))
		}
	}
	places, _ := locate(body)
	at := func(o Object) int { return places.keys[id(append(path[:len(path):len(path)], o.Name))] }
	sort.Slice(out, func(i, j int) bool { return at(out[i]) < at(out[j]) })
	return out, nil
}

func object(name string, table map[string]any) Object {
	o := Object{Name: name, Values: map[string][]string{}, Lists: map[string]bool{}}
	for key, value := range table {
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		texts, ok := plainTexts(list)
		if !ok {
			o.Other = append(o.Other, key)
			continue
		}
		o.Values[key], o.Lists[key] = texts, isList
	}
	sort.Strings(o.Other)
	return o
}

// plainTexts prints values, if none of them has others inside.
func plainTexts(list []any) (out []string, ok bool) {
	for _, v := range list {
		switch v := v.(type) {
		case string, int64, float64, bool:
			out = append(out, fmt.Sprint(v))
		case time.Time:
			out = append(out, v.Format(time.RFC3339))
		default:
			return nil, false
		}
	}
	return out, true
}
