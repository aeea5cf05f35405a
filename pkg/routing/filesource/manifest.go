package filesource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// key is what an object is called.
type key struct{ kind, namespace, name string }

// String returns "Kind namespace/name".
func (k key) String() string { return k.kind + " " + k.namespace + "/" + k.name }

// document is what became of one document of a file.
type document struct {
	// key is the zero value where the document does not say.
	key key
	// obj is complete and valid, nil if the document cannot be taken.
	obj metav1.Object
	// problem says why it cannot be, or what else is to be said.
	problem string
	// foreign documents were certainly not meant for Leat.
	foreign bool
}

// parse reads the documents of a file. An error means that the file is no YAML:
// then nothing of it can be told apart.
func parse(data []byte) ([]document, error) {
	parts, err := split(data)
	if err != nil {
		return nil, err
	}
	var docs []document
	for i, part := range parts {
		asJSON, err := yaml.YAMLToJSONStrict(part.text)
		if err != nil {
			return nil, fmt.Errorf("document %d, which begins at line %d: %w", i+1, part.line, err)
		}
		if string(asJSON) == "null" { // comments alone
			continue
		}
		docs = append(docs, read(asJSON))
	}
	return docs, nil
}

type part struct {
	line int // of the file, from 1
	text []byte
}

// split cuts a file at the lines that begin or end a document ("---", "...").
// What follows the marker on its line belongs to the next document.
func split(data []byte) ([]part, error) {
	var parts []part
	current := part{line: 1}
	number := 0
	flush := func(next int) error {
		if len(bytes.TrimSpace(current.text)) > 0 {
			parts = append(parts, current)
		}
		current = part{line: next}
		if len(parts) > maxDocuments {
			return fmt.Errorf("it has more than %d documents: split it up", maxDocuments)
		}
		return nil
	}
	for line := range bytes.Lines(data) {
		number++
		if rest, ok := afterMarker(line); ok {
			if err := flush(number); err != nil {
				return nil, err
			}
			line = rest
		}
		current.text = append(current.text, line...)
	}
	return parts, flush(0)
}

func afterMarker(line []byte) (rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(line, []byte("---"))
	if !ok {
		rest, ok = bytes.CutPrefix(line, []byte("..."))
	}
	// A longer word is no marker.
	return rest, ok && (len(rest) == 0 || bytes.ContainsAny(rest[:1], " \t\r\n"))
}

// read makes an object of a document.
func read(data []byte) document {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(data, &head); err != nil || head.APIVersion == "" || head.Kind == "" {
		return document{problem: "a document is no object with apiVersion, kind and metadata"}
	}
	if head.Metadata.Name == "" {
		return document{problem: "a " + head.Kind + " has no metadata.name"}
	}
	if head.Metadata.Namespace == "" {
		head.Metadata.Namespace = metav1.NamespaceDefault
	}
	doc := document{key: key{head.Kind, head.Metadata.Namespace, head.Metadata.Name}}
	newObject, known := kinds[typeName{head.APIVersion, head.Kind}]
	if !known {
		doc.problem = fmt.Sprintf("%s %s is no kind that is read here; those are %s", head.APIVersion, head.Kind, kindsText)
		doc.foreign = !ours(head.APIVersion)
		return doc
	}
	obj := newObject()
	if err := decode(data, obj); err != nil {
		doc.problem = err.Error()
		return doc
	}
	obj.SetNamespace(head.Metadata.Namespace)
	// A file's object is the same as long as it has the same name, wherever the
	// manifest was exported from, and is there as long as it is in the file.
	obj.SetUID("")
	obj.SetDeletionTimestamp(nil)
	if err := complete(obj); err != nil {
		doc.problem = err.Error()
		return doc
	}
	doc.obj, doc.problem = obj, remark(obj)
	return doc
}

// decode reads an object and refuses fields that it does not have. The status
// is not for a manifest to say, but does no harm in one that was exported.
func decode(data []byte, into any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	delete(fields, "status")
	data, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return strict(sigsjson.UnmarshalStrict(data, into))
}

// strict makes one error of those that sigsjson.UnmarshalStrict returns.
func strict(strictErrs []error, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(strictErrs...)
}
