//go:build !noweb

package web

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

func (p *site) editPage() page {
	return page{path: "/edit", title: "Objects", menu: "Configuration", template: "edit", role: configs.WebAdmin, get: p.edit, post: p.editDo}
}

// edit is the page of all objects, or that of one of them.
type edit struct {
	Groups []editGroup // of the page of all
	Kind   string      // of the page of one
	One    string
	Name   string // "" of a new one
	New    bool
	Other  []string // keys that the form has not
	Fields []formField

	// What is about to be done, if that has been asked.
	Base    string
	Sent    []hidden
	Preview *control.ConfigEdited
	Delete  bool
	Faults  []configs.Fault
	Why     string
	Times   []string // to confirm
}

type editGroup struct {
	Name  string
	Kinds []editKind
}

type editKind struct {
	Name, Title, One string
	Objects          []editObject
}

type editObject struct{ Name, Says string }

// hidden is a field of a form that the next page sends again.
type hidden struct{ Name, Value string }

// confirmTimes are the times to confirm that the form offers; the last is to do
// it for good.
func confirmTimes() []string { return []string{"5m", "1m", "15m", "1h", ""} }

func (p *site) edit(r *request) (any, error) {
	if r.value("kind") == "" {
		return allObjects(r.editor)
	}
	k, err := kindOf(r.value("kind"))
	if err != nil {
		return nil, err
	}
	objects, err := r.editor.ConfigObjects(k.path...)
	if err != nil {
		return nil, err
	}
	name := r.value("name")
	if name == "" {
		return k.form(r.editor, objects.Base, "", nil), nil
	}
	o := find(objects.Objects, name)
	if o == nil {
		return nil, control.NotFound(k.one, name)
	}
	return k.form(r.editor, objects.Base, name, o), nil
}

func kindOf(name string) (*kind, error) {
	for _, k := range kinds() {
		if k.name() == name {
			return &k, nil
		}
	}
	return nil, control.NotFound("kind of objects", name)
}

func find(all []configs.Object, name string) *configs.Object {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// allObjects is the page of all objects.
func allObjects(e control.Editor) (out edit, err error) {
	for _, k := range kinds() {
		objects, err := e.ConfigObjects(k.path...)
		if err != nil {
			return out, err
		}
		of := editKind{Name: k.name(), Title: k.title, One: k.one}
		for _, o := range objects.Objects {
			of.Objects = append(of.Objects, editObject{o.Name, k.says(&o)})
		}
		if n := len(out.Groups); n == 0 || out.Groups[n-1].Name != k.group {
			out.Groups = append(out.Groups, editGroup{Name: k.group})
		}
		g := &out.Groups[len(out.Groups)-1]
		g.Kinds = append(g.Kinds, of)
	}
	return out, nil
}

// says is an object in a line: its first two fields.
func (k *kind) says(o *configs.Object) (text string) {
	for _, f := range k.fields {
		if v := o.Values[f.key]; len(v) > 0 && f.input != asFlag {
			if text != "" {
				return text + " · " + shortList(v)
			}
			text = shortList(v)
		}
	}
	return text
}

func shortList(texts []string) string {
	if len(texts) > 2 {
		return fmt.Sprintf("%s, %s and %d more", texts[0], texts[1], len(texts)-2)
	}
	return strings.Join(texts, ", ")
}

// form is the page of one object.
func (k *kind) form(e control.Editor, base, name string, o *configs.Object) edit {
	out := edit{Kind: k.name(), One: k.one, Name: name, New: o == nil, Base: base}
	values := map[string][]string{}
	if o != nil {
		values = o.Values
		for key := range o.Values {
			if !slices.ContainsFunc(k.fields, func(f field) bool { return f.key == key }) {
				out.Other = append(out.Other, key)
			}
		}
		out.Other = append(out.Other, o.Other...)
		slices.Sort(out.Other)
	}
	out.Fields = k.filled(values, namesIn(e))
	return out
}

// namesIn are the names of the objects of a kind. What a virtual server listens
// on may be a tunnel, and the profile fastL4 is there unwritten.
func namesIn(e control.Editor) func(path []string) []string {
	return func(path []string) (out []string) {
		paths := [][]string{path}
		if slices.Equal(path, vlans) {
			paths = append(paths, []string{"net", "tunnel"})
		}
		for _, path := range paths {
			if objects, err := e.ConfigObjects(path...); err == nil {
				for _, o := range objects.Objects {
					out = append(out, o.Name)
				}
			}
		}
		if slices.Equal(path, ltmFastL4) && !slices.Contains(out, "fastL4") {
			out = append(out, "fastL4")
		}
		return out
	}
}

// editDo shows what a form would change, or changes it.
func (p *site) editDo(r *request) (outcome, error) {
	k, err := kindOf(r.PostForm.Get("kind"))
	if err != nil {
		return outcome{}, err
	}
	objects, err := r.editor.ConfigObjects(k.path...)
	if err != nil {
		return outcome{}, err
	}
	name, action := r.value("name"), r.PostForm.Get("action")
	was, form := find(objects.Objects, name), k.sent(r.PostForm)
	page := k.form(r.editor, r.PostForm.Get("base"), name, was)
	page.New = r.PostForm.Get("new") == "true"
	page.Fields = k.filled(form, namesIn(r.editor))
	e := control.ConfigEdit{Base: page.Base, By: "web: " + r.session.user.name}
	switch {
	case action == "back":
		return outcome{data: page}, nil
	case name == "":
		page.Why = "It needs a name."
		return outcome{data: page}, nil
	case page.New && was != nil:
		page.Why = fmt.Sprintf("There is a %s of this name already.", k.one)
		return outcome{data: page}, nil
	case action == "delete" || action == "apply-delete":
		page.Delete = true
		e.Changes = []configs.Change{{Path: append(slices.Clone(k.path), name)}}
		e.Comment = fmt.Sprintf("%s %s deleted", k.one, name)
	case action == "preview" || action == "apply":
		e.Changes = k.changes(name, was, form)
		e.Comment = fmt.Sprintf("%s %s edited", k.one, name)
	default:
		return outcome{}, unknownAction(action)
	}
	e.Apply = action == "apply" || action == "apply-delete"
	return p.changed(r, page, e)
}

// changed shows or does a change.
func (p *site) changed(r *request, page edit, e control.ConfigEdit) (outcome, error) {
	if text := r.PostForm.Get("confirm"); e.Apply && text != "" {
		d, err := control.ParseConfirm(text)
		if err != nil {
			return outcome{}, &control.Error{Message: err.Error(), Code: control.CodeBadRequest}
		}
		e.Confirm = d
	}
	done, err := r.editor.EditConfig(e)
	var refused *control.Error
	switch faults := configs.Faults(err); {
	case len(faults) > 0:
		page.Faults = faults
		return outcome{data: page}, nil
	case errors.As(err, &refused):
		page.Why = refused.Message
		return outcome{data: page}, nil
	case err != nil:
		return outcome{}, err
	}
	if done.Applied != nil {
		return outcome{to: "/config", notice: e.Comment + ". " + appliedSays(done.Applied)}, nil
	}
	page.Preview, page.Times = &done, confirmTimes()
	for name, values := range r.PostForm {
		for _, v := range values {
			if len(name) > len(fieldPrefix) && name[:len(fieldPrefix)] == fieldPrefix {
				page.Sent = append(page.Sent, hidden{name, v})
			}
		}
	}
	slices.SortStableFunc(page.Sent, func(a, b hidden) int { return strings.Compare(a.Name, b.Name) })
	return outcome{data: page}, nil
}

// appliedSays says what became of a configuration.
func appliedSays(a *control.ConfigApplied) string {
	text := fmt.Sprintf("Applied: %d sessions kept, %d cleared, %d refused.", a.Sessions.Kept, a.Sessions.Cleared, a.Sessions.Refused)
	if a.Applied == control.AppliedNextStart {
		text = "Kept for the next start: " + strings.Join(a.Tables, ", ") + " is read then only."
	}
	if a.Confirm != nil {
		text += fmt.Sprintf(" It is rolled back in %s, unless it is confirmed.", *a.Confirm)
	}
	return text
}
